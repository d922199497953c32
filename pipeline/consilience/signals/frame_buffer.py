"""Video frames in a temporary file, so that memory holds only those in use.

Feature extraction passes over the frames of a video several times, and every corruption creates as
many again. A minute at the working width is 65 MB.
"""

from __future__ import annotations

from collections.abc import Iterable
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]  # shape (n_frames, height, width)


def spool(frames: Iterable[Frames]) -> Frames:
    """Write frames to a temporary file and return them as a memory-mapped array.

    The file is in the system's temporary folder (``TMPDIR``), and is deleted with the array.

    Parameters
    ----------
    frames : iterable of ndarray of uint8, shape (height, width)
        All of the same shape.

    Returns
    -------
    ndarray of uint8, shape (n_frames, height, width)
        Writable; shape (0, 0, 0) without frames.

    Raises
    ------
    ValueError
        If frames differ in shape.
    OSError
        If the disk is full.
    """
    n_frames, shape = 0, (0, 0)
    with TemporaryFile() as file:
        for frame in frames:
            if n_frames and frame.shape != shape:
                raise ValueError(f"a frame of {frame.shape} among frames of {shape}")
            shape = frame.shape
            file.write(np.ascontiguousarray(frame).data)
            n_frames += 1
        if not n_frames:
            return np.empty((0, 0, 0), np.uint8)
        file.flush()
        return np.asarray(np.memmap(file, np.uint8, "r+", shape=(n_frames, *shape)))
