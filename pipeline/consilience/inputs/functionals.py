"""Functionals: statistics of frames over time; the default of modalities."""

from __future__ import annotations

import numpy as np

from consilience.inputs.base import Array, Series, finite

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FUNCTIONALS = ("mean", "std", *(f"q{int(100 * q):02d}" for q in QUANTILES), "slope", "mean_step")
_CHUNK = 64  # windows summarised at a time: bounds memory, and stays in the processor's cache


def inputs(windows: Array) -> Array:
    """Summarise each feature over the valid frames of a window.

    Parameters
    ----------
    windows : ndarray of float32, shape (n_windows, n_frames, n_features)
        NaN where nothing was observed.

    Returns
    -------
    ndarray of float32, shape (n_windows, n_functionals * n_features)
        The functionals in the order of ``FUNCTIONALS``, features varying fastest; the values
        themselves, (n_windows, n_features), if windows have one frame. Finite everywhere: 0 where
        nothing was observed.
    """
    if windows.shape[1] == 1:
        return finite(windows[:, 0])
    starts = range(0, max(len(windows), 1), _CHUNK)
    return np.concatenate([functionals(windows[start : start + _CHUNK]) for start in starts])


def functionals(windows: Array) -> Array:
    """Summarise windows over time, ignoring values that are not finite.

    Parameters
    ----------
    windows : ndarray of float32, shape (n_windows, n_frames, n_features)

    Returns
    -------
    ndarray of float32, shape (n_windows, n_functionals * n_features)
        Slopes are per window length, steps between neighbouring valid frames are absolute.
    """
    series = Series.of(windows)
    centred = series.centred(series.values)
    std = np.sqrt(series.mean(np.square(centred)))

    # The slope of a least-squares line, over the valid frames of each feature.
    time = series.centred(np.linspace(-0.5, 0.5, windows.shape[1], dtype=np.float32))
    spread = np.maximum(np.square(time).sum(axis=2), np.float32(1e-12))
    slope = (time * centred).sum(axis=2) / spread

    # A step needs two neighbouring valid frames; a step across a gap would be larger.
    steps = series.steps()
    step = steps.mean(np.abs(steps.values))
    mean = series.mean(series.values)
    return np.concatenate([mean, std, *_quantiles(series), slope, step], axis=1)


def _quantiles(series: Series) -> list[Array]:
    """Return each of `QUANTILES` of the valid frames, with linear interpolation; 0 if none is."""
    # Infinity sorts missing frames behind the `count` valid ones.
    ordered = np.where(series.valid, series.values, np.float32(np.inf))
    ordered.sort(axis=2)
    last = np.maximum(series.count - 1, 0)
    result = []
    for quantile in QUANTILES:
        position = np.float32(quantile) * last.astype(np.float32)
        low = position.astype(np.int64)
        high = np.minimum(low + 1, last)
        below = np.take_along_axis(ordered, low[..., None], axis=2)[..., 0]
        above = np.take_along_axis(ordered, high[..., None], axis=2)[..., 0]
        share = position - low.astype(np.float32)
        with np.errstate(invalid="ignore"):  # infinite where no frame is valid
            value = below + share * (above - below)
        result.append(np.where(series.count > 0, value, np.float32(0)))
    return result
