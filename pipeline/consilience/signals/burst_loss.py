"""Losses in bursts, as of packets and video frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bursts(n: int, share: float, mean_length: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw lost steps from a Markov chain with the states received and lost (Gilbert 1960).

    Parameters
    ----------
    n : int
        Number of steps.
    share : float
        Mean share of lost steps, below 1.
    mean_length : float
        Mean number of steps in a burst. It is longer where `share` would leave less than one
        received step between two bursts.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of bool, shape (n,)
        True for lost steps.
    """
    if share * n < 1e-3:
        return np.zeros(n, bool)
    lost = max(mean_length, share / (1 - share))
    kept = max(1.0, lost * (1 - share) / share)  # rounding may leave slightly less than 1
    n_pairs = 2 * int(n / (lost + kept)) + 20
    # The duration of a state of a Markov chain has a geometric distribution.
    lengths = np.minimum(rng.geometric([1 / kept, 1 / lost], (n_pairs, 2)), n)
    states = np.repeat(np.tile([False, True], n_pairs), lengths.ravel())
    # A random start, because the drawn states begin with a full interval without loss.
    first = rng.integers(0, max(states.size - n, 0) + 1)
    return np.resize(states[first:], n)
