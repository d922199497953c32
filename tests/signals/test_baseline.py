"""Features counted from their medians."""

from __future__ import annotations

import numpy as np

from consilience.signals.baseline import subtract_median

VALUES = np.array([[1, 10], [3, 30], [np.nan, np.nan], [8, 90]], np.float32)


def test_the_medians_of_the_reference_frames_become_zero() -> None:
    reference = np.array([True, True, False, True])
    counted = subtract_median(VALUES, reference)
    assert counted.dtype == np.float32
    assert np.array_equal(counted[reference], [[-2, -20], [0, 0], [5, 60]])
    assert np.isnan(counted[2]).all()


def test_without_reference_frames_nothing_changes() -> None:
    assert np.array_equal(subtract_median(VALUES, np.zeros(4, bool)), VALUES, equal_nan=True)


def test_a_constant_offset_has_no_influence() -> None:
    reference = np.array([True, False, False, True])
    shifted = subtract_median(VALUES + np.float32([2, -7]), reference)
    assert np.allclose(shifted, subtract_median(VALUES, reference), equal_nan=True)
