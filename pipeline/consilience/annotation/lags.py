"""How late each annotator reports what they see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEP_S = 0.125  # of the common time grid; lags are found between its points
MIN_BORDERS = 8  # of trials, followed across: fewer tell nothing of absolute lags
LONGEST = 0.95  # of the usual distance of trials: beyond, one trial is mistaken for the next
POOLED = "all"
ANCHORING = 0.1  # weight of the trials' share beside the correlation with the others
SWEEPS = 20
SETTLED_S = 5e-3
NO_VARIANCE = 1e-9

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class SessionTraces:
    """What annotators said of one session as it went on, at time 0 and every `STEP_S` after.

    Attributes
    ----------
    said : mapping of str to ndarray of float64, shape (n_channels, n_times)
        Traces of each annotator, NaN where there is none.
    trials_s : ndarray of float64, shape (n_trials, 2)
        Start and end of the trials.
    """

    said: Mapping[str, Floats]
    trials_s: Floats


@dataclass(frozen=True)
class Lag:
    """How late an annotator is.

    Attributes
    ----------
    lag_s : float
    sd_s : float or None
        Standard error, by leaving out each session in turn; None for one session.
    anchored : bool
        Whether trials' borders say so; otherwise only differences between annotators are known.
    correlation, correlation_unshifted : float or None
        With the mean of the others, all lags removed and none; None for one alone.
    trial_share, trial_share_unshifted : float or None
        Share of the traces' variance between trials, lag removed and not: the sharper a trace
        changes at the borders of trials, the larger.
    """

    lag_s: float
    sd_s: float | None
    anchored: bool
    correlation: float | None
    correlation_unshifted: float | None
    trial_share: float | None
    trial_share_unshifted: float | None


@dataclass(frozen=True)
class _Curve:
    """Means over a session's time as functions of the lag, and how much they weigh.

    Attributes
    ----------
    values : ndarray of float64, shape (n_steps,)
    size : int
        Times by channels behind it.
    borders : int
        Borders of trials that traces run on across.
    """

    values: Floats
    size: int
    borders: int = 0


def estimate_lags(
    courses: Sequence[SessionTraces], max_lag_s: float, usual_lag_s: float
) -> dict[str, Lag]:
    """Find the lag of every annotator who followed a session as it went on.

    An annotator's lag is where two things together are largest: the correlation with the mean of
    the others, their own lags removed, which tells who is later than whom; and the share of the
    variance that lies between trials, which tells when what is seen has changed. Mariooryad and
    Busso (2015, IEEE Trans. Affective Computing 6(2):97-108) take the lag at which a trace tells
    most of the recording's features; a trial's border stands for them here, so that labels do not
    depend on the sensors that are to be judged by them. Where traces do not run on across borders
    of trials the lags' mean is `usual_lag_s`, and only their differences are found.

    Parameters
    ----------
    courses : sequence of SessionTraces
        One per session.
    max_lag_s : float
        Lags are sought from 0 up to this.
    usual_lag_s : float
        Mean of the lags where nothing tells it.

    Returns
    -------
    dict of str to Lag
    """
    names = sorted({name for course in courses for name in course.said})
    if not names:
        return {}
    n_steps = _steps(max_lag_s, courses)
    shares = {name: _trial_shares(courses, name, n_steps) for name in names}
    borders = sum(curve.borders for curves in shares.values() for curve in curves)
    anchored = borders >= MIN_BORDERS * len(names)
    if not anchored:
        n_steps = _steps(max_lag_s)
        shares = {name: [_Curve(np.zeros(n_steps), 0)] * len(courses) for name in names}
    lags: dict[str, float] = {}
    for name in names:
        lags[name] = _peak(_total(shares[name], _agreement(courses, name, lags, n_steps)))
    together: list[_Curve] = []
    for _ in range(SWEEPS):
        before = dict(lags)
        for name in names:
            lags[name] = _peak(_total(shares[name], _agreement(courses, name, lags, n_steps)))
        mean_s = sum(lags.values()) / len(lags)
        if anchored:
            together = _trial_shares(_pooled(courses, lags), POOLED, n_steps)
        shift = (_peak(_mean_curve(together)) if anchored else usual_lag_s) - mean_s
        lags = {name: lag + max(shift, -min(lags.values())) for name, lag in lags.items()}
        if max(abs(lags[name] - before[name]) for name in names) < SETTLED_S:
            break
    raw = dict.fromkeys(names, 0.0)
    return {
        name: _describe(
            lags[name],
            anchored,
            shares[name],
            _agreement(courses, name, lags, n_steps),
            _agreement(courses, name, raw, n_steps),
            together,
        )
        for name in names
    }


def _pooled(courses: Sequence[SessionTraces], lags: Mapping[str, float]) -> list[SessionTraces]:
    """Return the mean of all annotators' traces, late as they are on average."""
    mean_s = sum(lags.values()) / len(lags)
    return [
        SessionTraces(
            {
                POOLED: _mean_of(
                    [_at_lag(said, lags[name] - mean_s) for name, said in course.said.items()]
                )
            },
            course.trials_s,
        )
        for course in courses
        if course.said
    ]


