"""Reaction lags of annotators who rate continuously."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEP_S = 0.125  # step of the common time grid; lags are interpolated between its points
MIN_BORDERS = 8  # trial borders per annotator, below which absolute lags are not estimated
LONGEST = 0.95  # of the usual distance of trials: a longer lag would match the next trial
POOLED = "all"  # name of the mean trace of all annotators
TRIAL_WEIGHT = 0.1  # weight of the trials' share of variance relative to the correlation
SWEEPS = 20
CONVERGED_S = 5e-3
NO_VARIANCE = 1e-9

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class SessionTraces:
    """Continuous ratings of one session, sampled every `STEP_S` from time 0.

    Attributes
    ----------
    traces : mapping of str to ndarray of float64, shape (n_channels, n_times)
        Ratings by annotator; NaN where an annotator did not rate.
    trials_s : ndarray of float64, shape (n_trials, 2)
        Start and end of the trials, in session time.
    """

    traces: Mapping[str, Floats]
    trials_s: Floats


@dataclass(frozen=True)
class Lag:
    """Reaction lag of an annotator.

    Attributes
    ----------
    lag_s : float
    sd_s : float or None
        Jackknife standard error over sessions; None for one session.
    anchored : bool
        Whether trial borders determine the lag; otherwise only differences between annotators
        are estimated.
    correlation, correlation_unshifted : float or None
        Correlation with the mean of the other annotators, with and without removal of all lags;
        None for a single annotator.
    trial_share, trial_share_unshifted : float or None
        Share of the traces' variance between trials, with and without removal of the lag.
    """

    lag_s: float
    sd_s: float | None
    anchored: bool
    correlation: float | None
    correlation_unshifted: float | None
    trial_share: float | None
    trial_share_unshifted: float | None


@dataclass(frozen=True)
class _LagCurve:
    """A statistic of one session as a function of the lag.

    Attributes
    ----------
    values : ndarray of float64, shape (n_steps,)
    size : int
        Number of samples (times and channels) it is computed from: its weight in a mean.
    borders : int
        Trial borders that the traces continue across.
    """

    values: Floats
    size: int
    borders: int = 0


def estimate_lags(
    sessions: Sequence[SessionTraces], max_lag_s: float, usual_lag_s: float
) -> dict[str, Lag]:
    """Estimate the reaction lag of each annotator who rates continuously.

    The lag maximises a sum of two statistics: the correlation with the mean of the other
    annotators, whose lags are removed, and the share of the variance that lies between trials.
    The first determines differences between annotators, the second the absolute lag. Mariooryad
    and Busso (2015, IEEE Trans. Affective Computing 6(2):97-108) use the lag with the largest
    mutual information of trace and recorded features. Here trials take the place of features, so
    that labels do not depend on the sensors that are evaluated with them. If traces do not
    continue across trial borders, the mean of the lags is set to `usual_lag_s`.

    Parameters
    ----------
    sessions : sequence of SessionTraces
    max_lag_s : float
        Upper bound of the lags; the lower bound is 0.
    usual_lag_s : float
        Mean of the lags if trial borders do not determine it.

    Returns
    -------
    dict of str to Lag
        By annotator.
    """
    names = sorted({name for session in sessions for name in session.traces})
    if not names:
        return {}
    shares, n_steps, anchored = _shares_by_annotator(sessions, names, max_lag_s)
    lags, pooled = _alternate(sessions, shares, n_steps, usual_lag_s if not anchored else None)
    no_lags = dict.fromkeys(names, 0.0)
    return {
        name: _lag(
            lags[name],
            anchored,
            shares[name],
            _agreement(sessions, name, lags, n_steps),
            _agreement(sessions, name, no_lags, n_steps),
            pooled,
        )
        for name in names
    }


def _shares_by_annotator(
    sessions: Sequence[SessionTraces], names: Sequence[str], max_lag_s: float
) -> tuple[dict[str, list[_LagCurve]], int, bool]:
    """Return the trials' shares by annotator, the number of lags, and whether they are usable."""
    n_steps = _n_steps(max_lag_s, sessions)
    shares = {name: _trial_shares(sessions, name, n_steps) for name in names}
    borders = sum(curve.borders for curves in shares.values() for curve in curves)
    if borders >= MIN_BORDERS * len(names):
        return shares, n_steps, True
    # Few borders give an unreliable share. Without it, a lag cannot be confused with the
    # distance of trials, and the full range of lags is searched.
    n_steps = _n_steps(max_lag_s)
    return (
        {name: [_LagCurve(np.zeros(n_steps), 0)] * len(sessions) for name in names},
        n_steps,
        False,
    )


