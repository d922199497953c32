"""What spoils the picture of a face: sensor, lens, light, things in front, the line, the codec.

Each function takes grey frames, shape (n_frames, height, width), the severity's number, a
function that says where the face is, and a generator, and returns the spoilt frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from consilience.signals.burst_loss import bursts
from consilience.signals.frame_buffer import spool

Frames = NDArray[np.uint8]
Boxes = NDArray[np.float64]
Locate = Callable[[], Boxes]

STALL_FRAMES = 8.0
READ_NOISE_GREY = 4.0  # of a sensor in the dark, as it is when little light is amplified
HAND_FRAMES = 10.0  # a hand that wanders comes back after 3 to 10 times as many


def noise(frames: Frames, sigma_grey: float, face: Locate, rng: np.random.Generator) -> Frames:
    """Add the grain of a sensor, fresh in every frame."""
    height, width = frames.shape[1:]
    # One field of noise, seen through a window that jumps, costs a tenth of fresh noise.
    field = rng.normal(0, sigma_grey, (2 * height, 2 * width)).astype(np.int16)
    jumps = rng.integers(0, (height, width), (len(frames), 2))
    grains = (field[row : row + height, column : column + width] for row, column in jumps)
    pairs = zip(frames, grains, strict=True)
    return spool(np.asarray(cv2.add(f, g, dtype=cv2.CV_8U), np.uint8) for f, g in pairs)


def blur(frames: Frames, radius: float, face: Locate, rng: np.random.Generator) -> Frames:
    """Put the lens out of focus: a blur of this radius, as a part of the picture's width."""
    size = 2 * max(round(radius * frames.shape[2]), 1) + 1
    return _each(frames, lambda frame: cv2.stackBlur(frame, (size, size)))


def darkness(frames: Frames, share: float, face: Locate, rng: np.random.Generator) -> Frames:
    """Leave this share of the light; what the sensor adds by itself stays."""
    dark = _each(frames, lambda frame: cv2.convertScaleAbs(frame, alpha=share))
    return noise(dark, READ_NOISE_GREY, face, rng)


def occlusion(frames: Frames, size: float, face: Locate, rng: np.random.Generator) -> Frames:
    """Hold a hand before the face: a flat ellipse of skin that wanders over it.

    `size` is the diameter as a part of the face's.
    """
    boxes = _filled(face())
    turns = np.arange(len(frames))[:, None] / HAND_FRAMES * rng.uniform(0.1, 0.3, 2)
    path = 0.25 * np.sin(2 * np.pi * (turns + rng.random(2)))
    tilt = rng.uniform(-40, 40)
    spoilt = spool(frames)
    for frame, (x, y, side), (right, down) in zip(spoilt, boxes, path, strict=True):
        half = 0.5 * size * side
        centre = round(x + right * side), round(y + down * side)
        skin = float(np.median(frame[_around(y, side), _around(x, side)]))
        axes = max(round(half), 1), max(round(0.8 * half), 1)
        cv2.ellipse(frame, centre, axes, tilt, 0, 360, 0.85 * skin, cv2.FILLED)
    return spoilt


def eyewear(frames: Frames, opacity: float, face: Locate, rng: np.random.Generator) -> Frames:
    """Put sunglasses of this opacity before eyes and brows."""
    return _cover(frames, face, (-0.45, -0.25, 0.45, 0.05), opacity)


def face_mask(frames: Frames, opacity: float, face: Locate, rng: np.random.Generator) -> Frames:
    """Put a mask of this opacity before nose and mouth."""
    return _cover(frames, face, (-0.35, 0.08, 0.35, 0.5), opacity)


def frame_drop(frames: Frames, rate: float, face: Locate, rng: np.random.Generator) -> Frames:
    """Lose frames in bursts; the last one that arrived stays on the screen."""
    lost = bursts(len(frames), rate, STALL_FRAMES, rng)
    lost[0] = False
    shown = np.maximum.accumulate(np.where(lost, 0, np.arange(len(frames))))
    return spool(frames[index] for index in shown)


def codec(frames: Frames, quality: float, face: Locate, rng: np.random.Generator) -> Frames:
    """Code every frame by itself in blocks of 8 by 8 (JPEG)."""
    setting = [cv2.IMWRITE_JPEG_QUALITY, round(quality)]

    def coded(frame: Frames) -> Any:
        return cv2.imdecode(cv2.imencode(".jpg", frame, setting)[1], cv2.IMREAD_GRAYSCALE)

    return _each(frames, coded)


APPLY: Mapping[str, Callable[..., Frames]] = {
    "noise": noise,
    "blur": blur,
    "darkness": darkness,
    "occlusion": occlusion,
    "eyewear": eyewear,
    "face_mask": face_mask,
    "frame_drop": frame_drop,
    "codec": codec,
}


def _each(frames: Frames, spoil: Callable[[Frames], Any]) -> Frames:
    return spool(np.asarray(spoil(frame), np.uint8) for frame in frames)


def _cover(
    frames: Frames, face: Locate, part: tuple[float, float, float, float], opacity: float
) -> Frames:
    """Blend a dark rectangle over a part of the face: left, top, right, bottom in its sides."""
    left, top, right, bottom = part
    spoilt = spool(frames)
    for frame, (x, y, side) in zip(spoilt, _filled(face()), strict=True):
        rows = slice(max(round(y + top * side), 0), max(round(y + bottom * side), 0))
        columns = slice(max(round(x + left * side), 0), max(round(x + right * side), 0))
        covered = frame[rows, columns]
        if covered.size:
            cv2.convertScaleAbs(covered, dst=covered, alpha=1 - opacity, beta=40 * opacity)
    return spoilt


def _around(centre: float, side: float) -> slice:
    return slice(max(int(centre - side / 4), 0), max(int(centre + side / 4), 1))


def _filled(boxes: Boxes) -> Boxes:
    """Let the face stay where it was seen last, or first."""
    index, known = np.arange(len(boxes)), ~np.isnan(boxes[:, 0])
    return np.stack([np.interp(index, index[known], column[known]) for column in boxes.T], axis=1)
