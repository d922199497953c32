"""Plateaus, and how long a slow signal stays at one value of its recorder."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.signals.plateaus import drift_time_s, plateaus


def test_only_stretches_of_the_least_duration_are_plateaus() -> None:
    values = np.sin(np.arange(1000) / 7.3)
    values[100:130] = 0.5  # 0.3 s
    values[400:520] = 0.5  # 1.2 s
    assert np.flatnonzero(plateaus(values, 100, 1.0)).tolist() == list(range(400, 520))
    assert plateaus(values, 100, 0.25).sum() == 150
    assert not plateaus(values, 100, 2.0).any()


@pytest.mark.parametrize("level", [1e-7, 1.0, 1e6])
def test_the_unit_does_not_matter(level: float) -> None:
    values = level * np.repeat(np.arange(20.0), 50)
    assert plateaus(values, 100, 0.4).all()
    assert not plateaus(values, 100, 0.6).any()
    assert drift_time_s(values + level * 100, 0.01) == pytest.approx(1 / (0.01 * 109.5), rel=0.01)


def test_a_signal_that_never_moves_is_one_plateau() -> None:
    assert plateaus(np.full(50, 3.0), 10, 60.0).all()
    assert drift_time_s(np.full(50, 3.0), 1e-4) == 0
    assert drift_time_s(np.zeros(50), 1e-4) == 0
