"""Packet counters as recorders of EEG write them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def counting(
    n_samples: int, losses: Iterable[tuple[int, int]] = (), repeats: Iterable[int] = ()
) -> NDArray[np.int64]:
    """Return a counter from 0 to 128 that skips samples, or repeats one, at some positions."""
    numbers = np.arange(n_samples)
    for at, missing in losses:
        numbers[at:] += missing
    for at in repeats:
        numbers[at:] -= 1
    return numbers % 129
