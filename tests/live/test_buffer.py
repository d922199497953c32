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


def test_jitter_of_a_stream_with_a_rate_costs_no_sample() -> None:
    buffer = RingBuffer(1000, 1, "float32", 250.0)
    times_s = np.arange(500) / 250 + np.random.default_rng(0).normal(0, 0.005, 500)
    assert buffer.append(np.zeros((500, 1)), times_s) == 500
    assert buffer.append(np.zeros((100, 1)), times_s[300:400]) == 0
    assert buffer.positions.tolist() == list(range(500))


def test_positions_count_the_samples_that_were_lost() -> None:
    buffer = RingBuffer(50, 1, "float32", 10.0)
    times_s = np.concatenate([np.arange(30), np.arange(42, 60)]) / 10 + 100
    for rows in np.split(np.arange(48), 6):
        buffer.append(np.zeros((len(rows), 1)), times_s[rows])
    assert buffer.positions.tolist() == [*range(30), *range(42, 60)]
    buffer.append(np.zeros((20, 1)), 107 + np.arange(20) / 10)
    assert buffer.positions[-20:].tolist() == list(range(70, 90))
    assert len(buffer.positions) == 50
