"""Corruptions of one-channel signals: stated strength, same shape, reproducible."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.signals.single_channel_corruptions import APPLY, RANGE, dropout, noise, wander

RATE_HZ = 100.0
TIMES_S = np.arange(6000) / RATE_HZ
VALUES = (5 + np.sin(2 * np.pi * 1.2 * TIMES_S))[:, None]
LEVELS = {"noise": 3.0, "wander": 4.0, "movement": 4.0, "dropout": 0.35}


@pytest.mark.parametrize("kind", APPLY)
def test_shape_is_kept_and_the_result_depends_on_the_generator_alone(kind: str) -> None:
    before = VALUES.copy()
    first, again = (
        APPLY[kind](VALUES, LEVELS[kind], RATE_HZ, generator("one", kind)) for _ in range(2)
    )
    assert first.shape == VALUES.shape
    assert np.array_equal(first, again)
    assert np.array_equal(VALUES, before)
    other = APPLY[kind](VALUES, LEVELS[kind], RATE_HZ, generator("two", kind))
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("snr_db", [20.0, 0.0, -10.0])
def test_noise_has_the_stated_ratio(snr_db: float) -> None:
    added = noise(VALUES, snr_db, RATE_HZ, generator("noise")) - VALUES
    # A quarter of a sine's range from 2 to 98 % is half its amplitude.
    assert added.std() == pytest.approx(0.5 / 10 ** (snr_db / 20), rel=0.05)


@pytest.mark.parametrize("share", [0.1, 0.35, 0.7])
def test_a_detached_sensor_is_constant_for_the_stated_share(share: float) -> None:
    corrupted = dropout(VALUES, share, RATE_HZ, generator("dropout"))
    constant = (corrupted == np.median(VALUES)).mean()
    assert constant == pytest.approx(share, abs=0.05)


def test_drift_stays_within_the_amplifiers_range() -> None:
    corrupted = wander(VALUES, 1000.0, RATE_HZ, generator("wander"))
    deviation = np.abs(corrupted - np.median(VALUES)).max()
    assert deviation == pytest.approx(RANGE * 0.5, rel=0.05)


@pytest.mark.parametrize("kind", APPLY)
def test_a_constant_signal_stays_finite(kind: str) -> None:
    constant = np.full((500, 1), 3.0)
    corrupted = APPLY[kind](constant, LEVELS[kind], RATE_HZ, generator("constant"))
    assert np.isfinite(corrupted).all()
