"""Heart beats in ECG and pulse signals: detection, rate and variability over time."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from consilience.signals.frame_grid import FrameGrid

Array = NDArray[np.float64]

LEVEL_S = 10.0  # over which the mean signal is taken: a burst of movement hides no beats elsewhere
REFRACTORY_S = 0.3  # least time between two beats
INTERVAL_S = (0.33, 2.0)  # possible intervals: 180 to 30 beats per minute
PLAUSIBLE = 0.7  # least share of a frame's intervals that are possible, and that are regular
REGULAR = 0.2  # neighbouring intervals differ by less, relative to their mean


def detect_beats(
    positive: Array, rate_hz: float, peak_s: float, beat_s: float, offset: float
) -> NDArray[np.intp]:
    """Detect heart beats by two moving averages (Elgendi 2013, PLoS ONE 8(10)).

    A beat is where the mean over about a peak exceeds the mean over about a beat, for at least
    as long as a peak lasts. Its position is the maximum of that stretch.

    Parameters
    ----------
    positive : ndarray of float64, shape (n_samples,)
        Band-passed signal, squared or clipped so that no sample is below 0.
    rate_hz : float
    peak_s, beat_s : float
        Typical durations of a peak and of a beat.
    offset : float
        Share of the signal's mean within `LEVEL_S` by which the threshold is raised, against noise
        between beats.

    Returns
    -------
    ndarray of intp, shape (n_beats,)
        Sample of each beat.
    """
    peak, beat = max(round(peak_s * rate_hz), 1), max(round(beat_s * rate_hz), 1)
    level = scipy.ndimage.uniform_filter1d(positive, max(round(LEVEL_S * rate_hz), 1))
    threshold = scipy.ndimage.uniform_filter1d(positive, beat) + offset * level
    above = scipy.ndimage.uniform_filter1d(positive, peak) > threshold
    edges = np.diff(np.concatenate([[0], above.astype(int), [0]]))
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    long = ends - firsts >= peak  # a shorter stretch is noise
    maxima = [
        a + int(np.argmax(positive[a:b])) for a, b in zip(firsts[long], ends[long], strict=True)
    ]
    beats = np.array(maxima, np.intp)
    # A second maximum within the refractory period belongs to the same beat (a T wave).
    separate = np.concatenate([[True], np.diff(beats) > REFRACTORY_S * rate_hz])
    return beats[separate[: len(beats)]]


def refined(signal: Array, beats: NDArray[np.intp]) -> Array:
    """Return the positions of beats between samples: the vertex of a parabola through each maximum.

    At 64 samples a second, whole samples would add up to 22 ms to the RMSSD of an even heart.

    Parameters
    ----------
    signal : ndarray of float64, shape (n_samples,)
        Band-passed signal of which every beat is a maximum, not squared: the square of a pulse is
        narrower than the parabola.
    beats : ndarray of intp, shape (n_beats,)

    Returns
    -------
    ndarray of float64, shape (n_beats,)
        Positions in samples. A beat that is not a maximum of `signal` stays where it is.
    """
    inside = (beats > 0) & (beats < len(signal) - 1)
    at = beats[inside]
    before, centre, after = signal[at - 1], signal[at], signal[at + 1]
    curvature = 2 * centre - before - after
    maximum = (centre >= before) & (centre >= after) & (curvature > 0)
    shift = 0.5 * (after - before) / np.where(maximum, curvature, 1.0)
    positions = beats.astype(np.float64)
    positions[inside] += np.where(maximum, shift, 0.0)
    return positions


def beat_features(
    beats: Array, sizes: Array, rate_hz: float, frames: FrameGrid
) -> tuple[Array, dict[str, float]]:
    """Compute heart rate, its variability and the size of the beats, frame by frame.

    Parameters
    ----------
    beats : ndarray of float64, shape (n_beats,)
        Position of each beat in samples, from `refined`.
    sizes : ndarray of float64, shape (n_beats,)
        Amplitudes, in any unit: they are divided by their median.
    rate_hz : float
    frames : FrameGrid

    Returns
    -------
    values : ndarray of float64, shape (n_frames, 3)
        Beats per minute; root mean square of successive differences (RMSSD) in ms; relative size.
        NaN where a frame has fewer than two possible intervals, or too few plausible ones.
    quality : dict of str to float
        Share of frames with plausible beats, also as ``"quality"``.
    """
    values = np.full((len(frames.starts), 3), np.nan)
    median_size = float(np.median(sizes)) if len(sizes) else 0.0
    for row, start in enumerate(frames.starts):
        low, high = np.searchsorted(beats, (start, start + frames.size))
        intervals_s = np.diff(beats[low:high]) / rate_hz
        possible = (intervals_s > INTERVAL_S[0]) & (intervals_s < INTERVAL_S[1])
        steps_s = np.diff(intervals_s)
        if possible.sum() < 2 or not median_size:
            continue
        # A missed or an extra beat changes an interval by far more than a heart does.
        steady = np.abs(steps_s) < REGULAR * intervals_s.mean()
        if min(possible.mean(), steady.mean()) < PLAUSIBLE:
            continue
        rmssd_ms = 1e3 * np.sqrt(np.mean(steps_s[steady] ** 2))
        size = sizes[low:high].mean() / median_size
        values[row] = 60 / np.median(intervals_s[possible]), rmssd_ms, size
    plausible = float(np.isfinite(values[:, 0]).mean())
    return values, {"plausible_beat_fraction": plausible, "quality": plausible}
