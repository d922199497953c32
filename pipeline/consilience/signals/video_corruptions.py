"""Corruptions of a face video: sensor, lens, light, objects before the face, connection, codec.

Each function takes grey frames, the value of the severity, a function that returns the boxes of the
face, shape (n_frames, 3), and a generator, and returns the corrupted frames. They are computed when
they are used, because most features need a few of them or their faces only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from consilience.signals.burst_loss import bursts
from consilience.signals.frame_buffer import Frame, LazyFrames

Frames = Sequence[Frame]
Boxes = NDArray[np.float64]
Locate = Callable[[], Boxes]

STALL_FRAMES = 8.0
READ_NOISE_GREY = 4.0  # standard deviation of a sensor's noise when little light is amplified
HAND_FRAMES = 10.0  # the period of a hand's movement is 3 to 10 times as many frames


def noise(frames: Frames, sigma_grey: float, face: Locate, rng: np.random.Generator) -> LazyFrames:
    """Add the noise of a sensor, different in every frame."""
    height, width = frames[0].shape
    # Random windows of one field of noise cost a tenth of new noise for every frame.
    field = rng.normal(0, sigma_grey, (2 * height, 2 * width)).astype(np.int16)
    jumps = rng.integers(0, (height, width), (len(frames), 2))
    # In bytes, of which OpenCV adds several at a time; sums beyond 0 and 255 are clipped.
    lighter, darker = (np.clip(change, 0, 255).astype(np.uint8) for change in (field, -field))

    def noisy(index: int) -> Any:
        row, column = jumps[index]
        area = slice(row, row + height), slice(column, column + width)
        return cv2.subtract(cv2.add(frames[index], lighter[area]), darker[area])

    return LazyFrames(len(frames), noisy)


def blur(frames: Frames, radius: float, face: Locate, rng: np.random.Generator) -> LazyFrames:
    """Blur the frames, as a lens out of focus; the radius is a share of the picture's width."""
    size = 2 * max(round(radius * frames[0].shape[1]), 1) + 1
    return _each(frames, lambda frame: cv2.stackBlur(frame, (size, size)))


def darkness(frames: Frames, share: float, face: Locate, rng: np.random.Generator) -> LazyFrames:
    """Reduce the light to a share; the noise of the sensor is not reduced."""
    dark = _each(frames, lambda frame: cv2.convertScaleAbs(frame, alpha=share))
    return noise(dark, READ_NOISE_GREY, face, rng)


def occlusion(frames: Frames, size: float, face: Locate, rng: np.random.Generator) -> LazyFrames:
    """Cover the face with a hand: a uniform ellipse of the skin's grey level that moves over it.

    `size` is the diameter as a share of the face's.
    """
    boxes = _without_gaps(face())
    turns = np.arange(len(frames))[:, None] / HAND_FRAMES * rng.uniform(0.1, 0.3, 2)
    path = 0.25 * np.sin(2 * np.pi * (turns + rng.random(2)))
    tilt = rng.uniform(-40, 40)

    def occluded(index: int) -> Frame:
        frame = frames[index].copy()
        (x, y, side), (right, down) = boxes[index], path[index]
        half = 0.5 * size * side
        centre = round(x + right * side), round(y + down * side)
        skin = float(np.median(frame[_around(y, side), _around(x, side)]))
        axes = max(round(half), 1), max(round(0.8 * half), 1)
        cv2.ellipse(frame, centre, axes, tilt, 0, 360, 0.85 * skin, cv2.FILLED)
        return frame

    return LazyFrames(len(frames), occluded)


def eyewear(frames: Frames, opacity: float, face: Locate, rng: np.random.Generator) -> LazyFrames:
    """Cover eyes and brows with sunglasses of an opacity."""
    return _cover(frames, face, (-0.45, -0.25, 0.45, 0.05), opacity)


def face_mask(frames: Frames, opacity: float, face: Locate, rng: np.random.Generator) -> LazyFrames:
    """Cover nose and mouth with a mask of an opacity."""
    return _cover(frames, face, (-0.35, 0.08, 0.35, 0.5), opacity)


def frame_drop(frames: Frames, rate: float, face: Locate, rng: np.random.Generator) -> LazyFrames:
    """Lose frames in bursts; the last received frame is repeated in their place."""
    lost = bursts(len(frames), rate, STALL_FRAMES, rng)
    lost[0] = False
    last_received = np.maximum.accumulate(np.where(lost, 0, np.arange(len(frames))))
    return LazyFrames(len(frames), lambda index: frames[last_received[index]])


def codec(frames: Frames, quality: float, face: Locate, rng: np.random.Generator) -> LazyFrames:
    """Compress every frame as JPEG, in blocks of 8 by 8 pixels."""
    options = [cv2.IMWRITE_JPEG_QUALITY, round(quality)]

    def compressed(frame: Frame) -> Any:
        return cv2.imdecode(cv2.imencode(".jpg", frame, options)[1], cv2.IMREAD_GRAYSCALE)

    return _each(frames, compressed)


APPLY: Mapping[str, Callable[..., LazyFrames]] = {
    "noise": noise,
    "blur": blur,
    "darkness": darkness,
    "occlusion": occlusion,
    "eyewear": eyewear,
    "face_mask": face_mask,
    "frame_drop": frame_drop,
    "codec": codec,
}


def _each(frames: Frames, corrupt: Callable[[Frame], Any]) -> LazyFrames:
    return LazyFrames(len(frames), lambda index: corrupt(frames[index]))


def _cover(
    frames: Frames, face: Locate, region: tuple[float, float, float, float], opacity: float
) -> LazyFrames:
    """Blend a dark rectangle over a region of the face.

    `region` is left, top, right and bottom from the face's centre, in sides of its box.
    """
    left, top, right, bottom = region
    boxes = _without_gaps(face())

    def covered(index: int) -> Frame:
        frame, (x, y, side) = frames[index].copy(), boxes[index]
        rows = slice(max(round(y + top * side), 0), max(round(y + bottom * side), 0))
        columns = slice(max(round(x + left * side), 0), max(round(x + right * side), 0))
        area = frame[rows, columns]
        if area.size:
            cv2.convertScaleAbs(area, dst=area, alpha=1 - opacity, beta=40 * opacity)
        return frame

    return LazyFrames(len(frames), covered)


def _around(centre: float, side: float) -> slice:
    return slice(max(int(centre - side / 4), 0), max(int(centre + side / 4), 1))


def _without_gaps(boxes: Boxes) -> Boxes:
    """Interpolate the box of the face in frames where it was not detected."""
    index, detected = np.arange(len(boxes)), ~np.isnan(boxes[:, 0])
    columns = [np.interp(index, index[detected], column[detected]) for column in boxes.T]
    return np.stack(columns, axis=1)
