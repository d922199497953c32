"""Probability that chance alone produces a number of matches."""

from __future__ import annotations

from scipy.special import pdtrc


def poisson_tail(count: float, mean: float) -> float:
    """Return the probability of more than `count` events of a Poisson process.

    The same as ``scipy.stats.poisson.sf``, whose module takes a second to import.

    Parameters
    ----------
    count : float
        A negative one is always exceeded.
    mean : float
        Expected number of events, at least 0.
    """
    return 1.0 if count < 0 else float(pdtrc(count, mean))
