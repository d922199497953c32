"""Losses in packet counters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.readers.packet_counter import count
from tests.packet_counters import counting


def test_losses_repeats_and_the_wrap_around_are_distinguished():
    # The third loss is at the wrap-around: a gap, but not a jump, since a counter decreases there.
    counter = counting(1000, losses=((100, 8), (300, 7), (500, 5)), repeats=(700,))
    packets = count(counter * 1e-6)  # EDF readers scale microvolts to volts
    assert (packets.jumps, packets.gaps, packets.lost) == (3, 3, 20)
    assert packets.repeated.sum() == 1
    assert packets.position[-1] == 999 + 20 - 1


@given(
    st.lists(
        st.tuples(st.integers(10, 900), st.integers(1, 100)), max_size=8, unique_by=lambda x: x[0]
    )
)
def test_every_missing_sample_is_counted(losses):
    counter = counting(1000, sorted(losses))
    packets = count(counter.astype(float))
    assert packets.lost == sum(missing for _, missing in losses)
    assert packets.gaps == len(losses)


@pytest.mark.parametrize(
    "values",
    [np.zeros(100), np.arange(100) % 2, np.full(100, np.nan), -np.arange(100), np.zeros(1)],
)
def test_a_channel_that_does_not_count_is_not_a_counter(values):
    assert count(values.astype(float)) is None


def test_a_complete_recording_has_no_findings():
    assert count(counting(1000).astype(float)).findings() == []


@given(
    st.sampled_from([(0, 100), (101, 200), (1, 127), (0, 255), (0, 15)]),
    st.integers(1, 12),
    st.integers(0, 11),
    st.lists(
        st.tuples(st.integers(20, 900), st.integers(1, 6)), max_size=4, unique_by=lambda x: x[0]
    ),
)
def test_packets_of_several_samples_and_other_first_numbers_are_counted(
    numbers, per_packet, n_cut, losses
):
    """OpenBCI's Ganglion counts from 101 to 200, and sends two samples in a packet."""
    first, last = numbers
    packets = np.arange(1000)
    for at, missing in losses:
        packets[at:] += missing
    counter = np.repeat(first + packets % (last - first + 1), per_packet)
    n_cut = min(n_cut, per_packet - 1)
    counted = count(counter[n_cut:].astype(float))
    assert counted.lost == per_packet * sum(missing for _, missing in losses)
    assert counted.position[-1] == per_packet * (packets[-1] + 1) - 1 - n_cut
    assert not counted.repeated.any()


def test_a_packet_that_came_twice_is_a_repetition():
    counter = np.repeat(101 + np.arange(500) % 100, 2)
    counted = count(np.insert(counter, 600, counter[598:600]).astype(float))
    assert np.flatnonzero(counted.repeated).tolist() == [600, 601]
    assert (counted.lost, counted.position[-1]) == (0, 999)
