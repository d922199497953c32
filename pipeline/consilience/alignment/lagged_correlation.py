"""Evidence for a shift in time between two sensors: correlation of their feature frames by lag.

Sensors of one session share some of their changes: a face moves when a voice is loud. Which
features do is estimated from recordings of other people, as the directions of canonical
correlation (Hotelling 1936, "Relations between two sets of variates"). In a session, the frames of
both sensors are projected on these directions and correlated at every lag. Two normal projections
of unit variance with correlation r have, over n frames with the sample correlation rho, the log
likelihood ratio

    n [ r (rho - r) / (1 - r^2) - log(1 - r^2) / 2 ]

to unrelated ones. A person may show less of what is shared than others do: r is the value between 0
and the others' correlation that maximises the ratio. Neighbouring frames are similar: n is divided
by the number of frames per independent pair (Bartlett 1946), and the ratio has a weight, which is
estimated from the other people's recordings. All logarithms are natural.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

Array = NDArray[np.float64]
Frames = NDArray[np.float64]  # (n_steps, n_features); NaN in all features where nothing is observed

SHRINKAGE = 0.1  # of covariances towards a multiple of the identity: frames are few and redundant
LARGEST = 5.0  # standard deviations at which a frame is clipped, such as a blink or a click
LARGEST_CORRELATION = 0.99  # keeps the ratio finite
LEAST_OVERLAP = 8  # steps; fewer correlate by chance
CLEAR = 0.5  # probability above which a shift is more probable than none
ROUNDING = 1e-9  # of a sum of probabilities
TINY = 1e-300  # probability before its logarithm
FENCE = 1.5  # distances of the quartiles beyond which a session is unusual
CONSTANT = 1e-9  # standard deviation of a feature that does not change
LOG_WEIGHT = (-7.0, 0.0)  # range of the fit; frames cannot weigh more than independent ones


def binned(values: Array, times_s: Array, step_s: float, first: int, n_steps: int) -> Frames:
    """Average feature frames over the steps of a regular grid.

    Parameters
    ----------
    values : ndarray, shape (n_frames, n_features)
        Frames with a non-finite feature are left out.
    times_s : ndarray, shape (n_frames,)
        Of the frames' centres; NaN where unknown.
    step_s : float
    first : int
        Steps from time 0 to the start of the grid.
    n_steps : int

    Returns
    -------
    ndarray, shape (n_steps, n_features)
        NaN in steps without a frame.
    """
    valid = np.isfinite(values).all(1) & np.isfinite(times_s)
    steps = np.floor(times_s[valid] / step_s).astype(np.int64) - first
    inside = (steps >= 0) & (steps < n_steps)
    sums = np.zeros((n_steps, values.shape[1]))
    np.add.at(sums, steps[inside], values[valid][inside])
    counts = np.bincount(steps[inside], minlength=n_steps)[:, None]
    return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))


def standardised(frames: Frames, half_width: int) -> Frames:
    """Remove slow changes from a session's frames, and scale and clip each feature.

    Parameters
    ----------
    frames : ndarray, shape (n_steps, n_features)
    half_width : int
        Steps on each side of the moving average that is subtracted.

    Returns
    -------
    ndarray, shape (n_steps, n_features)
        Of unit variance before clipping; 0 for a feature that does not change.
    """
    observed = np.asarray(np.isfinite(frames).all(1))
    if not observed.any():
        return frames
    fast: Frames = frames - _moving_average(frames, observed, half_width)
    deviation = fast[observed].std(0)
    scale = np.where(deviation > CONSTANT, deviation, np.inf)
    return np.clip(fast / scale, -LARGEST, LARGEST)


def _moving_average(frames: Frames, observed: NDArray[np.bool_], half_width: int) -> Frames:
    """Return the mean of the observed steps around each step; the window is cut at both ends."""
    filled = np.where(observed[:, None], frames, 0.0)
    sums = np.vstack([np.zeros(frames.shape[1]), np.cumsum(filled, 0)])
    counts = np.concatenate([[0], np.cumsum(observed)])
    middle = np.arange(len(frames))
    low = np.maximum(middle - half_width, 0)
    high = np.minimum(middle + half_width + 1, len(frames))
    # Steps without any observed neighbour are missing themselves.
    return np.asarray((sums[high] - sums[low]) / np.maximum(counts[high] - counts[low], 1)[:, None])


class Moments(NamedTuple):
    """Sums of products of two sensors' simultaneous frames, which add up over sessions.

    Attributes
    ----------
    first, second : ndarray, shape (F, F) and (G, G)
    cross, reversed_cross : ndarray, shape (F, G)
        The second one with the second sensor's frames in reversed order of time.
    """

    first: Array
    second: Array
    cross: Array
    reversed_cross: Array

    def plus(self, other: Moments) -> Moments:
        """Return the moments of the frames of both."""
        return Moments(*(mine + others for mine, others in zip(self, other, strict=True)))


def moments(first: Frames, second: Frames) -> Moments:
    """Return the moments of two sensors' frames of one session, shapes (n, F) and (n, G)."""
    both = np.isfinite(first).all(1) & np.isfinite(second).all(1)
    x, y = first[both], second[both]
    return Moments(x.T @ x, y.T @ y, x.T @ y, x.T @ y[::-1])


