"""Even times from time stamps that are rounded, come in bursts, have gaps or jump back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.readers.stamps import even_times

START_S = 1_600_000_000.0


@pytest.mark.parametrize("rate_hz", [4, 64, 256, 500])
@pytest.mark.parametrize("start_s", [0.0, START_S])
def test_rounded_stamps_have_the_true_rate(rate_hz: int, start_s: float) -> None:
    times_s = np.arange(60 * rate_hz) / rate_hz
    even = even_times(np.round(start_s + times_s, 3))
    assert even is not None
    assert even.rate_hz == pytest.approx(rate_hz, rel=1e-4)
    assert even.times_s == pytest.approx(times_s, abs=2e-3)
    assert even.notes == []


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(20, 2000), st.floats(0.1, 500)), min_size=1, max_size=5),
    st.integers(0, 2**32 - 1),
)
def test_every_gap_keeps_the_samples_after_it_at_their_time(
    gaps: list[tuple[int, float]], seed: int
) -> None:
    times_s = np.arange(2000) / 100
    for index, gap_s in gaps:
        times_s[index:] += gap_s
    jitter_s = np.random.default_rng(seed).uniform(-1e-3, 1e-3, len(times_s))
    even = even_times(START_S + times_s + jitter_s)
    assert even is not None
    assert np.abs(even.times_s - even.times_s[0] - times_s).max() < 4e-3
    assert (np.diff(even.times_s) > 0).all()


def test_bursts_of_packets_become_even() -> None:
    times_s = np.arange(2500) / 250
    times_s[1250:] += 3.0
    even = even_times(np.ceil(times_s * 25) / 25)  # ten samples arrive together
    assert even is not None
    assert even.rate_hz == pytest.approx(250, rel=0.01)
    assert even.times_s - even.times_s[0] == pytest.approx(times_s, abs=0.03)


def test_samples_lost_evenly_between_bursts_are_no_other_rate_by_their_positions() -> None:
    positions = np.flatnonzero(np.arange(5000) % 25 >= 2)  # two of 25 samples, 8 ms
    stamps_s = np.ceil(positions / 250 * 25) / 25
    even = even_times(stamps_s, positions)
    assert even is not None
    assert even.rate_hz == pytest.approx(250, rel=2e-3)
    assert even.times_s - even.times_s[0] == pytest.approx((positions - 2) / 250, abs=1e-3)
    assert even_times(stamps_s).rate_hz == pytest.approx(230, rel=2e-3)


def test_a_backward_jump_is_noted_and_the_samples_continue() -> None:
    times_s = np.arange(1000) / 100
    stamps_s = times_s.copy()
    stamps_s[400:] -= 3600
    even = even_times(stamps_s)
    assert even is not None
    assert even.times_s == pytest.approx(times_s, abs=1e-6)
    assert even.notes == [
        "the time stamps jump back by 3.6e+03 s after sample 400: the samples are read as "
        "consecutive"
    ]


@pytest.mark.parametrize("stamps_s", [[], [1.0], [5.0, 5.0, 5.0], [3.0, 2.0, 1.0]])
def test_stamps_that_do_not_advance_give_nothing(stamps_s: list[float]) -> None:
    assert even_times(np.array(stamps_s)) is None
