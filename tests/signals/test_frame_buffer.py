"""Frames in a temporary file are an ordinary array."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.signals import frame_buffer
from consilience.signals.frame_buffer import LazyFrames, spool, stored_frames

FRAMES = generator("spool").integers(0, 256, (7, 5, 6)).astype(np.uint8)


def test_the_array_holds_the_frames() -> None:
    stored = spool(iter(FRAMES))
    assert stored.dtype == np.uint8
    assert np.array_equal(stored, FRAMES)


def test_the_array_is_writable_and_independent_of_its_source() -> None:
    stored = spool(FRAMES)
    stored[0] = 0
    assert not stored[0].any()
    assert FRAMES[0].any()


def test_frames_that_are_not_contiguous_are_stored_in_order() -> None:
    assert np.array_equal(spool(frame[:, ::2] for frame in FRAMES), FRAMES[:, :, ::2])


def test_no_frames_are_an_empty_array() -> None:
    assert spool([]).shape == (0, 0, 0)


def test_frames_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a frame of \(4, 6\) among frames of \(5, 6\)"):
        spool([FRAMES[0], FRAMES[1, :4]])


def test_no_file_remains(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def failing() -> Iterator[np.ndarray]:
        yield FRAMES[0]
        raise RuntimeError

    stored = spool(FRAMES)
    with pytest.raises(RuntimeError):
        spool(failing())
    assert stored.shape == FRAMES.shape
    assert not list(tmp_path.iterdir())


def test_frames_are_computed_when_they_are_used() -> None:
    used: list[int] = []

    def frame(index: int) -> np.ndarray:
        used.append(index)
        return FRAMES[index]

    lazy = LazyFrames(len(FRAMES), frame)
    assert np.array_equal(lazy[::-3][1], FRAMES[3])
    assert used == [3]
    assert np.array_equal(lazy[-1], FRAMES[-1])
    assert np.array_equal(list(lazy[2:5]), FRAMES[2:5])
    assert len(lazy[1:][::2]) == 3
    with pytest.raises(IndexError):
        lazy[len(FRAMES)]


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_little_of_a_file_is_in_memory_at_a_time(monkeypatch) -> None:
    monkeypatch.setattr(frame_buffer, "RESIDENT_BYTES", 2**21)
    frame = np.ones((512, 1024), np.uint8)
    stored = spool(number % 200 * frame for number in range(64))
    frames = stored_frames(stored[:, ::2])
    before = resident_bytes()
    means = []
    for one in frames:
        means.append(one.mean())
        assert resident_bytes() < before + 8 * 2**20
    assert means == list(range(64))
    stored.mean()
    assert resident_bytes() > before + 16 * 2**20


def test_frames_in_memory_are_used_as_they_are() -> None:
    assert np.array_equal(list(stored_frames(FRAMES)), FRAMES)
