"""Confidence set right after training, on corrupted windows of validation subjects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

TEMPERATURES = np.geomspace(0.5, 8.0, 41)
DISCOUNTS = np.linspace(0.0, 0.9, 10)


def scale(
    logits: NDArray[np.float64],
    coherence: NDArray[np.float64],
    temperature: float,
    discount: float,
) -> NDArray[np.float64]:
    """Return ``logits / T * (1 - rho (1 - coherence))``; the most likely class never changes.

    Parameters
    ----------
    logits : ndarray, shape (..., K)
    coherence : ndarray, shape (...)
        Ignored where `discount` is 0.
    temperature, discount : float
        ``T > 0`` (Guo et al. 2017) and ``0 <= rho < 1``.
    """
    factor = 1 - discount * (1 - coherence) if discount else np.ones_like(coherence)
    return logits * (factor / temperature)[..., None]


def fit(
    logits: NDArray[np.float64],
    coherence: NDArray[np.float64],
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    discounted: bool,
) -> tuple[float, float]:
    """Return the temperature and discount of least cross-entropy on a grid.

    Parameters
    ----------
    logits, target : ndarray, shape (n, K)
        Predictions and soft labels of validation windows, all finite.
    coherence, weight : ndarray, shape (n,)
    discounted : bool
        Whether the discount is searched; otherwise it is 0.

    Returns
    -------
    temperature, discount : float
        1 and 0 if there are no windows.
    """
    if not len(logits):
        return 1.0, 0.0
    tried = [
        (
            _loss(scale(logits, coherence, temperature, discount), target, weight),
            temperature,
            discount,
        )
        for discount in (DISCOUNTS if discounted else DISCOUNTS[:1])
        for temperature in TEMPERATURES
    ]
    _, temperature, discount = min(tried)
    return float(temperature), float(discount)


def _loss(
    logits: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    loss = -(target * log_softmax(logits, -1)).sum(-1)
    return float((loss * weight).sum() / weight.sum())