def _steps(max_lag_s: float, courses: Sequence[SessionTraces] = ()) -> int:
    """Return how many lags to try; with `courses`, none that mistakes a trial for the next."""
    apart = [np.diff(np.sort(course.trials_s[:, 0])) for course in courses]
    distances = np.concatenate(apart) if apart else np.empty(0)
    if len(distances):
        max_lag_s = min(max_lag_s, LONGEST * float(np.median(distances)))
    return round(max_lag_s / STEP_S) + 1


def _complete(trace: Floats, n_steps: int) -> NDArray[np.bool_]:
    """Return where a trace is known at every lag."""
    if trace.shape[1] < n_steps:
        return np.empty(0, dtype=bool)
    missing = np.concatenate([[0], np.cumsum(~np.isfinite(trace).all(axis=0))])
    return missing[n_steps:] == missing[:-n_steps]


def _trial_shares(courses: Sequence[SessionTraces], name: str, n_steps: int) -> list[_Curve]:
    """Return the share of variance between trials and pauses, session by session."""
    return [_trial_share(course, name, n_steps) for course in courses]


def _trial_share(course: SessionTraces, name: str, n_steps: int) -> _Curve:
    nothing = _Curve(np.zeros(n_steps), 0)
    if name not in course.said:
        return nothing
    trace = course.said[name]
    where = _whole_trials(np.flatnonzero(_complete(trace, n_steps)), course.trials_s)
    if not len(where):
        return nothing
    block = np.searchsorted(np.unique(course.trials_s), where * STEP_S, side="right")
    gaps, borders = np.diff(where) > 1, np.diff(block) != 0
    breaks = np.flatnonzero(gaps | borders) + 1
    starts = where[np.concatenate([[0], breaks])]
    ends = where[np.concatenate([breaks - 1, [len(where) - 1]])] + 1
    crossed = int((borders & ~gaps).sum())
    if not crossed:
        return nothing
    lags = np.arange(n_steps)
    level = np.nan_to_num(trace - np.nanmean(trace, axis=1, keepdims=True))
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
    return _Curve(share.mean(axis=0), len(trace) * len(where), crossed)


def _cumulative(values: Floats) -> Floats:
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)


def _whole_trials(where: Indices, trials_s: Floats) -> Indices:
    """Leave out the times in a trial that the traces do not reach the end of.

    What is seen may rise after a trial's start and fall before its end: counted both, they balance.
    """
    if not len(where):
        return where
    last_s = where[-1] * STEP_S
    cut_off = trials_s[(trials_s[:, 0] <= last_s) & (trials_s[:, 1] > last_s), 0]
    return where[where * STEP_S < cut_off.min(initial=np.inf)]


def _agreement(
    courses: Sequence[SessionTraces], name: str, lags: Mapping[str, float], n_steps: int
) -> list[_Curve]:
    """Return the correlation with the mean of the others, session by session."""
    curves = []
    for course in courses:
        others = [other for other in course.said if other != name and other in lags]
        if name in course.said and others:
            reference = _mean_of([_at_lag(course.said[other], lags[other]) for other in others])
            curves.append(_correlation(course.said[name], reference, n_steps))
        else:
            curves.append(_Curve(np.zeros(n_steps), 0))
    return curves


