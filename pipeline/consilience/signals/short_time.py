"""Short-time Fourier transform at a few frequencies."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Indices = NDArray[np.intp]


def frame_starts(n_samples: int, rate_hz: float, size: int, hop_s: float) -> Indices:
    """Return the first sample of every window of some samples in a signal, shape (n_frames,)."""
    n_frames = 1 + int((n_samples - size) / (hop_s * rate_hz))
    starts = np.arange(n_frames) * hop_s * rate_hz
    # Rates are estimated: an error in the last digit must not decide how a half is rounded.
    return np.rint(starts.round(6)).astype(np.intp)


def multiples_hz(window_s: float, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """Return the frequencies that a window resolves, from one to below another, in Hz."""
    multiples = np.arange(np.ceil(low_hz * window_s), np.ceil(high_hz * window_s))
    return np.asarray(multiples / window_s, np.float64)


def short_time_spectra(
    values: Array, starts: Indices, rate_hz: float, size: int, hz: tuple[float, ...]
) -> Array:
    """Compute the spectrum in Hann windows.

    Parameters
    ----------
    values : ndarray of float32, shape (n_channels, n_samples)
    starts : ndarray of intp, shape (n_frames,)
        First sample of each window.
    rate_hz : float
    size : int
        Samples of a window.
    hz : tuple of float
        The frequencies, above 0, of which a window holds whole periods.

    Returns
    -------
    ndarray of float32, shape (n_channels, n_frames, 2 * n_frequencies)
        Real parts, then imaginary parts. The sum of the squares is the power at the frequencies,
        in the square of the signal's unit.
    """
    windows = np.lib.stride_tricks.sliding_window_view(values, size, axis=1)[:, starts]
    spectra: Array = windows @ _basis(rate_hz, size, hz)  # few frequencies: faster than an FFT
    return spectra


@lru_cache(maxsize=16)
def _basis(rate_hz: float, size: int, hz: tuple[float, ...]) -> Array:
    """Return the windowed cosines and sines, shape (size, 2 * n_frequencies)."""
    window = np.sin(np.pi * np.arange(size) / size) ** 2
    angles = np.outer(np.arange(size) / rate_hz, 2 * np.pi * np.array(hz))
    # One-sided: every frequency stands for its negative one too.
    scale = np.sqrt(2 / (size * np.sum(window**2)))
    basis = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * window[:, np.newaxis]
    return np.asarray(scale * basis, np.float32)