class SharedDirections(NamedTuple):
    """Directions along which two sensors change together.

    Attributes
    ----------
    first, second : ndarray, shape (F, k) and (G, k)
    correlation : ndarray, shape (k,)
        Of the projections, above 0; k may be 0.
    """

    first: Array
    second: Array
    correlation: Array


def shared_directions(sums: Moments) -> SharedDirections:
    """Compute the canonical directions of two sensors that exceed chance.

    Chance is the largest canonical correlation with one sensor in reversed order of time, which has
    the same number of features and the same similarity of neighbouring frames but nothing
    simultaneous, as in parallel analysis (Horn 1965).

    Parameters
    ----------
    sums : Moments
        Over the sessions of other people.
    """
    whiten_first, whiten_second = _whitening(sums.first), _whitening(sums.second)
    left, correlation, right = np.linalg.svd(whiten_first @ sums.cross @ whiten_second)
    chance = np.linalg.norm(whiten_first @ sums.reversed_cross @ whiten_second, 2)
    k = int((correlation > chance).sum())
    # The share of the variance that chance does not explain, as in an adjusted R squared.
    explained = (correlation[:k] ** 2 - chance**2) / (1 - chance**2)
    return SharedDirections(
        whiten_first @ left[:, :k],
        whiten_second @ right[:k].T,
        np.minimum(np.sqrt(explained), LARGEST_CORRELATION),
    )


def _whitening(sums: Array) -> Array:
    """Return the inverse square root of a shrunk sum of products (F, F)."""
    size = len(sums)
    level = np.trace(sums) / size
    shrunk = (1 - SHRINKAGE) * sums + SHRINKAGE * level * np.eye(size)
    values, vectors = np.linalg.eigh(shrunk if level > 0 else np.eye(size))
    return np.asarray(vectors / np.sqrt(values) @ vectors.T)


def lag_log_ratios(
    directions: SharedDirections, first: Frames, second: Frames, max_lag: int
) -> Array:
    """Compute the log likelihood ratio of "the second sensor is late by this lag" by lag.

    Parameters
    ----------
    directions : SharedDirections
    first, second : ndarray, shape (n_steps, F) and (n_steps, G)
        `standardised` frames of one session on the same grid.
    max_lag : int
        Steps.

    Returns
    -------
    ndarray, shape (2 max_lag + 1,)
        To unrelated sensors, 0 at least; lags from ``-max_lag`` on. 0 where too few frames overlap.
    """
    x, y = first @ directions.first, second @ directions.second
    repeated = steps_per_pair(x, y, 2 * max_lag)
    ratios = np.zeros(2 * max_lag + 1)
    for place, lag in enumerate(range(-max_lag, max_lag + 1)):
        rho, n = _correlation(x[max(0, -lag) :], y[max(0, lag) :])
        r = np.clip(rho, 0, directions.correlation)
        ratio = r * (rho - r) / (1 - r**2) - np.log(1 - r**2) / 2
        ratios[place] = (n / repeated * ratio).sum()
    return ratios


