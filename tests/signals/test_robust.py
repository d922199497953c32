from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from consilience.core.seeds import generator
from consilience.signals.robust import MAD_TO_SD


def test_the_factor_is_that_of_the_normal_distribution():
    assert pytest.approx(1 / norm.ppf(0.75), abs=5e-5) == MAD_TO_SD


def test_the_scaled_median_deviation_estimates_the_standard_deviation():
    values = generator("robust").normal(0, 3, 100_000)
    assert MAD_TO_SD * np.median(np.abs(values)) == pytest.approx(3, rel=0.02)
