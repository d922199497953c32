"""Mean and standard deviation over time, for frames that are summaries themselves."""

from __future__ import annotations

import numpy as np

from consilience.inputs.base import Array, Series


def inputs(windows: Array) -> Array:
    """Return mean and standard deviation, shape (n_windows, 2 n_features), of valid frames."""
    series = Series.of(windows)
    std = np.sqrt(series.mean(np.square(series.centred(series.values))))
    return np.concatenate([series.mean(series.values), std], axis=1)