def _alternate(
    sessions: Sequence[SessionTraces],
    shares: Mapping[str, Sequence[_LagCurve]],
    n_steps: int,
    mean_lag_s: float | None,
) -> tuple[dict[str, float], list[_LagCurve]]:
    """Estimate each annotator's lag given the others' until the lags converge.

    Parameters
    ----------
    sessions : sequence of SessionTraces
    shares : mapping of str to sequence of _LagCurve
        Trials' share of variance by annotator.
    n_steps : int
        Number of lags.
    mean_lag_s : float or None
        Mean of the lags; None to estimate it from the trials.

    Returns
    -------
    lags : dict of str to float
        In seconds.
    pooled : list of _LagCurve
        Trials' share in the mean trace of all annotators; empty with `mean_lag_s`.
    """

    def best(name: str) -> float:
        return _peak_s(_objective(shares[name], _agreement(sessions, name, lags, n_steps)))

    names = list(shares)
    lags: dict[str, float] = {}
    for name in names:
        lags[name] = best(name)
    pooled: list[_LagCurve] = []
    for _ in range(SWEEPS):
        before = dict(lags)
        for name in names:
            lags[name] = best(name)
        current_s = sum(lags.values()) / len(lags)
        if mean_lag_s is None:
            pooled = _trial_shares(_mean_traces(sessions, lags), POOLED, n_steps)
        # Correlations leave the common lag free. The mean trace of all annotators, which is less
        # noisy than a single one, determines it.
        target_s = _peak_s(_mean_curve(pooled)) if mean_lag_s is None else mean_lag_s
        shift = target_s - current_s
        lags = {name: lag + max(shift, -min(lags.values())) for name, lag in lags.items()}
        if max(abs(lags[name] - before[name]) for name in names) < CONVERGED_S:
            break
    return lags, pooled


def _mean_traces(
    sessions: Sequence[SessionTraces], lags: Mapping[str, float]
) -> list[SessionTraces]:
    """Return the mean of all annotators' traces, with the mean of their lags."""
    mean_s = sum(lags.values()) / len(lags)
    return [
        SessionTraces(
            {
                POOLED: _mean_of(
                    [_shifted(trace, lags[name] - mean_s) for name, trace in session.traces.items()]
                )
            },
            session.trials_s,
        )
        for session in sessions
        if session.traces
    ]


def _n_steps(max_lag_s: float, sessions: Sequence[SessionTraces] = ()) -> int:
    """Return the number of lags from 0 to `max_lag_s`, shorter than the sessions' trial distance.

    A lag as long as the distance between trials would align each trial with the previous one.
    """
    apart = [np.diff(np.sort(session.trials_s[:, 0])) for session in sessions]
    distances = np.concatenate(apart) if apart else np.empty(0)
    if len(distances):
        max_lag_s = min(max_lag_s, LONGEST * float(np.median(distances)))
    return round(max_lag_s / STEP_S) + 1


def _complete(trace: Floats, n_steps: int) -> NDArray[np.bool_]:
    """Return the times at which a trace has a value at every lag.

    Only these are compared, so that every lag is evaluated on the same times.
    """
    if trace.shape[1] < n_steps:
        return np.empty(0, dtype=bool)
    missing = np.concatenate([[0], np.cumsum(~np.isfinite(trace).all(axis=0))])
    return missing[n_steps:] == missing[:-n_steps]


def _trial_shares(sessions: Sequence[SessionTraces], name: str, n_steps: int) -> list[_LagCurve]:
    """Return an annotator's share of variance between trials and pauses, by session."""
    return [_trial_share(session, name, n_steps) for session in sessions]


