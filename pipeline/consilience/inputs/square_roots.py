"""Functionals of square roots, which make intensities from 0 on less skewed."""

from __future__ import annotations

import numpy as np

from consilience.inputs import functionals
from consilience.inputs.base import Array


def inputs(windows: Array) -> Array:
    """Summarise the square roots of windows; negative values count as 0."""
    return functionals.inputs(np.sqrt(np.maximum(windows, np.float32(0))))
