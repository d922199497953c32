"""Physical limits of bodily signals: values outside them are errors of unit, scale or contact.

The limits are wide: they separate orders of magnitude, not good recordings from poor ones.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.core.scratch import release

Array = NDArray[np.float64]


class Limits(NamedTuple):
    """The range in which a quantity is physically possible.

    Attributes
    ----------
    name : str
        What is measured, for messages.
    low, high : float
        In `unit`, inclusive.
    unit : str
    """

    name: str
    low: float
    high: float
    unit: str

    def violation(self, value: float) -> str | None:
        """Return a description of a value outside the limits; None if it is possible or NaN."""
        if np.isnan(value) or self.low <= value <= self.high:
            return None
        return (
            f"{self.name} is {value:.3g} {self.unit}, "
            f"possible are {self.low:g} to {self.high:g} {self.unit}"
        )


EEG_RMS_UV: Final = Limits("the median RMS of the EEG", 0.1, 1000.0, "µV")
EEG_BAND_HZ: Final = (1.0, 45.0)
STRETCH_S = 2.0
MAX_STRETCHES = 16  # of a long recording; evenly spaced


def band_rms(values: Array, rate_hz: float, band_hz: tuple[float, float] = EEG_BAND_HZ) -> Array:
    """Estimate the root mean square of each channel within a band.

    Parameters
    ----------
    values : ndarray of float64, shape (n_samples, n_channels)
        Consecutive samples; stretches that contain NaN are left out.
    rate_hz : float
    band_hz : tuple of float
        Lower and upper edge.

    Returns
    -------
    ndarray of float64, shape (n_channels,)
        In the unit of the values, the median over stretches of 2 s; NaN for a channel without a
        complete stretch, or of a single value throughout.
    """
    size = min(round(STRETCH_S * rate_hz), len(values))
    starts = np.unique(np.linspace(0, len(values) - size, MAX_STRETCHES).astype(np.intp))
    stretches = [values[start : start + size] for start in starts]
    powers = np.array([_band_power(stretch, rate_hz, band_hz) for stretch in stretches])
    every = np.concatenate(stretches)
    release(values)
    powers[:, ~(np.fmin.reduce(every) < np.fmax.reduce(every))] = np.nan
    rms = np.full(values.shape[1], np.nan)
    for channel, power in enumerate(powers.T):
        complete = power[np.isfinite(power)]
        if len(complete):
            rms[channel] = np.sqrt(np.median(complete))
    return rms


def eeg_amplitude_uv(values: Array, rate_hz: float) -> float:
    """Return the median over channels of the RMS of an EEG in 1 to 45 Hz, in µV.

    Parameters
    ----------
    values : ndarray of float64, shape (n_samples, n_channels)
        In volts.
    rate_hz : float

    Returns
    -------
    float
        NaN if no channel has a value that changes.
    """
    rms = band_rms(values, rate_hz)
    finite = rms[np.isfinite(rms)]
    return float(np.median(finite)) * 1e6 if len(finite) else float("nan")


def _band_power(stretch: Array, rate_hz: float, band_hz: tuple[float, float]) -> Array:
    """Return the mean square of each channel within a band, shape (n_channels,)."""
    size = len(stretch)
    window = np.hanning(size)[:, None]
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    inside = (hz >= band_hz[0]) & (hz <= band_hz[1])
    spectrum = np.fft.rfft((stretch - stretch.mean(axis=0)) * window, axis=0)[inside]
    squares = spectrum.real**2 + spectrum.imag**2
    power: Array = 2 * squares.sum(axis=0) / (size * np.sum(window**2))
    return power
