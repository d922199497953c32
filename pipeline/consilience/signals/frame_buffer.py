"""Video frames in a temporary file, so that memory holds only those in use.

An hour at the working width and 25 frames a second takes 3.9 GB of the disk. Frames that are
computed from others, such as corrupted ones, are not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from tempfile import TemporaryFile
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from consilience.core.scratch import release

Frame = NDArray[np.uint8]  # shape (height, width)
Frames = NDArray[np.uint8]  # shape (n_frames, height, width)

RESIDENT_BYTES = 2**24  # of a file, after whose use its memory is released


def spool(frames: Iterable[Frame]) -> Frames:
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


class LazyFrames(Sequence[Frame]):
    """Frames that are computed each time they are used.

    Parameters
    ----------
    n_frames : int
    frame : callable
        Returns the frame of an index, ndarray of uint8, shape (height, width).
    """

    def __init__(self, n_frames: int, frame: Callable[[int], Any]) -> None:
        self._n_frames = n_frames
        self._frame = frame

    def __len__(self) -> int:
        return self._n_frames

    @overload
    def __getitem__(self, index: int) -> Frame: ...

    @overload
    def __getitem__(self, index: slice) -> LazyFrames: ...

    def __getitem__(self, index: int | slice) -> Frame | LazyFrames:
        indices = range(self._n_frames)[index]
        if isinstance(indices, range):
            return LazyFrames(len(indices), lambda number: self._frame(indices[number]))
        return np.asarray(self._frame(indices), np.uint8)

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(self._n_frames))


def stored_frames(frames: Frames) -> LazyFrames:
    """Return the frames of an array, of whose file little is in memory at a time.

    Pages of a mapped file count as memory of the process from their first use until it ends, or
    until they are released, as here. They are read again if they are used again.
    """
    n_resident = max(RESIDENT_BYTES // max(frames[:1].nbytes, 1), 1)
    used: list[int] = []  # since memory was released

    def frame(index: int) -> Frame:
        if len(used) == n_resident:
            release(frames[min(used) : max(used) + 1])
            used.clear()
        used.append(index)
        return np.asarray(frames[index], np.uint8)

    return LazyFrames(len(frames), frame)
