import numpy as np
import pytest

from consilience.alignment.clock import Line
from consilience.alignment.piecewise_fit import (
    Segment,
    clock_from_segments,
    fit_segments,
    robust_line,
)
from consilience.core.seeds import generator
from consilience.schema.params.alignment import AlignmentParams

PARAMS = AlignmentParams()
FLOOR_S = 1e-4


def anchors(*parts: tuple[Line, float, float], sigma_s: float = 1e-3) -> tuple[np.ndarray, ...]:
    """Return noisy anchors, one per second, of lines that are valid from one time to another."""
    native = [np.arange(start, end) for _, start, end in parts]
    session = [part[0].to_session(times) for part, times in zip(parts, native, strict=True)]
    noise = generator("lines", str(parts)).normal(0, sigma_s, sum(map(len, native)))
    return np.concatenate(native), np.concatenate(session) + noise


def test_outliers_do_not_move_a_line() -> None:
    native, session = anchors((Line(1, 200), 0, 100))
    session[::7] += 0.5
    line = robust_line(native, session, FLOOR_S, 500)
    assert line.offset_s == pytest.approx(1, abs=3e-3)
    assert line.drift_ppm == pytest.approx(200, abs=30)


def test_the_drift_stays_within_its_bounds() -> None:
    native, session = anchors((Line(1, 900), 0, 100))
    assert robust_line(native, session, FLOOR_S, 500).drift_ppm == 500


@pytest.mark.parametrize("step_s", [0.01, 0.3, -0.3, 40.0])
def test_anchors_are_split_at_a_reset(step_s: float) -> None:
    native, session = anchors((Line(1, 50), 0, 60), (Line(1 + step_s, 50), 60, 100))
    session[[10, 70]] += 5  # outliers, not resets
    parts = fit_segments(native, session, FLOOR_S, PARAMS)
    assert len(parts) == 2
    assert parts[0].native_s[-1] < 60 <= parts[1].native_s[0]
    assert parts[1].line.offset_s - parts[0].line.offset_s == pytest.approx(step_s, abs=5e-3)


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_not_split(seed: int) -> None:
    native = np.arange(200.0)
    session = native + generator("noise", seed).normal(0, 0.01, 200)
    assert len(fit_segments(native, session, FLOOR_S, PARAMS)) == 1


def test_times_at_a_reset_are_nan() -> None:
    native, session = anchors((Line(1, 50), 0, 60), (Line(2, 50), 60, 100))
    parts = fit_segments(native, session, FLOOR_S, PARAMS)
    fit = clock_from_segments("pulses", parts, (0, 100), FLOOR_S, 20, PARAMS)
    assert (fit.status, fit.clock and len(fit.clock.pieces)) == ("aligned", 2)
    assert fit.clock is not None
    valid = np.isfinite(fit.clock.to_session(native))
    assert valid.sum() >= len(native) - 6
    assert not valid[59:61].all()
    gap = np.array([[59.2, 59.9]])
    located = clock_from_segments("pulses", parts, (0, 100), FLOOR_S, 20, PARAMS, gaps_s=gap)
    assert located.clock is not None
    assert located.clock.pieces[0].until_native_s == 59.2
    assert located.clock.pieces[1].from_native_s == 59.9


def test_too_few_anchors_between_resets_give_no_clock() -> None:
    native, session = anchors((Line(0), 0, 3), (Line(1), 3, 6))
    parts = [
        Segment(Line(k), native[i], session[i], 1e-3) for k, i in ((0, slice(3)), (1, slice(3, 6)))
    ]
    fit = clock_from_segments("pulses", parts, (0, 6), FLOOR_S, 20, PARAMS, valid_s=(0, 5))
    assert (fit.status, fit.clock) == ("unaligned", None)
    assert "too few" in (fit.reason or "")


def test_lines_that_meet_leave_no_gap() -> None:
    native, session = anchors((Line(0, 0), 0, 50), (Line(-0.015, 300), 50, 100), sigma_s=1e-4)
    parts = fit_segments(native, session, FLOOR_S, PARAMS)
    fit = clock_from_segments("pulses", parts, (0, 100), FLOOR_S, 20, PARAMS)
    assert len(parts) == 2
    assert fit.clock is not None
    assert np.isfinite(fit.clock.to_session(np.linspace(0, 100, 1000))).all()


def test_confidence_falls_with_the_error() -> None:
    native, session = anchors((Line(), 0, 5))
    parts = fit_segments(native, session, FLOOR_S, PARAMS)
    near, far = (
        clock_from_segments("pulses", parts, (0, end), FLOOR_S, 20, PARAMS) for end in (10, 3600)
    )
    assert (near.status, far.status) == ("aligned", "coarse")
    assert (near.confidence or 0) > 0.99 > (far.confidence or 0)
    assert "too large for a tolerance" in (far.reason or "")
