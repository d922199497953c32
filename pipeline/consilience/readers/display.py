"""Orientation and shape of a container's pictures: display matrix and pixel aspect ratio.

A display matrix maps stored pixels to displayed ones, x' = a x + c y and y' = b x + d y with y
downwards (ISO 14496-12). Cameras rotate in steps of 90°, and mirror the picture of a selfie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

FIXED_POINT = 65536  # 1.0 in the matrix
SLANT = 1.0  # degrees from a multiple of 90° that are reported
PIXEL_ASPECTS = (0.25, 4.0)  # beyond, the header is wrong


class Display(NamedTuple):
    """The linear part of a display matrix."""

    a: float
    b: float
    c: float
    d: float

    @property
    def is_sideways(self) -> bool:
        """Whether rows are displayed as columns."""
        return abs(self.b) > abs(self.a)

    @property
    def is_mirrored(self) -> bool:
        """Whether left and right are exchanged, apart from a rotation."""
        return self.a * self.d - self.b * self.c < 0

    @property
    def angle_deg(self) -> float:
        """Rotation counterclockwise, 0 to 360; of a mirrored picture, after mirroring it."""
        sign = -1 if self.is_mirrored else 1
        return float(-np.degrees(np.arctan2(sign * self.b, sign * self.a))) % 360

    def upright(self, stored: Picture) -> Picture:
        """Return the picture as it is displayed, rotated to the nearest multiple of 90°."""
        across, down = (self.c, self.b) if self.is_sideways else (self.a, self.d)
        picture = stored.T if self.is_sideways else stored
        return picture[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]

    def findings(self) -> list[str]:
        """Return what the matrix states, in one sentence; none for an upright picture."""
        turned = round(self.angle_deg) % 360
        off = abs(turned - 90 * round(self.angle_deg / 90)) > SLANT
        remark = f"rotated {turned}°, turned {'to the nearest quarter' if off else 'upright'}"
        if not self.is_mirrored:
            return [remark] if turned else []
        if turned == 180:
            return ["mirrored top to bottom, turned upright"]
        return [f"mirrored left to right and {remark}" if turned else "mirrored left to right"]


AS_STORED = Display(1, 0, 0, 1)


def display_of(frame: Any) -> Display:
    """Return how a decoded frame (`av.VideoFrame`) is to be displayed."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return AS_STORED
    # A row of the matrix is a, b, u, then c, d, v: u and v concern perspective.
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].astype(float) / FIXED_POINT
    return Display(a, b, c, d) if a * d - b * c else AS_STORED


def display_reader() -> Callable[[Any], Display]:
    """Return a function of a video's frames, in order, that returns how each is to be displayed.

    The matrix is read where its rotation changes.
    """
    # A frame whose side data were read refers to itself: its picture stays in memory until garbage
    # is collected, hundreds of frames later.
    display, rotation_deg = AS_STORED, None

    def current(frame: Any) -> Display:
        nonlocal display, rotation_deg
        if frame.rotation != rotation_deg:
            display, rotation_deg = display_of(frame), frame.rotation
        return display

    return current


def pixel_aspect(stream: Any) -> float:
    """Return width over height of a stream's (`av.VideoStream`) pixels, 1 if unstated."""
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if PIXEL_ASPECTS[0] <= ratio <= PIXEL_ASPECTS[1] else 1.0


def aspect_findings(stream: Any) -> list[str]:
    """Return a remark if pixels are not square."""
    ratio = stream.sample_aspect_ratio
    if not ratio or ratio == 1:
        return []
    used = "resized to square ones" if pixel_aspect(stream) != 1 else "invalid and ignored"
    return [f"pixels of {ratio.numerator}:{ratio.denominator}, {used}"]
