"""The latest samples in memory of a fixed size."""

from __future__ import annotations

import numpy as np

from consilience.live.buffer import RingBuffer


def test_the_latest_samples_are_kept_in_memory_of_a_fixed_size() -> None:
    buffer = RingBuffer(100, 2, "float32")
    size = buffer.nbytes
    rng = np.random.default_rng(0)
    stop = 0
    while stop < 5000:
        start, stop = stop, stop + int(rng.integers(0, 40))
        times_s = np.arange(start, stop, dtype=float)
        buffer.append(np.stack([times_s, -times_s], 1).astype(np.float32), times_s)
        kept = min(stop, 100)
        assert buffer.times_s[-kept:].tolist() == list(range(stop - kept, stop))
        np.testing.assert_array_equal(buffer.values[:, 0], buffer.times_s)
        np.testing.assert_array_equal(buffer.values[:, 1], -buffer.times_s)
    assert buffer.nbytes == size
    assert buffer.first_s == 0


def test_a_chunk_longer_than_the_buffer_leaves_its_end() -> None:
    buffer = RingBuffer(10, 1, "int16")
    times_s = np.arange(35.0)
    assert buffer.append(np.zeros((35, 1), np.int16), times_s) == 35
    assert buffer.times_s.tolist() == list(range(25, 35))


def test_samples_that_are_not_later_are_left_out() -> None:
    buffer = RingBuffer(10, 1, "float64")
    buffer.append(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]))
    assert buffer.append(np.arange(4.0)[:, None], np.array([0.5, 1.0, 2.0, 1.5])) == 1
    assert buffer.times_s.tolist() == [0.0, 1.0, 2.0]
    assert RingBuffer(3, 1, "float32").last_s == -np.inf
