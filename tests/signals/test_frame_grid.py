"""Overlapping frames: positions, samples and shares."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.signals.frame_grid import FrameGrid


def test_frames_fill_the_signal_and_no_more() -> None:
    frames = FrameGrid.over(1000, 100.0, 2.0, 0.5)
    assert frames.size == 200
    assert frames.starts.tolist() == list(range(0, 801, 50))
    assert frames.starts[-1] + frames.size == 1000
    assert frames.centres_s[:2] == pytest.approx([0.995, 1.495])


def test_a_fractional_hop_does_not_accumulate_an_error() -> None:
    frames = FrameGrid.over(100_000, 128.0, 1.0, 0.3)
    nominal = np.arange(len(frames.starts)) * 0.3 * 128
    assert np.abs(frames.starts - nominal).max() <= 0.5


def test_a_short_signal_is_one_frame() -> None:
    frames = FrameGrid.over(30, 100.0, 2.0, 0.5)
    assert (frames.starts.tolist(), frames.size) == ([0], 30)


def test_a_cut_has_the_samples_of_every_frame() -> None:
    frames = FrameGrid.over(10, 1.0, 4.0, 3.0)
    assert frames.cut(np.arange(10.0)).tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]


def test_the_share_is_the_mean_of_the_mask_in_every_frame() -> None:
    mask = np.arange(500) % 7 < 3
    frames = FrameGrid.over(500, 50.0, 1.0, 0.25)
    expected = frames.cut(mask.astype(float)).mean(axis=1)
    assert frames.share(mask) == pytest.approx(expected)
