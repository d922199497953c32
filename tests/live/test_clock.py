"""The clock of a sender, corrected online."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.live.clock import OnlineClock


def test_offset_and_drift_are_found_through_wrong_measurements() -> None:
    clock, rng = OnlineClock(), np.random.default_rng(0)
    for number in range(60):
        at_s = 1000 + 5.0 * number
        error_s = 0.05 if number % 5 == 3 else 1e-4 * rng.normal()  # one in five is delayed
        clock.add(at_s, -7.0 + 80e-6 * (at_s - 1000) + error_s)
    assert clock.drift_ppm == pytest.approx(80, abs=3)
    stamps_s = np.array([1000.0, 1295.0, 1300.0])
    true_s = stamps_s - 7.0 + 80e-6 * (stamps_s - 1000)
    np.testing.assert_allclose(clock.to_session(stamps_s), true_s, atol=1e-3)


def test_the_first_measurements_give_an_offset_without_drift() -> None:
    clock = OnlineClock()
    assert not clock.measured
    for at_s, offset_s in ((0.0, 2.0), (5.0, 2.001), (10.0, 1.999)):
        clock.add(at_s, offset_s)
    assert clock.measured
    assert clock.drift_ppm == 0
    assert clock.offset_s == 2.0


def test_a_clock_that_was_set_begins_anew() -> None:
    clock = OnlineClock()
    for at_s in np.arange(0, 100, 5.0):
        clock.add(at_s, 3.0)
    clock.add(1000.0, -895.0)
    assert clock.n_resets == 1
    np.testing.assert_allclose(clock.to_session(np.array([1000.0])), [105.0])
