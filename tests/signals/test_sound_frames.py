"""Frames of a sound, some at a time."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.signals import sound_frames
from consilience.signals.sound_frames import chunks, framed, stretch


@pytest.mark.parametrize("n_samples", [9, 20, 63, 64, 65, 200])
@pytest.mark.parametrize(("size", "hop"), [(8, 4), (16, 4), (16, 5), (4, 7)])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunks_of_frames_are_those_of_the_mirrored_sound(
    n_samples: int, size: int, hop: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_frames, "CHUNK", chunk)
    sound = np.arange(n_samples, dtype=np.float32)
    padded = np.pad(sound, size // 2, mode="reflect")
    whole = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    parts = [
        framed(stretch(sound, numbers, size, hop), size, hop) for numbers in chunks(n_samples, hop)
    ]
    assert np.array_equal(np.concatenate(parts), whole)
