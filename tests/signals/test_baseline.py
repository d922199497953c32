"""Features counted from their medians."""

from __future__ import annotations

import numpy as np

from consilience.signals.baseline import subtract_median

VALUES = np.array([[1, 10], [3, 30], [np.nan, np.nan], [8, 90]], np.float32)


def test_the_medians_of_the_usual_frames_become_zero() -> None:
    usual = np.array([True, True, False, True])
    counted = subtract_median(VALUES, usual)
    assert counted.dtype == np.float32
    assert np.array_equal(counted[usual], [[-2, -20], [0, 0], [5, 60]])
    assert np.isnan(counted[2]).all()


def test_without_usual_frames_nothing_changes() -> None:
    assert np.array_equal(subtract_median(VALUES, np.zeros(4, bool)), VALUES, equal_nan=True)


def test_what_is_constantly_added_makes_no_difference() -> None:
    usual = np.array([True, False, False, True])
    shifted = subtract_median(VALUES + np.float32([2, -7]), usual)
    assert np.allclose(shifted, subtract_median(VALUES, usual), equal_nan=True)
