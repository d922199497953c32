from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.readers.pace import fit_pace

NOMINAL_S = np.arange(0, 300, 0.02)


@pytest.mark.parametrize("ppm", [-50_000, -5000, -100, 50, 1000, 88_000])
def test_a_pace_is_fitted_whatever_the_rounding_and_the_losses(ppm: float) -> None:
    stamps_s = 1e5 + NOMINAL_S * (1 + ppm * 1e-6)
    stamps_s[4000:] += 3.0
    stamps_s[9000] += 0.3  # one late stamp
    fitted = fit_pace(NOMINAL_S, np.round(stamps_s, 3))
    assert fitted == pytest.approx(ppm * 1e-6, abs=5e-6)


def test_jitter_and_losses_are_not_a_pace() -> None:
    jitter_s = generator("jitter").exponential(0.005, NOMINAL_S.size)
    assert fit_pace(NOMINAL_S, NOMINAL_S + jitter_s) == 0
    assert fit_pace(NOMINAL_S, np.round(NOMINAL_S, 3)) == 0
    assert fit_pace(NOMINAL_S, NOMINAL_S + (NOMINAL_S > 100)) == 0


def test_without_stamps_the_pace_is_nominal() -> None:
    assert fit_pace(NOMINAL_S, np.full(NOMINAL_S.size, np.nan)) == 0
    assert fit_pace(NOMINAL_S[:3], NOMINAL_S[:3] * 1.1) == 0
    assert fit_pace(np.zeros(20), np.arange(20.0)) == 0
