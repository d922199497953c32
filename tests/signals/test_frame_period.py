from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.signals.frame_period import frame_period_s


@pytest.mark.parametrize(
    ("steps", "period"),
    [
        ([4] * 9, 4),
        ([3, 4, 3, 3, 4], 3),  # rounding
        ([4] * 9 + [900], 4),  # a gap longer than the rest
        ([2] * 9 + [900], 4),  # of a camera faster than the target
        ([3, 3, 3, 1, 1] * 9, 3),
        ([3, 3, 1, 1, 1] * 9, 3),
        ([1] * 90 + [3] * 9, 1),  # bursts that last
    ],
)
def test_the_period_is_that_of_most_of_the_time(steps: list[int], period: float) -> None:
    assert frame_period_s(np.cumsum([0.0, *steps]), 4.0) == period


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=40), st.floats(1e-3, 1e3))
def test_the_period_is_a_step_or_the_target(steps: list[float], target_s: float) -> None:
    times_s = np.cumsum([0.0, *steps])
    period_s = frame_period_s(times_s, target_s)
    assert float(np.median(np.diff(times_s))) <= period_s
    assert period_s <= max(np.median(np.diff(times_s)), target_s)
