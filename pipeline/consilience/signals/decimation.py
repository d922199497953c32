"""Causal band-pass filter that lowers the sampling rate, for recordings of any length.

A short low-pass filter precedes the reduction of the rate, and the sharp band-pass follows at the
lower rate, where it is cheap. Any stretch of the output is computed from a stretch of the input.

Both are of minimum phase: the output depends on no later input, so that a recording which is still
being received is filtered as a complete one. Power spectra do not depend on the phase.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.signal
from numpy.typing import NDArray

Array = NDArray[np.float32]
Source = Callable[[int, int], Array]  # samples from start to stop, shape (n_channels, n)

ATTENUATION_DB = 65.0
MAINS_HALF_WIDTH_HZ = 1.0
MAX_TRANSITION_HZ = 1.0
N_FFT = 2**17  # of the design: the logarithm of a stop band has a long cepstrum
RATE_DIGITS = 4  # of the rate for which a filter is designed: its edges move by at most 5e-4
ROW = 32  # outputs per row of a product of matrices: changes the speed only


class Decimator(NamedTuple):
    """A filter; see `decimator`.

    Attributes
    ----------
    factor : int
        Samples of the input per sample of the output.
    rate_hz : float
        Of the output.
    nominal_hz : float
        The same of a rate of the input with `RATE_DIGITS` digits, for which the filter is designed.
    lowpass, bandpass : ndarray of float32, shape (n_taps,)
        Impulse responses, at the rate of the input and of the output.
    """

    factor: int
    rate_hz: float
    nominal_hz: float
    lowpass: Array
    bandpass: Array

    @property
    def reach(self) -> int:
        """Samples of the input before an output sample on which it depends."""
        return len(self.lowpass) - 1 + self.factor * (len(self.bandpass) - 1)

    def output(self, source: Source, n_samples: int, start: int, stop: int) -> Array:
        """Return a stretch of the output; sample k is at the time of the input's ``factor * k``.

        Before its start, the input is as its first sample.

        Parameters
        ----------
        source : callable
            Returns a stretch of the input.
        n_samples : int
            Length of the input.
        start, stop : int
            In samples of the output.

        Returns
        -------
        ndarray of float32, shape (n_channels, stop - start)
        """
        first = start * self.factor - self.reach
        values = source(max(first, 0), min((stop - 1) * self.factor + 1, n_samples))
        if first < 0:
            values = np.pad(values, ((0, 0), (-first, 0)), "edge")
        slow = decimated(values, self.lowpass[::-1], self.factor)
        taps = self.bandpass[np.newaxis]
        filtered: Array = scipy.signal.oaconvolve(slow, taps, "valid", axes=1)
        return filtered


def decimator(
    rate_hz: float, band_hz: tuple[float, float], mains_hz: float, least_rate_hz: float
) -> Decimator:
    """Design the filter by Kaiser windows.

    The response falls over half of the lower edge, at most 1 Hz, on both sides of the band. Mains
    frequencies are in the stop band, above the band or as notches within it.

    Parameters
    ----------
    rate_hz : float
        Of the input.
    band_hz : tuple of float
        Edges of the pass band.
    mains_hz : float
    least_rate_hz : float
        The rate of the output is the input's divided by a whole number, and not below this but
        for rounding.
    """
    # The rate of a stream is estimated anew for each of its windows. Rounded, they share a filter,
    # which is also that of the whole recording.
    nominal_hz = float(f"{rate_hz:.{RATE_DIGITS}g}")
    factor = max(1, int(nominal_hz / least_rate_hz * (1 + 1e-6)))
    lowpass, bandpass = _responses(nominal_hz, band_hz, mains_hz, factor)
    return Decimator(factor, rate_hz / factor, nominal_hz / factor, lowpass, bandpass)


@lru_cache(maxsize=16)
def _responses(
    rate_hz: float, band_hz: tuple[float, float], mains_hz: float, factor: int
) -> tuple[Array, Array]:
    """Return the impulse responses of the low-pass and of the band-pass; see `decimator`."""
    low_hz, high_hz = band_hz
    slow_hz = rate_hz / factor
    width_hz = min(low_hz / 2, MAX_TRANSITION_HZ)
    top_hz = min(high_hz + width_hz / 2, slow_hz / 2 - width_hz / 2)
    edges_hz = _without_mains(low_hz - width_hz, top_hz, mains_hz)
    bandpass = _minimum_phase(_taps(edges_hz, width_hz, slow_hz, False))
    bandpass -= bandpass.mean()  # an electrode's offset is far larger than the EEG
    lowpass = np.ones(1)
    if factor > 1:
        # What is folded into the transition band is removed by the band-pass.
        gap_hz = slow_hz - 2 * high_hz - width_hz
        lowpass = _minimum_phase(_taps([(slow_hz - width_hz) / 2], gap_hz, rate_hz, True))
    return lowpass.astype(np.float32), bandpass.astype(np.float32)


def decimated(values: Array, taps: Array, factor: int) -> Array:
    """Filter channels and keep one sample of ``factor``, where the filter lies within the signal.

    Parameters
    ----------
    values : ndarray of float32, shape (n_channels, n_samples)
    taps : ndarray of float32, shape (n_taps,)
        Weights of consecutive samples: an impulse response in reverse order.
    factor : int

    Returns
    -------
    ndarray of float32, shape (n_channels, 1 + (n_samples - n_taps) // factor)
    """
    if factor == len(taps) == 1:
        return values
    n_channels, n_samples = values.shape
    size = 1 + (n_samples - len(taps)) // factor
    per_row = max(ROW, -(-len(taps) // factor))
    width, beyond = per_row * factor, len(taps) - 1
    n_rows = -(-size // per_row)
    padded = np.zeros((n_channels, (n_rows + 1) * width), np.float32)
    used = min(n_samples, padded.shape[1])
    padded[:, :used] = values[:, :used]
    rows = padded.reshape(n_channels, n_rows + 1, width)
    # Column k of the matrix is the filter, delayed by k * factor: products of matrices are fast.
    matrix = np.zeros((width + beyond, per_row), np.float32)
    for column in range(per_row):
        matrix[column * factor : column * factor + len(taps), column] = taps
    product = rows[:, :-1] @ matrix[:width] + rows[:, 1:, :beyond] @ matrix[width:]
    return np.asarray(product.reshape(n_channels, -1)[:, :size], np.float32)


def _without_mains(low_hz: float, top_hz: float, mains_hz: float) -> list[float]:
    """Return the edges of a pass band, and of notches at the mains frequencies within it."""
    edges_hz = [low_hz]
    for hum_hz in np.arange(mains_hz, top_hz + MAINS_HALF_WIDTH_HZ, mains_hz):
        below_hz, above_hz = hum_hz - MAINS_HALF_WIDTH_HZ, hum_hz + MAINS_HALF_WIDTH_HZ
        if below_hz > low_hz:
            edges_hz += [below_hz, above_hz]
        else:
            edges_hz = [max(low_hz, above_hz)]
    inside = [edge for edge in edges_hz if edge < top_hz]
    # A notch that reaches over the upper edge ends the band.
    return inside if len(inside) % 2 == 0 else [*inside, top_hz]


def _taps(
    edges_hz: list[float], width_hz: float, rate_hz: float, pass_zero: bool
) -> NDArray[np.float64]:
    """Design a filter of odd length by a Kaiser window."""
    n_taps, beta = scipy.signal.kaiserord(ATTENUATION_DB, width_hz / (rate_hz / 2))
    taps: NDArray[np.float64] = scipy.signal.firwin(
        n_taps | 1, edges_hz, window=("kaiser", beta), pass_zero=pass_zero, fs=rate_hz
    )
    return taps


def _minimum_phase(taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the filter of the same length and gain whose energy comes earliest.

    Its cepstrum is that of the logarithm of the gain, folded onto positive times (Oppenheim and
    Schafer, "Discrete-time signal processing").
    """
    gain = np.abs(np.fft.rfft(taps, N_FFT))
    # Zeros on the unit circle have no logarithm; this lies far below the stop band.
    cepstrum = np.fft.irfft(np.log(np.maximum(gain, 1e-6 * gain.max())))
    cepstrum[1 : N_FFT // 2] *= 2
    cepstrum[N_FFT // 2 + 1 :] = 0
    response = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))
    return np.asarray(response[: len(taps)])
