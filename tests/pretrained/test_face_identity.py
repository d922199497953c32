"""One person's face among several: scripted detections on drawn textures, and real faces."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from consilience.core.seeds import generator
from consilience.modalities.params.video import VideoParams
from consilience.modalities.video import modality, track_face
from consilience.pretrained import face_identity
from consilience.pretrained.face_detector import Detection, Picture, detect_faces
from consilience.pretrained.face_identity import (
    NO_FACE,
    SAME_FACE,
    crop_face,
    describe_face,
    follow_face,
)
from consilience.signals.types import Signal

FLOOR = 0.5
LEFT, RIGHT, MIDDLE = (60, 60), (180, 60), (120, 60)
Frames = NDArray[np.uint8]
Scene = list[tuple[str, tuple[int, int], int]]  # who, centre, side


class Stage:
    """Pictures of textures, and a detector of what was drawn in them."""

    def __init__(self, scenes: list[Scene]) -> None:
        self.pictures = [self.draw(scene) for scene in scenes]
        self.faces = {
            id(picture): [
                Detection(x, y, side, 0.9 - 0.1 * i) for i, (_, (x, y), side) in enumerate(scene)
            ]
            for picture, scene in zip(self.pictures, scenes, strict=True)
        }

    @staticmethod
    def draw(scene: Scene) -> Picture:
        picture = np.full((120, 240), 110, np.uint8)
        for who, (x, y), side in scene:
            coarse = generator("texture", who).integers(0, 255, (8, 8)).astype(np.uint8)
            half = side // 2
            face = cv2.resize(coarse, (2 * half, 2 * half), interpolation=cv2.INTER_CUBIC)
            picture[y - half : y + half, x - half : x + half] = face
        return picture

    def detect_faces(self, picture: Picture, floor: float) -> list[Detection]:
        return self.faces[id(picture)]

    def detect_face(self, picture: Picture, last: Detection | None, floor: float) -> Detection:
        """Return the face nearest to the last one, else the most confident one."""
        faces = self.faces[id(picture)] or [Detection(0, 0, 9, 0.1)]
        if last is None:
            return faces[0]
        return min(faces, key=lambda face: np.hypot(face.x - last.x, face.y - last.y))


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch):
    """Return a function that gives the followed face's x in every scene, or None if missing."""

    def run(scenes: list[Scene]) -> list[float | None]:
        stage = Stage(scenes)
        monkeypatch.setattr(face_identity, "detect_face", stage.detect_face)
        monkeypatch.setattr(face_identity, "detect_faces", stage.detect_faces)
        detections, _ = follow_face(stage.pictures, FLOOR)
        return [face.x if face.confidence >= FLOOR else None for face in detections]

    return run


def both(left: str = "ann", right: str = "bob", size: int = 48) -> Scene:
    return [(right, RIGHT, size), (left, LEFT, 48)]  # the right one with the higher confidence


def test_the_larger_face_is_the_participant_and_of_equal_ones_the_left(follow) -> None:
    assert follow([both()] * 3) == [60, 60, 60]
    assert follow([both(size=72)] * 3) == [180, 180, 180]


@pytest.mark.parametrize("right", ["bob", "ann"])
def test_a_hidden_participant_is_missing_beside_another_person(follow, right: str) -> None:
    hidden: Scene = [(right, RIGHT, 48)]
    scenes = [both(right=right)] * 3 + [hidden] * 2 + [both(right=right)] * 2
    assert follow(scenes) == [60, 60, 60, None, None, 60, 60]


def test_another_person_who_enters_is_not_the_participant(follow) -> None:
    alone: Scene = [("ann", LEFT, 48)]
    other: Scene = [("bob", RIGHT, 48)]
    assert follow([alone] * 3 + [other] * 2 + [[]] + [alone]) == [60, 60, 60, None, None, None, 60]


def test_the_participant_is_recognised_at_another_place(follow) -> None:
    moved: Scene = [("bob", RIGHT, 48), ("ann", MIDDLE, 48)]
    assert follow([both()] * 3 + [[("bob", RIGHT, 48)]] + [moved] * 2) == [
        60,
        60,
        60,
        None,
        120,
        120,
    ]
    assert follow([[("ann", LEFT, 48)]] * 2 + [[("ann", RIGHT, 44)]]) == [60, 60, 180]


