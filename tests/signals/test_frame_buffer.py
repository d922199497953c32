"""Frames in a temporary file are an ordinary array."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.signals.frame_buffer import spool

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
