"""Simulated voices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from consilience.core.seeds import generator

RATE_HZ = 16000


def voice(
    pitch_hz: float = 150.0, duration_s: float = 2.0, rate_hz: int = RATE_HZ
) -> NDArray[np.float64]:
    """Return half a second of harmonics up to 4 kHz, half of quiet, and so on."""
    times = np.arange(int(duration_s * rate_hz)) / rate_hz
    harmonics = np.arange(1, int(4000 / pitch_hz) + 1)[:, None]
    buzz = 0.1 * (np.sin(2 * np.pi * pitch_hz * harmonics * times) / harmonics).sum(axis=0)
    noise = 1e-3 * generator("voice").standard_normal(times.size)
    return np.where(times % 1 < 0.5, buzz, 0) + noise
