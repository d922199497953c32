"""Grey pictures of decoded video frames: the luma plane, reduced to a width and a height."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

# Pixel formats whose first plane is luma of 8 bits; the others are converted.
PLANAR = ("420p", "422p", "444p", "410p", "411p", "440p")
LUMA_FIRST = {"gray", "nv12", "nv21", *(f"{kind}{p}" for kind in ("yuv", "yuvj") for p in PLANAR)}
FULL_RANGE = ("gray", "yuvj")  # beginnings of formats with luma from 0 to 255
BLACK, WHITE = 16, 235  # luma in the limited range of the other formats


class GreyPictures:
    """Converts frames to grey pictures; one object for all frames of a video is fastest."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def picture(self, frame: Any, columns: int, rows: int) -> Picture:
        """Return a frame (`av.VideoFrame`) as stored, in grey levels of 0 to 255.

        Parameters
        ----------
        frame : av.VideoFrame
        columns, rows : int
            Size of the picture.
        """
        if frame.format.name not in LUMA_FIRST or frame.planes[0].line_size < 0:
            frame = self._reformatter.reformat(frame, format="gray")
        plane = frame.planes[0]
        luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        small = reduce(luma[: frame.height, : frame.width], columns, rows)
        full = frame.format.name.startswith(FULL_RANGE) or frame.color_range == ColorRange.JPEG
        gain = 1.0 if full else 255 / (WHITE - BLACK)
        offset = 0.0 if full else -BLACK * gain
        # The one function of OpenCV that scales, rounds and clips.
        grey: Any = cv2.addWeighted(small, gain, small, 0, offset, dtype=cv2.CV_8U)
        return np.asarray(grey, np.uint8)


def reduce(luma: Picture, columns: int, rows: int) -> NDArray[np.float32]:
    """Resize a picture by means of two pixels, as often as possible, then by interpolation.

    This is several times faster than means over areas of any size, and differs little.
    """
    while True:
        height, width = luma.shape
        across, down = (2 if width >= 2 * columns else 1), (2 if height >= 2 * rows else 1)
        if across == down == 1:
            break
        size = width // across, height // down
        even = luma[: down * size[1], : across * size[0]]
        luma = np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA), np.uint8)
    floats = luma.astype(np.float32)
    return np.asarray(
        cv2.resize(floats, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32
    )