def steps_per_pair(x: Array, y: Array, n_lags: int) -> Array:
    """Return how many steps of two unrelated series count as one independent pair.

    ``1 + 2 sum_k a(k) b(k)`` with the autocorrelations a and b up to `n_lags` (Bartlett 1946), at
    least 1: by this factor the variance of their correlation exceeds that of independent steps.

    Parameters
    ----------
    x, y : ndarray, shape (n_steps, k)
        Compared column by column.
    n_lags : int

    Returns
    -------
    ndarray, shape (k,)
    """
    products = _autocorrelation(x, n_lags) * _autocorrelation(y, n_lags)
    return np.asarray(np.maximum(1 + 2 * products.sum(0), 1))


def _autocorrelation(x: Array, n_lags: int) -> Array:
    """Return the autocorrelation of each column at the lags from 1 on, shape (n_lags, k)."""
    observed = np.asarray(np.isfinite(x).all(1))
    centred = np.zeros_like(x)
    if observed.any():
        centred[observed] = x[observed] - x[observed].mean(0)
    power = np.maximum((centred**2).sum(0), CONSTANT)
    lags = range(1, min(n_lags, len(x) - 1) + 1)
    products = [(centred[lag:] * centred[:-lag]).sum(0) for lag in lags]
    return np.asarray(np.reshape(products, (len(products), x.shape[1])) / power)


def _correlation(x: Array, y: Array) -> tuple[Array, int]:
    """Return the correlation (k,) of the common steps, and their number; 0 if they are too few."""
    size = min(len(x), len(y))
    x, y = x[:size], y[:size]
    both = np.isfinite(x).all(1) & np.isfinite(y).all(1)
    n = int(both.sum())
    if n < LEAST_OVERLAP:
        return np.zeros(x.shape[1]), 0
    x, y = x[both] - x[both].mean(0), y[both] - y[both].mean(0)
    scale = np.sqrt((x**2).sum(0) * (y**2).sum(0))
    return (x * y).sum(0) / np.maximum(scale, CONSTANT), n


