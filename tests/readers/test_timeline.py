"""Times of interrupted recordings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.readers.timeline import Timeline

SEGMENTS = st.lists(st.tuples(st.integers(1, 200), st.floats(0, 1e4)), min_size=1, max_size=12)


@settings(max_examples=50)
@given(SEGMENTS, st.sampled_from([1.0, 128.0, 250.0, 999.7]), st.randoms(use_true_random=False))
def test_any_sequence_of_gaps_keeps_every_marker_at_its_true_time(segments, rate_hz, random):
    """Segments are (samples, gap before the segment in seconds); the first gap is not stated."""
    gaps, true_s, clock_s, n_samples = [], [], 0.0, 0
    for length, gap_s in segments:
        if n_samples:
            gaps.append((n_samples, gap_s))
            clock_s += gap_s
        true_s += [clock_s + k / rate_hz for k in range(length)]
        clock_s += length / rate_hz
        n_samples += length
    timeline = Timeline.with_gaps(rate_hz, gaps)
    assert timeline.times_s(n_samples) == pytest.approx(true_s, rel=1e-12, abs=1e-9)
    marked = np.array(sorted(random.sample(range(n_samples), min(n_samples, 5))))
    assert timeline.at(marked) == pytest.approx(np.array(true_s)[marked], rel=1e-12, abs=1e-9)
    assert (np.diff(timeline.times_s(n_samples)) > 0).all()


def test_a_continuous_recording_counts_from_zero():
    timeline = Timeline.continuous(250.0)
    assert not timeline.interrupted
    assert timeline.times_s(4).tolist() == (np.arange(4) / 250.0).tolist()


def test_a_position_between_samples_belongs_to_the_segment_before_it():
    timeline = Timeline.with_gaps(10.0, [(0, 99.0), (5, 2.0), (5, 1.0)])
    assert timeline.at(np.array([4.5, 5.0, 5.5])) == pytest.approx([0.45, 3.5, 3.55])
