import numpy as np
import pytest

from consilience.alignment.clock import Line
from consilience.alignment.offsets import fit_offsets
from consilience.core.seeds import generator
from consilience.schema.params.alignment import AlignmentParams

PARAMS = AlignmentParams()
SPAN_S = (0.0, 300.0)


def anchors(line: Line, sigma_s: float = 1e-4) -> np.ndarray:
    """Return an offset every 5 s, with the jitter of a local network."""
    native = np.arange(0, 300, 5.0)
    noise = generator("offsets").normal(0, sigma_s, len(native))
    return np.stack([native, line.to_session(native) + noise], axis=1)


def test_the_line_of_the_offsets_is_found_however_large_the_offset() -> None:
    true = Line(12_345.6, 80)
    fit = fit_offsets(anchors(true), PARAMS, SPAN_S)
    assert (fit.status, fit.method, fit.reason) == ("aligned", "clock offsets", None)
    assert fit.clock is not None
    assert len(fit.clock.pieces) == 1
    error_ms = 1e3 * abs(fit.clock.to_session(150.0) - true.to_session(150.0))
    assert error_ms < 0.1
    assert (fit.error_ms or 0) < 1


def test_order_repetition_and_non_finite_rows_do_not_matter() -> None:
    clean = anchors(Line(1, 50))
    bad = [[np.nan, 1.0], [3.0, np.inf]]
    mixed = generator("order").permutation(np.concatenate([clean, clean[:9], bad]))
    assert fit_offsets(mixed, PARAMS, SPAN_S).clock == fit_offsets(clean, PARAMS, SPAN_S).clock


def test_outliers_are_ignored_and_a_reset_gives_two_pieces() -> None:
    times = anchors(Line(1, 50))
    times[::9, 1] += 0.8
    single = fit_offsets(times, PARAMS, SPAN_S)
    assert single.clock is not None
    assert single.clock.longest.offset_s == pytest.approx(1, abs=1e-3)
    times[30:, 1] += 2.0
    fit = fit_offsets(times, PARAMS, SPAN_S)
    assert fit.clock is not None
    assert [round(piece.line.offset_s, 2) for piece in fit.clock.pieces] == [1.0, 3.0]


def test_offsets_less_accurate_than_the_tolerance_give_a_coarse_clock() -> None:
    fit = fit_offsets(anchors(Line(), sigma_s=0.05), PARAMS, SPAN_S)
    assert fit.status == "coarse"
    assert "residual" in (fit.reason or "")
    slow = fit_offsets(anchors(Line(), sigma_s=0.05), PARAMS, SPAN_S, rate_hz=2.0)
    assert slow.status == "aligned"  # half a sample of 500 ms is tolerated


def test_a_container_without_offsets_is_unaligned() -> None:
    for empty in (np.empty((0, 2)), np.full((3, 2), np.nan)):
        fit = fit_offsets(empty, PARAMS, SPAN_S)
        assert (fit.status, fit.clock) == ("unaligned", None)
        assert "no clock offsets" in (fit.reason or "")