def _trial_share(session: SessionTraces, name: str, n_steps: int) -> _LagCurve:
    """Return the share of variance between trials and pauses, as a function of the lag."""
    nothing = _LagCurve(np.zeros(n_steps), 0)
    if name not in session.traces:
        return nothing
    trace = session.traces[name]
    times = _whole_trials(np.flatnonzero(_complete(trace, n_steps)), session.trials_s)
    if not len(times):
        return nothing
    starts, ends, crossed = _blocks(times, session.trials_s)
    if not crossed:
        return nothing
    lags = np.arange(n_steps)
    level = np.nan_to_num(trace - np.nanmean(trace, axis=1, keepdims=True))
    # Sums of each block at all lags at once: differences of cumulative sums.
    sums, squares = (
        _cumulative(values)[:, ends[:, None] + lags]
        - _cumulative(values)[:, starts[:, None] + lags]
        for values in (level, level**2)
    )
    n = (ends - starts)[:, None]
    around = sums.sum(axis=1) ** 2 / n.sum()
    between = (sums**2 / n).sum(axis=1) - around
    total = squares.sum(axis=1) - around
    share = np.divide(between, total, out=np.zeros_like(total), where=total > NO_VARIANCE)
    return _LagCurve(share.mean(axis=0), len(trace) * len(times), crossed)


def _blocks(times: Indices, trials_s: Floats) -> tuple[Indices, Indices, int]:
    """Split grid times at trial borders and gaps.

    Returns
    -------
    starts, ends : ndarray of intp, shape (n_blocks,)
        First time of each block, and the time after its last one.
    crossed : int
        Borders without a gap, which the traces continue across.
    """
    block = np.searchsorted(np.unique(trials_s), times * STEP_S, side="right")
    gaps, borders = np.diff(times) > 1, np.diff(block) != 0
    breaks = np.flatnonzero(gaps | borders) + 1
    starts = times[np.concatenate([[0], breaks])]
    ends = times[np.concatenate([breaks - 1, [len(times) - 1]])] + 1
    return starts, ends, int((borders & ~gaps).sum())


def _cumulative(values: Floats) -> Floats:
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)


def _whole_trials(times: Indices, trials_s: Floats) -> Indices:
    """Drop the times of a trial whose end the traces do not reach.

    A state may rise slowly after a trial's start and fall slowly before its end. The two biases
    of the lag cancel only if both ends of each trial are included.
    """
    if not len(times):
        return times
    last_s = times[-1] * STEP_S
    cut_off = trials_s[(trials_s[:, 0] <= last_s) & (trials_s[:, 1] > last_s), 0]
    return times[times * STEP_S < cut_off.min(initial=np.inf)]


def _agreement(
    sessions: Sequence[SessionTraces], name: str, lags: Mapping[str, float], n_steps: int
) -> list[_LagCurve]:
    """Return the correlation with the mean of the other annotators, by session."""
    curves = []
    for session in sessions:
        others = [other for other in session.traces if other != name and other in lags]
        if name in session.traces and others:
            reference = _mean_of([_shifted(session.traces[other], lags[other]) for other in others])
            curves.append(_correlation(session.traces[name], reference, n_steps))
        else:
            curves.append(_LagCurve(np.zeros(n_steps), 0))
    return curves


def _correlation(trace: Floats, reference: Floats, n_steps: int) -> _LagCurve:
    """Return the mean correlation of a trace's channels with a reference at every lag."""
    complete = _complete(trace, n_steps)
    usable = complete & np.isfinite(reference[:, : len(complete)]).all(axis=0)
    n = int(usable.sum())
    if n < 2:
        return _LagCurve(np.zeros(n_steps), 0)
    level = np.nan_to_num(trace - np.nanmean(trace, axis=1, keepdims=True))
    target = np.where(usable, reference[:, : len(usable)], 0)
    # Centred and zero at unused times, the target selects the times in every product below.
    target = np.where(usable, target - target.sum(axis=1, keepdims=True) / n, 0)
    mask = usable.astype(np.float64)
    curves = []
    for channel, other in zip(level, target, strict=True):
        sums = np.correlate(channel, mask, "valid")
        scatter = np.correlate(channel**2, mask, "valid") - sums**2 / n
        scale = scatter * (other**2).sum()
        cross = np.correlate(channel, other, "valid")
        curves.append(
            np.divide(
                cross, np.sqrt(np.abs(scale)), out=np.zeros(n_steps), where=scale > NO_VARIANCE
            )
        )
    return _LagCurve(np.mean(curves, axis=0), len(trace) * n)


