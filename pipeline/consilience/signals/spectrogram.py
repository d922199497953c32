"""Spectrogram of a recording of any length, filtered and transformed in groups of frames."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from consilience.signals.decimation import Decimator, Source
from consilience.signals.short_time import frame_starts, multiples_hz, short_time_spectra

Array = NDArray[np.float32]

GROUP_FRAMES = 512  # computed at once
KEPT_BYTES = 2**24  # of the first groups, so that shorter recordings are transformed once


class Spectrogram:
    """Spectra of each channel in windows that slide over a signal.

    Attributes
    ----------
    source : callable
        Returns a stretch of the signal, without missing samples.
    n_samples : int
        Length of the signal.
    decimator : Decimator
    size : int
        Samples of a window, at the rate of the decimator.
    hz : ndarray of float64, shape (n_frequencies,)
    starts : ndarray of intp, shape (n_frames,)
        First sample of each window, at the rate of the decimator.
    """

    def __init__(
        self,
        source: Source,
        n_samples: int,
        decimator: Decimator,
        band_hz: tuple[float, float],
        window_s: float,
        hop_s: float,
    ) -> None:
        self.source, self.n_samples, self.decimator = source, n_samples, decimator
        self.band_hz, self.window_s, self.hop_s = band_hz, window_s, hop_s
        # By the nominal rate: an error of the estimated one must not decide where windows begin.
        self.size = round(window_s * decimator.nominal_hz)
        self.hz = multiples_hz(window_s, *band_hz)
        n_slow = n_samples // decimator.factor
        self.starts = frame_starts(n_slow, decimator.nominal_hz, self.size, hop_s)
        self._kept: dict[tuple[int, int], Array] = {}

    def of(self, source: Source) -> Spectrogram:
        """Return the spectrogram of another signal of the same length, in the same frames."""
        return Spectrogram(
            source, self.n_samples, self.decimator, self.band_hz, self.window_s, self.hop_s
        )

    def spectra(self, group: slice) -> Array:
        """Return the spectra of a group of frames, see `short_time_spectra`."""
        key = (group.start, group.stop)
        if key in self._kept:
            return self._kept[key]
        starts = self.starts[group]
        values = self.decimator.output(
            self.source, self.n_samples, int(starts[0]), int(starts[-1]) + self.size
        )
        spectra = short_time_spectra(
            values, starts - starts[0], self.decimator.nominal_hz, self.size, tuple(self.hz)
        )
        if spectra.nbytes + sum(kept.nbytes for kept in self._kept.values()) <= KEPT_BYTES:
            self._kept[key] = spectra
        return spectra

    @property
    def groups(self) -> list[slice]:
        """The groups of frames."""
        firsts = range(0, len(self.starts), GROUP_FRAMES)
        return [slice(at, min(at + GROUP_FRAMES, len(self.starts))) for at in firsts]

    @property
    def centres_s(self) -> NDArray[np.float64]:
        """The centre of each frame in seconds from the first sample, shape (n_frames,)."""
        return np.asarray((self.starts + self.size / 2) / self.decimator.rate_hz, np.float64)

    def overlaps(self, places: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return the frames that contain some of the samples of the signal, shape (n_frames,).

        Parameters
        ----------
        places : ndarray of intp, shape (n,)
            The samples, increasing.
        """
        factor = self.decimator.factor
        before = np.searchsorted(places, self.starts * factor)
        return np.asarray(np.searchsorted(places, (self.starts + self.size) * factor) > before)


class Mixture(NamedTuple):
    """Weighted power of ``x + g n`` for any gain g, where x and n are signals.

    Attributes
    ----------
    x2, xn, n2 : ndarray of float32, shape (n_channels, n_frames, n_weights)
        Weighted sums of the squares of x, of the products, and of the squares of n.
    """

    x2: Array
    xn: Array
    n2: Array

    @classmethod
    def of(cls, x: Array, n: Array, weights: Array) -> Self:
        """Return the mixture of two spectra; see `weighted_products`."""
        pairs = ((x, x), (x, n), (n, n))
        return cls(*(weighted_products(*pair, weights) for pair in pairs))

    def power(self, gain: float) -> Array:
        """Return the weighted power at a gain, shape (n_channels, n_frames, n_weights)."""
        total = self.x2 + 2 * gain * self.xn + gain**2 * self.n2
        return np.maximum(total, 0.0)  # rounding may leave less than nothing


def weighted_products(x: Array, n: Array, weights: Array) -> Array:
    """Return weighted sums of the products of two spectra, shape (n_channels, n_frames, n_weights).

    Parameters
    ----------
    x, n : ndarray of float32, shape (n_channels, n_frames, 2 * n_frequencies)
    weights : ndarray of float32, shape (2 * n_frequencies, n_weights)
    """
    return np.asarray((x * n) @ weights, np.float32)


def mixed(matrix: Array, spectra: Array) -> Array:
    """Return linear combinations of channels, shape (n_combinations, n_frames, n_values)."""
    n_channels, *shape = spectra.shape
    combined: Array = (matrix @ spectra.reshape(n_channels, -1)).reshape(-1, *shape)
    return combined
