"""Losses that come in bursts: of packets, of frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bursts(n: int, share: float, mean_length: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw what is lost from a chain of two states (Gilbert 1960).

    Parameters
    ----------
    n : int
        Steps.
    share : float
        Of them lost on average, below 1.
    mean_length : float
        Steps of a burst on average; longer where `share` leaves less than one step between two.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    if share * n < 1e-3:
        return np.zeros(n, bool)
    lost = max(mean_length, share / (1 - share))
    kept = max(1.0, lost * (1 - share) / share)  # rounding can leave less
    n_pairs = 2 * int(n / (lost + kept)) + 20
    lengths = np.minimum(rng.geometric([1 / kept, 1 / lost], (n_pairs, 2)), n)
    states = np.repeat(np.tile([False, True], n_pairs), lengths.ravel())
    first = rng.integers(0, max(states.size - n, 0) + 1)
    return np.resize(states[first:], n)