def evidence_weight(log_ratios: Array, doubt: float) -> float:
    """Estimate the weight of log ratios by which sessions in time have their lag 0.

    Maximises ``sum log((1 - doubt) p(0) + doubt / n_lags)``, where p is the softmax over the lags
    of the weighted ratios. Ratios that vary by chance more than with the lag have a weight near 0.

    Parameters
    ----------
    log_ratios : ndarray, shape (n_sessions, 2 max_lag + 1)
        Of sessions of other people, by directions that were not estimated from them.
    doubt : float
        Probability that a session is not in time, so that a few do not determine the weight.

    Returns
    -------
    float
        At most 1; 0 without a session.
    """
    if not len(log_ratios):
        return 0.0
    n_lags = log_ratios.shape[1]

    def loss(log_weight: float) -> float:
        weighted = np.exp(log_weight) * log_ratios
        in_time = np.exp(weighted[:, n_lags // 2] - logsumexp(weighted, axis=1))
        return float(-np.log((1 - doubt) * in_time + doubt / n_lags).sum())

    return float(np.exp(minimize_scalar(loss, bounds=LOG_WEIGHT, method="bounded").x))


class LagPosterior(NamedTuple):
    """Probability that each of M sensors of a session is late or early.

    Attributes
    ----------
    probability : ndarray, shape (M, 2 max_lag + 1)
        That this sensor alone is late, by each lag; 0 at lag 0.
    gain : ndarray, shape (M, 2 max_lag + 1)
        Log likelihood ratio of that to no lag of any sensor, nats.
    """

    probability: Array
    gain: Array


def lag_posterior(
    log_ratios: Mapping[tuple[int, int], Array],
    n_sensors: int,
    shift_prior: float,
    mismatch_prior: float,
) -> LagPosterior:
    """Compute how probable it is that one of a session's sensors is late by each lag.

    The alternatives are that all sensors are in time, and that one is unrelated to the others. The
    log ratios of all pairs that contain a sensor add up, so that of three sensors the one that
    both others contradict by the same lag is the most probable.

    Parameters
    ----------
    log_ratios : mapping of (first, second) to ndarray, shape (2 max_lag + 1,)
        Weighted `lag_log_ratios` of pairs of sensors, at least one.
    n_sensors : int
    shift_prior : float
        Probability that a sensor is late or early, spread evenly over sensors and lags.
    mismatch_prior : float
        Probability that a sensor is unrelated, spread evenly over the sensors.
    """
    n_lags = len(next(iter(log_ratios.values())))
    in_time = n_lags // 2
    total = np.zeros((n_sensors, n_lags))
    for (first, second), values in log_ratios.items():
        total[first] += values[::-1]  # late by a lag is early by its opposite for the other
        total[second] += values
    gain = total - total[:, [in_time]]
    shifted = gain + np.log(shift_prior / (n_sensors * (n_lags - 1)))
    shifted[:, in_time] = -np.inf
    unrelated = np.log(mismatch_prior / n_sensors) - total[:, in_time]
    none = np.log1p(-shift_prior) + np.log1p(-mismatch_prior)
    everything = logsumexp(np.concatenate([shifted.ravel(), unrelated, [none]]))
    return LagPosterior(np.exp(shifted - everything), gain)


def shift_log_odds(posterior: LagPosterior) -> float:
    """Return the log odds that one of the sensors is late or early."""
    probability = float(np.clip(posterior.probability.sum(), TINY, 1 - ROUNDING))
    return float(np.log(probability) - np.log1p(-probability))


def usual_limit(log_odds: Array) -> float:
    """Return the log odds above which a session is unusual among others, at least 0.

    The upper quartile plus 1.5 times the distance of the quartiles (Tukey 1977, "Exploratory data
    analysis"): less than a quarter of shifted sessions hardly change it.

    Parameters
    ----------
    log_odds : ndarray, shape (n_sessions,)
    """
    if not len(log_odds):
        return 0.0
    low, high = np.quantile(log_odds, [0.25, 0.75])
    return max(0.0, float(high + FENCE * (high - low)))


def probable_lags(posterior: LagPosterior) -> dict[int, tuple[int, float]]:
    """Return the sensors that are late or early with a probability above .5, and by how much.

    It is the smallest set of sensors, the most probable first, whose probabilities add up to more
    than that. A sensor's probability is that of its more probable sign.

    Returns
    -------
    dict of int to (int, float)
        By sensor its most probable lag, positive if it is late, and the gain in nats. Empty if it
        is more probable that none is shifted.
    """
    max_lag = posterior.probability.shape[1] // 2
    lags = np.arange(-max_lag, max_lag + 1)
    by_sign = np.stack([np.where(sign * lags > 0, posterior.probability, 0) for sign in (-1, 1)])
    sums = by_sign.sum(2)
    named: dict[int, tuple[int, float]] = {}
    for m in np.argsort(-sums.max(0), kind="stable").tolist():
        place = int(by_sign[sums[:, m].argmax(), m].argmax())
        named[m] = (place - max_lag, float(posterior.gain[m, place]))
        # Of two sensors, each has half of a probability that rounding may lift above its limit.
        if sums.max(0)[list(named)].sum() > CLEAR + ROUNDING:
            return named
    return {}