def _correlation(trace: Floats, reference: Floats, n_steps: int) -> _Curve:
    complete = _complete(trace, n_steps)
    known = complete & np.isfinite(reference[:, : len(complete)]).all(axis=0)
    n = int(known.sum())
    if n < 2:
        return _Curve(np.zeros(n_steps), 0)
    level = np.nan_to_num(trace - np.nanmean(trace, axis=1, keepdims=True))
    target = np.where(known, reference[:, : len(known)], 0)
    target = np.where(known, target - target.sum(axis=1, keepdims=True) / n, 0)
    mask = known.astype(np.float64)
    curves = []
    for own, other in zip(level, target, strict=True):
        sums = np.correlate(own, mask, "valid")
        scatter = np.correlate(own**2, mask, "valid") - sums**2 / n
        scale = scatter * (other**2).sum()
        cross = np.correlate(own, other, "valid")
        curves.append(
            np.divide(
                cross, np.sqrt(np.abs(scale)), out=np.zeros(n_steps), where=scale > NO_VARIANCE
            )
        )
    return _Curve(np.mean(curves, axis=0), len(trace) * n)


def _at_lag(trace: Floats, lag_s: float) -> Floats:
    """Return a trace moved back by its lag, NaN where it says nothing."""
    times = np.arange(trace.shape[1], dtype=np.float64)
    wanted = times + lag_s / STEP_S
    moved = [np.interp(wanted, times, channel, np.nan, np.nan) for channel in trace]
    return np.stack(moved) - np.nanmean(trace, axis=1, keepdims=True)


def _mean_of(traces: Sequence[Floats]) -> Floats:
    stacked = np.stack(traces)
    n = np.isfinite(stacked).sum(axis=0)
    total = np.nansum(stacked, axis=0)
    return np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)


def _mean_curve(curves: Sequence[_Curve], without: int | None = None) -> Floats:
    kept = [curve for row, curve in enumerate(curves) if row != without]
    size = sum(curve.size for curve in kept)
    total: Floats = np.sum([curve.size * curve.values for curve in kept], axis=0)
    return total / max(size, 1)


def _total(
    shares: Sequence[_Curve], agreement: Sequence[_Curve], without: int | None = None
) -> Floats:
    return ANCHORING * _mean_curve(shares, without) + _mean_curve(agreement, without)


def _peak(curve: Floats) -> float:
    """Return where a curve is largest, in seconds, by a parabola through the three best points."""
    best = int(np.argmax(curve))
    if not 0 < best < len(curve) - 1:
        return best * STEP_S
    left, middle, right = curve[best - 1 : best + 2]
    bend = left - 2 * middle + right
    return (best + (0.5 * (left - right) / bend if bend < 0 else 0.0)) * STEP_S


def _describe(
    lag_s: float,
    anchored: bool,
    shares: Sequence[_Curve],
    agreement: Sequence[_Curve],
    unshifted: Sequence[_Curve],
    together: Sequence[_Curve],
) -> Lag:
    variance = _jackknife(lambda row: _total(shares, agreement, row), agreement, shares)
    if together and any(curve.size for curve in agreement):
        variance += _jackknife(lambda row: _mean_curve(together, row), together, together)
    return Lag(
        lag_s,
        float(np.sqrt(variance)) if np.isfinite(variance) else None,
        anchored,
        _value(agreement, lag_s),
        _value(unshifted, 0.0),
        _value(shares, lag_s),
        _value(shares, 0.0),
    )


def _jackknife(curve_without: Callable[[int], Floats], *parts: Sequence[_Curve]) -> float:
    """Return the squared standard error of a curve's peak, each session left out in turn."""
    rows = [
        row for row, curves in enumerate(zip(*parts, strict=True)) if any(c.size for c in curves)
    ]
    peaks = np.array([_peak(curve_without(row)) for row in rows])
    return float((len(rows) - 1) * peaks.var()) if len(rows) > 1 else np.nan


def _value(curves: Sequence[_Curve], lag_s: float) -> float | None:
    if not any(curve.size for curve in curves):
        return None
    mean = _mean_curve(curves)
    return float(np.interp(lag_s, np.arange(len(mean)) * STEP_S, mean))
