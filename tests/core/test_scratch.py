"""Large arrays in temporary files, and the memory that they take."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest

from consilience.core import scratch

LARGE = 2**22  # numbers of 64 bits, in a file


def resident_bytes() -> int:
    match = re.search(r"RssFile:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return 1024 * int(match[1])


def in_file(array: np.ndarray) -> bool:
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


def test_small_arrays_are_in_memory_and_large_ones_in_a_file() -> None:
    assert not in_file(scratch.empty((4, 5), np.float32))
    large = scratch.empty((LARGE + 1, 1), np.float64)
    assert in_file(large)
    large[-1] = 7
    assert large[-1, 0] == 7
    assert (scratch.full(LARGE + 1, 2.5, np.float64)[[0, -1]] == 2.5).all()


@pytest.mark.parametrize("n_parts", [1, 3, 20])
def test_joined_parts_are_those_of_numpy(n_parts: int) -> None:
    parts = [np.full((2**17, 3), number, np.float64).T.copy().T for number in range(n_parts)]
    together = scratch.joined(iter(parts))
    assert np.array_equal(together, np.concatenate(parts))
    assert in_file(together) == (together.nbytes > scratch.SMALL_BYTES)


def test_the_pages_of_a_block_leave_memory_with_it() -> None:
    array = scratch.full(8 * LARGE, 1.0, np.float64)
    before, most, total = resident_bytes(), 0, 0.0
    for rows in scratch.blocks(array[5:]):
        total += float(array[5:][rows].sum())
        most = max(most, resident_bytes() - before)
    assert total == 8 * LARGE - 5
    assert most < array.nbytes / 8
    assert resident_bytes() - before < array.nbytes / 16


def test_the_pages_of_a_view_leave_memory_without_the_others() -> None:
    array = scratch.full(8 * LARGE, 1.0, np.float64)
    before = resident_bytes()
    assert array.sum() == array.size
    for first, last in ((4 * LARGE, 7 * LARGE), (0, LARGE)):
        in_use = resident_bytes()
        scratch.release(array[first:last:2])
        n_bytes = 8 * (last - first)
        assert 0.9 * n_bytes < in_use - resident_bytes() < 1.1 * n_bytes
    assert array.sum() == array.size
    scratch.release(array[:0])
    assert resident_bytes() - before > 0.9 * array.nbytes


def test_a_column_is_one_of_the_array(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(30.0).reshape(10, 3)
    monkeypatch.setattr(scratch, "BLOCK_BYTES", 100)
    assert np.array_equal(scratch.column(array, 1), array[:, 1])


def test_blocks_cover_the_rows_once() -> None:
    array = np.zeros((10, 3))
    rows = [(part.start, part.stop) for part in scratch.blocks(array, step=4)]
    assert rows == [(0, 4), (4, 8), (8, 10)]
    assert list(scratch.blocks(np.zeros((0, 3)))) == []


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match="No space left"):
        scratch.empty(LARGE + 1, np.float64)


def test_even_times_are_multiples_of_the_period() -> None:
    times_s = scratch.even_times_s(LARGE + 3, 500.0, 2.0)
    assert np.array_equal(times_s, np.arange(LARGE + 3) / 500.0 + 2.0)
