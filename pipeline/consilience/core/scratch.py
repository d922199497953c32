"""Large arrays in temporary files, so that memory holds only the blocks in use.

A recording of hours takes gigabytes once it is decoded. Its samples and feature frames are written
to temporary files and read block by block; the pages of a block leave memory with it. The files are
in the system's temporary folder (``TMPDIR``) and have no name: they end with the arrays.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from tempfile import TemporaryFile
from typing import Any, TypeVar

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import DTypeLike, NDArray

SMALL_BYTES = 2**25  # samples up to this size stay in memory, which is faster
FRAMES_BYTES = 2**23  # as `SMALL_BYTES`, of feature frames, which are read and written once
BLOCK_BYTES = 2**22
AROUND_BYTES = 2**20  # more than the system maps before and after a page that is used

Number = TypeVar("Number", bound=np.generic)


def empty(
    shape: int | tuple[int, ...], dtype: DTypeLike, small_bytes: int | None = None
) -> NDArray[Any]:
    """Return an array without values, in a temporary file if it is larger than `SMALL_BYTES`.

    Parameters
    ----------
    shape : int or tuple of int
    dtype : dtype
    small_bytes : int, optional
        Takes the place of `SMALL_BYTES`.

    Raises
    ------
    OSError
        If the disk is full.
    """
    sizes = (shape,) if isinstance(shape, int) else shape
    n_bytes = math.prod(sizes) * np.dtype(dtype).itemsize
    if n_bytes <= (SMALL_BYTES if small_bytes is None else small_bytes):
        return np.empty(sizes, dtype)
    with TemporaryFile() as file:
        # Without space set aside, a full disk would end the process when a block is written.
        os.posix_fallocate(file.fileno(), 0, n_bytes)
        return np.asarray(np.memmap(file, dtype, "r+", shape=sizes))


def full(
    shape: int | tuple[int, ...], value: float, dtype: DTypeLike, small_bytes: int | None = None
) -> NDArray[Any]:
    """Return an array of one value, in a temporary file if it is larger than `SMALL_BYTES`."""
    array = empty(shape, dtype, small_bytes)
    flat = array.reshape(-1)
    for places in blocks(flat):
        flat[places] = value
    return array


def joined(parts: Iterable[NDArray[Number]]) -> NDArray[Number]:
    """Join arrays along the first axis, in a temporary file if the result is large.

    Parameters
    ----------
    parts : iterable of ndarray, shape (n, ...)
        Of equal shapes but for the first axis, and of one type; at least one.

    Raises
    ------
    OSError
        If the disk is full.
    """
    remaining = iter(parts)
    small: list[NDArray[Number]] = []
    for array in remaining:
        small.append(array)
        if sum(each.nbytes for each in small) > SMALL_BYTES:
            break
    else:
        return small[0] if len(small) == 1 else np.concatenate(small)
    first, n_rows = small[0], 0
    with TemporaryFile() as file:
        for array in chain(_taken(small), remaining):
            file.write(np.ascontiguousarray(array).data)
            n_rows += len(array)
        file.flush()
        return np.asarray(np.memmap(file, first.dtype, "r+", shape=(n_rows, *first.shape[1:])))


def _taken(parts: list[NDArray[Number]]) -> Iterator[NDArray[Number]]:
    """Yield parts and keep none of them."""
    while parts:
        yield parts.pop(0)


def blocks(*arrays: NDArray[Any], step: int | None = None) -> Iterator[slice]:
    """Yield the rows of arrays of equal length block by block.

    The pages of all arrays leave memory when the next block is asked for.

    Parameters
    ----------
    *arrays : ndarray, shape (n_rows, ...)
    step : int, optional
        Rows of a block; by default, `BLOCK_BYTES` of the largest array.
    """
    n_rows = len(arrays[0])
    largest = max(array.nbytes for array in arrays)
    step = step or max(BLOCK_BYTES * n_rows // max(largest, 1), 1)
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))
        release(*arrays)


def column(array: NDArray[Number], number: int) -> NDArray[Number]:
    """Return a column of an array of shape (n_rows, n_columns) in memory, shape (n_rows,)."""
    values = np.empty(len(array), array.dtype)
    for rows in blocks(array):
        values[rows] = array[rows, number]
    return values


def release(*arrays: NDArray[Any]) -> None:
    """Remove the pages of arrays in temporary files from memory; their values remain.

    Of a view, only its own pages are removed, and those around it that the system maps with them.
    """
    for array in arrays:
        whole: NDArray[Any] = array
        while isinstance(whole.base, np.ndarray):  # a view refers to the array that it is of
            whole = whole.base
        if isinstance(whole.base, mmap.mmap) and array.size:
            origin = byte_bounds(whole)[0]
            first, last = (place - origin for place in byte_bounds(array))
            first = max(first - AROUND_BYTES, 0) // mmap.PAGESIZE * mmap.PAGESIZE
            last = min(last + AROUND_BYTES, len(whole.base))
            whole.base.madvise(mmap.MADV_DONTNEED, first, last - first)


def even_times_s(n_samples: int, rate_hz: float, start_s: float = 0.0) -> NDArray[np.float64]:
    """Return the times of regular samples in seconds, shape (n_samples,)."""
    times_s: NDArray[np.float64] = empty(n_samples, np.float64)
    for rows in blocks(times_s):
        times_s[rows] = np.arange(rows.start, rows.stop)
        times_s[rows] /= rate_hz
        times_s[rows] += start_s
    return times_s
