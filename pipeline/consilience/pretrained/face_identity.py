"""Follow one person's face through a video: missing rather than another person's.

The participant is the largest face of the first picture with one; of faces of similar size, the
left one. A later face is the participant's if it lies where theirs was last, or else, unless it
lies where another person's was, if it looks like theirs: the histograms of oriented gradients of
crops (Dalal and Triggs 2005) are compared with the mean of those accepted so far. If another
person's face was detected more often at the start, the first one was a passer-by's or a mistake of
the detector, and the other person is followed instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from consilience.pretrained.face_detector import Detection, Picture, detect_face, detect_faces

Array = NDArray[np.float32]

CROP = 64  # pixels of the square crop
ORIENTATIONS = 9  # of gradients, in 20° steps
SIMILAR_SIZE = 0.75  # ratio of the sides of faces at a similar distance from the camera
NEAR = 0.6  # sides a head moves at most from one detection to the next; two heads are further apart
MOST_GROWTH = 1.7  # ratio of the sides of successive detections of one face
# Correlation of gradient histograms. On nine recordings of seven people 99 % of the pictures of
# another person are below 0.73, and all of the same person, in other clips too, are above 0.72.
SAME_FACE = 0.72
NO_FACE = 0.3  # correlation below which a crop shows something else
# Share of the gradients that differ within a crop: 0.84 and more of faces, 0 to 0.31 of stripes,
# slopes and curtains, whose upright lines are like those of a face.
EVEN = 0.5
START = 20  # detections, in which the participant is the person detected most often


@dataclass
class Person:
    """A face: where it was last, what it looks like and how often it was detected.

    Attributes
    ----------
    place : Detection
    appearance : ndarray of float32
        Sum of the descriptions of the crops.
    n_early : int
        Number of detections among the first `START` pictures.
    """

    place: Detection
    appearance: Array
    n_early: int = 0

    def is_near(self, face: Detection) -> bool:
        """Return whether a face lies where this person's was last."""
        ratio = face.side / self.place.side
        moved = np.hypot(face.x - self.place.x, face.y - self.place.y)
        return bool(moved <= NEAR * self.place.side and 1 / MOST_GROWTH <= ratio <= MOST_GROWTH)

    def likeness(self, description: Array) -> float:
        """Return the correlation of a face's description with the mean one of this person."""
        return float(description @ self.appearance / np.linalg.norm(self.appearance))

    def is_in(self, picture: Picture, box: NDArray[np.float64]) -> bool:
        """Return whether the square of a box (centre x, y, side) may show this person's face."""
        return self.likeness(describe_face(picture, box)) >= NO_FACE

    def add(self, picture: Picture, face: Detection, number: int) -> None:
        """Update the person by a face of theirs in the picture of a number."""
        self.place = face
        self.appearance = self.appearance + describe_face(picture, face)
        self.n_early += number < START


def follow_face(pictures: Sequence[Picture], floor: float) -> tuple[list[Detection], Person | None]:
    """Detect the participant's face in successive pictures of a video.

    Parameters
    ----------
    pictures : sequence of ndarray of uint8, shape (height, width)
    floor : float
        Least confidence of a detection.

    Returns
    -------
    detections : list of Detection
        One for each picture; its confidence is 0 where only another person's face is detected.
    participant : Person or None
        None if no face is detected.
    """
    detections, people = _follow(pictures, floor, [])
    participant = max(people, key=lambda person: person.n_early, default=None)
    if participant is not None and participant is not people[0]:
        detections, _ = _follow(pictures, floor, [participant])
    return detections, participant


def _follow(
    pictures: Sequence[Picture], floor: float, people: list[Person]
) -> tuple[list[Detection], list[Person]]:
    """Return the detections of the first of some people, and all people detected besides."""
    detections: list[Detection] = []
    last = None
    for number, picture in enumerate(pictures):
        # The last position narrows the search, as long as it was a confident one.
        face = detect_face(picture, last, floor)
        last = None
        if face.confidence >= floor:
            people = people or _people(picture, face, floor)
            face, person = _identify(picture, face, floor, people)
            person.add(picture, face, number)
            if person is people[0]:
                last = face
            else:
                face = face._replace(confidence=0.0)
        detections.append(face)
    return detections, people


def _people(picture: Picture, face: Detection, floor: float) -> list[Person]:
    """Return the people in the first picture with a face, the participant first."""
    # The network that detected the face may have searched a part of the picture only.
    faces = detect_faces(picture, floor) or [face]
    largest = max(f.side for f in faces)
    # The confidence of equally large faces is a matter of chance, their order is not.
    first = min((f for f in faces if f.side >= SIMILAR_SIZE * largest), key=lambda f: f.x)
    return [
        Person(f, describe_face(picture, f)) for f in (first, *(f for f in faces if f != first))
    ]


def _identify(
    picture: Picture, face: Detection, floor: float, people: list[Person]
) -> tuple[Detection, Person]:
    """Return the participant's face if it is in the picture, else the detected one, and whose."""
    participant = people[0]
    if participant.is_near(face):
        return face, participant
    owners = []
    for other in (face, *detect_faces(picture, floor)):
        owners.append(_owner(picture, other, people))
        if owners[-1] is participant:
            return other, participant
    if owners[0] is None:
        people.append(Person(face, describe_face(picture, face)))
    return face, owners[0] or people[-1]


def _owner(picture: Picture, face: Detection, people: list[Person]) -> Person | None:
    """Return whose face it is: by its place, else by its looks; None if it is a new person's."""
    near = next((person for person in people if person.is_near(face)), None)
    if near is not None:
        return near
    description = describe_face(picture, face)
    similar = max(people, key=lambda person: person.likeness(description))
    return similar if similar.likeness(description) >= SAME_FACE else None


def crop_face(
    picture: Picture, box: Sequence[float] | NDArray[np.float64], roll_rad: float = 0.0
) -> Picture:
    """Return the square of a box (centre x, y, side), scaled to `CROP` pixels.

    A face that is turned by `roll_rad`, clockwise, is upright in the result. Edges of the picture
    are repeated.
    """
    x, y, side = box
    cos, sin = CROP / side * np.cos(roll_rad), CROP / side * np.sin(roll_rad)
    transform = np.array(
        [[cos, sin, CROP / 2 - cos * x - sin * y], [-sin, cos, CROP / 2 + sin * x - cos * y]],
        np.float64,
    )
    crop: Any = cv2.warpAffine(
        picture, transform, (CROP, CROP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, np.uint8)


def describe_face(picture: Picture, face: Sequence[float] | NDArray[np.float64]) -> Array:
    """Return the histograms of oriented gradients of a face, centred and of unit length.

    They are 0 for an even texture, which is thus like no face.

    Parameters
    ----------
    picture : ndarray of uint8, shape (height, width)
    face : Detection, or ndarray of float64, shape (3,)
        Begins with centre x, centre y and side.
    """
    histograms = _gradients().compute(crop_face(picture, face[:3])).ravel()
    histograms -= histograms.mean()
    length = float(np.linalg.norm(histograms))
    cells = histograms.reshape(-1, ORIENTATIONS)
    if np.linalg.norm(cells - cells.mean(axis=0)) < EVEN * length:
        return np.zeros_like(histograms)
    return np.asarray(histograms / max(length, 1e-9), np.float32)


@lru_cache
def _gradients() -> Any:
    # Crop, block, stride and cell in pixels.
    return cv2.HOGDescriptor((CROP, CROP), (16, 16), (16, 16), (8, 8), ORIENTATIONS)
