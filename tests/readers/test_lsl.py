import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyxdf

from consilience.alignment.offsets import fit_offsets
from consilience.core.seeds import generator
from consilience.readers.lsl import dejitter, unfold
from consilience.schema.params.alignment import AlignmentParams
from tests.real_data import NO_REAL_DATA, REAL_DATA

PARAMS = AlignmentParams()
DATA = REAL_DATA / "xdf"
FILES = sorted(DATA.glob("*.xdf"))


def streams(path: Path, as_recorded: bool) -> dict[int, dict[str, Any]]:
    logging.getLogger("pyxdf").setLevel(logging.CRITICAL)
    options = {"synchronize_clocks": not as_recorded, "dejitter_timestamps": not as_recorded}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded, _ = pyxdf.load_xdf(str(path), **options)
    return {stream["info"]["stream_id"]: stream for stream in loaded}


@pytest.mark.real_data
@pytest.mark.skipif(not FILES, reason=NO_REAL_DATA)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_real_time_stamps_agree_with_pyxdf(path: Path) -> None:
    raw, theirs = streams(path, as_recorded=True), streams(path, as_recorded=False)
    worst_ms, compared = 0.0, 0
    for number, stream in raw.items():
        stamps = np.asarray(stream["time_stamps"], np.float64)
        measured, offsets = (np.array(stream[f"clock_{name}"]) for name in ("times", "values"))
        stamps, anchors = unfold(stamps, measured, offsets)
        if not len(stamps) or not len(anchors):
            assert len(stamps) == 0 or fit_offsets(anchors, PARAMS, (0, 1)).status == "unaligned"
            continue
        rate_hz = float(stream["info"]["nominal_srate"][0])
        expected = np.asarray(theirs[number]["time_stamps"])
        stamps = stamps[: len(expected)]  # pyxdf leaves out samples that the footer does not count
        times = dejitter(stamps, rate_hz)
        fit = fit_offsets(anchors, PARAMS, (times[0], times[-1]), rate_hz or None)
        assert fit.clock is not None
        assert fit.status == "aligned"
        worst_ms = max(worst_ms, 1e3 * np.abs(fit.clock.to_session(times) - expected).max())
        compared += 1
    print(f"\n{path.stem}: {compared} of {len(raw)} streams, within {worst_ms:.4f} ms")
    assert worst_ms <= 1


def test_an_effective_rate_replaces_the_nominal_one() -> None:
    true = np.arange(2000) / 51.9
    stamps = true + generator("jitter").uniform(0, 0.02, 2000)
    even = dejitter(stamps, 52.0)
    assert np.ptp(np.diff(even)) < 1e-9
    assert 1 / np.diff(even)[0] == pytest.approx(51.9, abs=0.01)


def test_breaks_and_cameras_keep_their_stamps() -> None:
    stamps = np.concatenate([np.arange(1000) / 100, 60 + np.arange(1000) / 100])
    np.testing.assert_allclose(dejitter(stamps, 100.0), stamps, atol=1e-9)
    dropped = np.delete(stamps[:1000], [100, 101, 500])
    np.testing.assert_array_equal(dejitter(dropped, 100.0, can_drop_samples=True), dropped)
    np.testing.assert_array_equal(dejitter(dropped[::50], 0.0), dropped[::50])
    assert len(dejitter(np.empty(0), 100.0)) == 0


@pytest.mark.parametrize("step_s", [-500.0, 70.0, 3.0])
def test_a_restarted_clock_continues(step_s: float) -> None:
    """Ten minutes; after five the stream's clock is set to another time."""
    session = np.arange(0, 600, 0.1)
    sender = session + 1000 + np.where(session >= 300, step_s, 0)
    measured_at = np.arange(2.0, 600, 5)
    measured = measured_at + 1000 + np.where(measured_at >= 300, step_s, 0)
    offsets = measured_at - measured + generator("offsets").normal(0, 1e-4, len(measured))
    offsets[40] += 30  # a measurement that went wrong, and no reset
    stamps, anchors = unfold(sender, measured, offsets)
    assert (np.diff(stamps) > 0).all()
    fit = fit_offsets(anchors, PARAMS, (stamps[0], stamps[-1]))
    assert fit.status == "aligned"
    assert fit.clock is not None
    mapped = fit.clock.to_session(stamps)
    assert np.nanmax(np.abs(mapped - session)) < 1e-3
    assert np.isfinite(mapped).mean() > 0.95


def test_a_small_reset_splits_the_fit_into_two_pieces() -> None:
    measured = np.arange(0.0, 600, 5)
    offsets = np.where(measured < 300, 0.2, 0.7) + 2e-5 * measured
    fit = fit_offsets(np.stack([measured, measured + offsets], axis=1), PARAMS, (0, 600))
    assert fit.status == "aligned"
    assert fit.clock is not None
    assert len(fit.clock.pieces) == 2
    assert 285 <= fit.clock.pieces[0].until_native_s <= fit.clock.pieces[1].from_native_s <= 315


def test_a_single_offset_is_used_on_a_short_recording_only() -> None:
    anchors = np.array([[5.0, 105.0]])
    assert fit_offsets(anchors, PARAMS, (0, 10)).status == "aligned"
    assert fit_offsets(anchors, PARAMS, (0, 600)).status == "coarse"
    assert fit_offsets(np.empty((0, 2)), PARAMS, (0, 10)).status == "unaligned"
