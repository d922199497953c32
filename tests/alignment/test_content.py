import numpy as np
import pytest

from consilience.alignment.content import LEAST_OVERLAP_S, estimate_delay_s
from consilience.core.seeds import generator


def syllables(length_s: float, *names: object, frame_s: float = 0.04) -> tuple[np.ndarray, ...]:
    """Return times and a trace with peaks at the rate of syllables."""
    times = np.arange(0, length_s, frame_s)
    peaks = np.cumsum(generator("content", *names).uniform(0.15, 0.6, 100))
    return times, np.exp(-(((times[:, None] - peaks) / 0.08) ** 2)).sum(axis=1)


@pytest.mark.parametrize("delay_s", [-1.7, 0.0, 0.35])
def test_the_delay_of_equal_traces_is_estimated(delay_s: float) -> None:
    times, trace = syllables(10)
    estimate = estimate_delay_s(times, trace, times + delay_s, trace, 3.0)
    assert estimate == pytest.approx(delay_s, abs=0.02)


def test_scale_and_slow_trend_are_ignored() -> None:
    times, trace = syllables(10)
    other = 5 * trace + 40 + 3 * np.sin(2 * np.pi * times / 20)
    assert estimate_delay_s(times, trace, times, other, 3.0) == pytest.approx(0, abs=0.02)


def test_frame_rates_may_differ() -> None:
    times, trace = syllables(10)
    other_s, other = syllables(10, frame_s=0.01)
    assert estimate_delay_s(times, trace, other_s + 0.8, other, 3.0) == pytest.approx(0.8, abs=0.02)


def test_unknown_frames_are_interpolated() -> None:
    times, trace = syllables(10)
    gaps = trace.copy()
    gaps[::7] = np.nan
    assert estimate_delay_s(times, gaps, times + 0.5, trace, 3.0) == pytest.approx(0.5, abs=0.02)


def test_a_delay_beyond_the_bound_is_not_returned() -> None:
    times, trace = syllables(10)
    assert estimate_delay_s(times, trace, times + 1.0, trace, 0.5) is None
    assert estimate_delay_s(times, trace, times + 60.0, trace, 5.0) is None


def test_a_periodic_trace_is_ambiguous() -> None:
    times = np.arange(0, 10, 0.04)
    beat = np.sin(2 * np.pi * 3 * times)
    assert estimate_delay_s(times, beat, times, beat, 3.0) is None


def test_unrelated_short_and_empty_traces_have_no_delay() -> None:
    times, trace = syllables(10)
    _, other = syllables(10, "other")
    short = times < LEAST_OVERLAP_S - 0.5
    assert estimate_delay_s(times, trace, times, other, 3.0) is None
    assert estimate_delay_s(times[short], trace[short], times, trace, 3.0) is None
    assert estimate_delay_s(times, np.full_like(trace, np.nan), times, trace, 3.0) is None
