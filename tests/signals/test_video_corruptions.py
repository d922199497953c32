from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.params.video import CORRUPTIONS, VideoParams
from consilience.modalities.video import modality, track_face
from consilience.schema.constants import SEVERITIES
from consilience.schema.params.synthesis import SynthesisParams
from consilience.signals.types import Signal
from consilience.synthesis.face import write_face
from consilience.synthesis.plan import sessions

PARAMS = VideoParams(corruptions={kind: c.severities for kind, c in CORRUPTIONS.items()})


@pytest.fixture(scope="module")
def signal(tmp_path_factory: pytest.TempPathFactory) -> Signal:
    plan = SynthesisParams(
        subjects=2, sessions=1, trials=1, trial_s=2, missing_fraction=0, faulty_fraction=0
    )
    path = tmp_path_factory.mktemp("video") / "face.mp4"
    write_face(sessions(plan)[0], path)
    whole = modality.read(path, None, PARAMS)
    return replace(whole, values=whole.values[:75], times_s=whole.times_s[:75])


def corrupted(signal: Signal, kind: str, severity: int, name: object = 0) -> Signal:
    return modality.corrupt(signal, kind, severity, PARAMS, generator(kind, name))


def missed(before: np.ndarray, after: np.ndarray) -> float:
    """Return how far features are off in standard deviations, 10 where they are missing."""
    off = np.abs(after - before) / (np.nanstd(before, axis=0) + 0.01)
    return float(np.nanmedian(np.where(np.isnan(after), 10, off)))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_error_of_the_frames_grows_with_severity(signal: Signal, kind: str) -> None:
    harm = []
    for severity in SEVERITIES:
        noisy = corrupted(signal, kind, severity, name=3)
        assert noisy.values.dtype == np.uint8
        assert noisy.values.shape == signal.values.shape
        assert np.array_equal(noisy.times_s, signal.times_s)
        assert np.array_equal(noisy.pulses_s, signal.pulses_s)
        harm.append(np.abs(noisy.values.astype(float) - signal.values).mean())
    assert harm[0] < harm[2] < harm[4]


@pytest.mark.parametrize("kind", [kind for kind in CORRUPTIONS if kind != "frame_drop"])
def test_mild_corruption_changes_the_features_less_than_hard(signal: Signal, kind: str) -> None:
    clean = modality.features(signal, PARAMS).values[1:]
    mild = modality.features(corrupted(signal, kind, 1), PARAMS).values[1:]
    assert np.isfinite(mild).all()
    try:
        hard = modality.features(corrupted(signal, kind, 5), PARAMS).values[1:]
    except RecordingError:
        return  # no face is detected
    assert missed(clean, hard) > 1.3 * missed(clean, mild)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_it_depends_on_the_generator_alone(signal: Signal, kind: str) -> None:
    first, again = (corrupted(signal, kind, 3).values for _ in range(2))
    assert np.array_equal(first, again)


def test_noise_differs_between_frames(signal: Signal) -> None:
    still = replace(signal, values=np.full_like(signal.values, 128))
    noisy = corrupted(still, "noise", 3).values.astype(float)
    assert noisy.std() == pytest.approx(PARAMS.corruptions["noise"][2], rel=0.05)
    assert np.corrcoef(noisy[0].ravel(), noisy[1].ravel())[0, 1] < 0.1


@pytest.mark.parametrize(("kind", "region"), [("eyewear", "eyes"), ("face_mask", "mouth")])
def test_eyewear_and_masks_cover_their_region_alone(signal: Signal, kind: str, region: str) -> None:
    x, y, side = track_face(signal.values, signal.times_s, PARAMS).boxes[0]
    changed = corrupted(signal, kind, 5).values[0] != signal.values[0]
    rows = {"eyes": y - 0.12 * side, "mouth": y + 0.3 * side}
    column = round(x - 0.15 * side)
    for place, row in rows.items():
        assert changed[round(row) - 2 : round(row) + 3, column].all() == (place == region)


def test_a_hand_does_not_change_the_surroundings(signal: Signal) -> None:
    x, _, side = track_face(signal.values, signal.times_s, PARAMS).boxes[0]
    changed = (corrupted(signal, "occlusion", 3).values != signal.values).any(axis=0)
    columns = np.flatnonzero(changed.any(axis=0))
    assert x - side < columns.min() < columns.max() < x + side
    assert 0.05 < changed.sum() / side**2 < 1


def test_lost_frames_repeat_the_last_one(signal: Signal) -> None:
    numbered = replace(signal, values=np.zeros((200, 2, 2), np.uint8))
    numbered.values[:] = np.arange(200, dtype=np.uint8)[:, None, None]
    numbers = corrupted(numbered, "frame_drop", 4).values[:, 0, 0].astype(int)
    assert (numbers <= np.arange(200)).all()
    assert (np.diff(numbers) >= 0).all()
    assert 0.4 < np.mean(np.diff(numbers) == 0) < 0.9