def _shifted(trace: Floats, lag_s: float) -> Floats:
    """Return a trace with its lag and its mean removed; NaN where it has no value."""
    times = np.arange(trace.shape[1], dtype=np.float64)
    late = times + lag_s / STEP_S
    moved = [np.interp(late, times, channel, np.nan, np.nan) for channel in trace]
    return np.stack(moved) - np.nanmean(trace, axis=1, keepdims=True)


def _mean_of(traces: Sequence[Floats]) -> Floats:
    """Return the mean of the traces that have a value; NaN where none has."""
    stacked = np.stack(traces)
    n = np.isfinite(stacked).sum(axis=0)
    total = np.nansum(stacked, axis=0)
    return np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)


def _mean_curve(curves: Sequence[_LagCurve], without: int | None = None) -> Floats:
    """Return the mean of the sessions' curves, weighted by size, without one session."""
    used = [curve for row, curve in enumerate(curves) if row != without]
    size = sum(curve.size for curve in used)
    total: Floats = np.sum([curve.size * curve.values for curve in used], axis=0)
    return total / max(size, 1)


def _objective(
    shares: Sequence[_LagCurve], agreement: Sequence[_LagCurve], without: int | None = None
) -> Floats:
    """Return the curve that the lag maximises."""
    return TRIAL_WEIGHT * _mean_curve(shares, without) + _mean_curve(agreement, without)


def _peak_s(curve: Floats) -> float:
    """Return the lag at which a curve is largest, by a parabola through the best three points."""
    best = int(np.argmax(curve))
    if not 0 < best < len(curve) - 1:
        return best * STEP_S
    left, middle, right = curve[best - 1 : best + 2]
    bend = left - 2 * middle + right
    return (best + (0.5 * (left - right) / bend if bend < 0 else 0.0)) * STEP_S


def _lag(
    lag_s: float,
    anchored: bool,
    shares: Sequence[_LagCurve],
    agreement: Sequence[_LagCurve],
    unshifted: Sequence[_LagCurve],
    pooled: Sequence[_LagCurve],
) -> Lag:
    """Return an annotator's lag with its standard error and the statistics behind it."""
    variance = _jackknife(lambda row: _objective(shares, agreement, row), agreement, shares)
    # The common lag has an error of its own, unless a single annotator's peak is the common lag.
    if pooled and any(curve.size for curve in agreement):
        variance += _jackknife(lambda row: _mean_curve(pooled, row), pooled, pooled)
    return Lag(
        lag_s,
        float(np.sqrt(variance)) if np.isfinite(variance) else None,
        anchored,
        _value(agreement, lag_s),
        _value(unshifted, 0.0),
        _value(shares, lag_s),
        _value(shares, 0.0),
    )


def _jackknife(curve_without: Callable[[int], Floats], *parts: Sequence[_LagCurve]) -> float:
    """Return the jackknife variance of a curve's peak over sessions; NaN for one session.

    The variance is (n - 1) / n times the sum of squared deviations of the leave-one-out peaks
    (Efron 1982), which is n - 1 times their population variance.
    """
    rows = [
        row for row, curves in enumerate(zip(*parts, strict=True)) if any(c.size for c in curves)
    ]
    peaks = np.array([_peak_s(curve_without(row)) for row in rows])
    return float((len(rows) - 1) * peaks.var()) if len(rows) > 1 else np.nan


def _value(curves: Sequence[_LagCurve], lag_s: float) -> float | None:
    """Return the mean curve at a lag; None without data."""
    if not any(curve.size for curve in curves):
        return None
    mean = _mean_curve(curves)
    return float(np.interp(lag_s, np.arange(len(mean)) * STEP_S, mean))