def test_a_passer_by_at_the_start_is_not_followed(follow) -> None:
    scenes: list[Scene] = [[("bob", RIGHT, 48)], *[[("ann", LEFT, 48)]] * 5]
    assert follow(scenes) == [None, 60, 60, 60, 60, 60]


def test_nothing_is_followed_without_a_face(follow) -> None:
    assert follow([[], []]) == [None, None]


def test_likeness_does_not_depend_on_size_light_or_contrast() -> None:
    one, other = (Stage.draw([(who, MIDDLE, 64)]) for who in ("ann", "bob"))
    face, small = Detection(*MIDDLE, 64, 1), Detection(*MIDDLE, 44, 1)
    darker = Stage.draw([("ann", MIDDLE, 44)]) // 2 + 20
    same = describe_face(one, face) @ describe_face(darker, small)
    assert same > SAME_FACE
    assert describe_face(one, face) @ describe_face(other, face) < SAME_FACE
    assert abs(describe_face(one, face) @ describe_face(np.full_like(one, 9), face)) < NO_FACE


@pytest.mark.parametrize("angle_deg", [-25, 90])
def test_a_crop_turns_a_tilted_face_upright(angle_deg: float) -> None:
    upright = Stage.draw([("ann", MIDDLE, 64)])
    matrix = cv2.getRotationMatrix2D(MIDDLE, -angle_deg, 1)  # clockwise
    tilted = cv2.warpAffine(upright, matrix, upright.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    expected, askew, turned = (
        crop_face(picture, (*MIDDLE, 50), roll_rad).astype(float)
        for picture, roll_rad in ((upright, 0), (tilted, 0), (tilted, np.radians(angle_deg)))
    )
    assert np.abs(turned - expected).mean() < 0.1 * np.abs(askew - expected).mean()


ACROSS = np.arange(240)
HIDDEN = {
    "a wall": np.full(240, 100),
    "a curtain": 110 + 20 * (ACROSS // 12 % 2),
    "fine stripes": 110 + ACROSS % 7,
    "light from a side": 60 + ACROSS // 2,
}


@pytest.mark.parametrize("hidden", HIDDEN)
def test_an_even_texture_is_like_no_face(hidden: str) -> None:
    picture = np.tile(HIDDEN[hidden].astype(np.uint8), (120, 1))
    assert not describe_face(picture, Detection(*MIDDLE, 64, 1)).any()
    assert not describe_face(picture.T[:240, :120].copy(), Detection(60, 120, 64, 1)).any()


@pytest.fixture(params=[("bbaf2n", "lbax4n"), ("brbk7n", "bbaf2n"), ("lwbsza", "pwij3p")])
def people(request: pytest.FixtureRequest, real_data: Path) -> tuple[Frames, Frames]:
    """Return the pictures of two people of GRID, each 240 wide."""
    left, right = (
        np.array(modality.read(real_data / "grid" / f"{name}.mpg", None, VideoParams()).values[:60])
        for name in request.param
    )
    return left, right


@pytest.mark.real_data
@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_real_participant_is_missing_as_soon_as_hidden(
    hidden: str, people: tuple[Frames, Frames]
) -> None:
    left, right = people
    left[26:] = HIDDEN[hidden]
    two_people = Signal(np.concatenate([left, right], axis=2), np.arange(60) / 25, ("grey",))
    assert sorted(f.x // 240 for f in detect_faces(two_people.values[0], FLOOR)) == [0, 1]
    assert len(detect_faces(two_people.values[40], FLOOR)) == 1
    boxes = track_face(two_people.values, two_people.times_s, VideoParams()).boxes
    assert (boxes[:26, 0] < 240).all()
    assert np.isnan(boxes[26:]).all()
    quality = modality.features(two_people, VideoParams()).quality
    assert quality["quality"] == pytest.approx(quality["face_fraction"], rel=0.05)
    assert quality["face_fraction"] <= 0.6
