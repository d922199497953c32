"""Accuracy of labels of simulated annotators: ``python -m benchmarks.labels.lags [RUNS]``.

Lag, bias and reliability of the annotators are drawn anew in every run. Their statements are
labelled by `label_windows`; the labels are compared with the truth, and with plain means and
shares of votes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.annotation.label_consensus import Labelling, label_windows
from consilience.core.seeds import generator
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.tables import Annotations, Trials, frame_of
from consilience.synthesis.plan import random_wave, smooth_step
from consilience.windows.layout import Window

RUNS = 200
CLASSES = ("happy", "angry", "sad", "calm", "afraid")
TARGETS = ("valence", "arousal")
LEVELS = 7
ITEMS = 150
SESSIONS, TRIALS = 6, 8
TRIAL_S, PAUSE_S, BEFORE_S, AFTER_S = (8.0, 15.0), (0.5, 3.0), 3.0, 10.0
LENGTH_S, HOP_S = 4.0, 2.0
TRACE_RATE_HZ = 4.0
LAG_S, BIAS, NOISE = (1.0, 6.0), 0.2, (0.1, 0.8)
CANDOUR = (0.3, 0.9)

Floats = NDArray[np.float64]
Rows = list[dict[str, object]]
Traces = dict[str, dict[str, Floats]]  # session, annotator: traces of valence and arousal


@dataclass(frozen=True)
class Run:
    """Errors of one simulated corpus.

    Attributes
    ----------
    consensus : float
        Of the labels.
    plain : dict of str to float
        Of the methods that they are compared with.
    lag_errors_s : tuple of float
        Estimated minus true lag of each annotator.
    """

    consensus: float
    plain: Mapping[str, float]
    lag_errors_s: tuple[float, ...] = ()


def traces(number: int) -> Run:
    """Simulate annotators who follow valence and arousal; errors are RMSE over the windows.

    3 to 6 annotators, lags from 1 to 6 s, biases, gains, and slow errors of unlike size.
    """
    rng = generator("benchmark", "traces", number)
    raters = [
        (f"rater-{index}", rng.uniform(*LAG_S), rng.normal(0, BIAS), rng.uniform(*NOISE))
        for index in range(rng.integers(3, 7))
    ]
    statements: list[pl.DataFrame] = []
    by_session: Traces = {}
    trial_rows: Rows = []
    windows: list[Window] = []
    truth: list[Floats] = []
    for session in range(SESSIONS):
        trials, state, end_s = _session(number, session)
        name = f"s{session}"
        for index, (start_s, stop_s) in enumerate(trials):
            trial = f"t{index}"
            span = {"session": name, "start_s": start_s, "end_s": stop_s}
            trial_rows.append({**span, "trial": trial})
            for begin_s in np.arange(start_s, stop_s - LENGTH_S, HOP_S):
                windows.append(Window(name, trial, begin_s, begin_s + LENGTH_S))
                truth.append(state(np.linspace(begin_s, begin_s + LENGTH_S, 100)).mean(axis=1))
        times_s = np.arange(0, end_s, 1 / TRACE_RATE_HZ)
        for rater, lag_s, bias, noise in raters:
            trace = state(times_s - lag_s) + bias
            for axis, target in enumerate(TARGETS):
                error = random_wave("benchmark", number, session, rater, target)(times_s)
                trace[axis] += noise * error
                statements.append(_statements(name, rater, target, times_s, trace[axis]))
            by_session.setdefault(name, {})[rater] = trace
    annotations, borders = pl.concat(statements), frame_of(trial_rows, Trials)
    labelling = label_windows(annotations, windows, borders, CLASSES, AnnotationParams())
    lags = dict(labelling.annotators.select("annotator", "lag_s").unique().iter_rows())
    plain = {
        "mean of the traces as they are": _plain_mean(
            by_session, windows, dict.fromkeys(lags, 0.0)
        ),
        "mean of the traces, lags removed": _plain_mean(by_session, windows, lags),
    }
    actual = np.array(truth)
    return Run(
        _rmse(_affect(labelling), actual),
        {name: _rmse(mean, actual) for name, mean in plain.items()},
        tuple(lags[rater] - lag_s for rater, lag_s, _, _ in raters),
    )


def _session(number: int, session: int) -> tuple[Floats, Callable[[Floats], Floats], float]:
    """Return trials (start, end), the state over time, and the end of the session."""
    rng = generator("benchmark", "session", number, session)
    lengths_s, pauses_s = rng.uniform(*TRIAL_S, TRIALS), rng.uniform(*PAUSE_S, TRIALS)
    starts_s = BEFORE_S + np.cumsum(pauses_s) + np.concatenate([[0], np.cumsum(lengths_s)[:-1]])
    trials = np.stack([starts_s, starts_s + lengths_s], axis=1)
    levels = rng.uniform(0.4, 1, (TRIALS, 2)) * rng.choice([-1, 1], (TRIALS, 2))
    waves = [random_wave("benchmark", number, session, axis) for axis in range(2)]

    def state(times_s: Floats) -> Floats:
        course = 0.15 * np.stack([wave(times_s) for wave in waves])
        for (start_s, end_s), level in zip(trials, levels, strict=True):
            inside = smooth_step(times_s - start_s) * smooth_step(end_s - times_s)
            course += level[:, None] * inside
        return course

    return trials, state, float(trials[-1, 1]) + AFTER_S


def _statements(
    session: str, rater: str, target: str, times_s: Floats, values: Floats
) -> pl.DataFrame:
    n, half_s = len(times_s), 0.5 / TRACE_RATE_HZ
    return pl.DataFrame(
        {
            "session": [session] * n,
            "annotator": [rater] * n,
            "target": [target] * n,
            "start_s": times_s - half_s,
            "end_s": times_s + half_s,
            "label": pl.Series([None] * n, dtype=pl.String),
            "value": values,
        }
    )


def _plain_mean(by_session: Traces, windows: list[Window], lags: Mapping[str, float]) -> Floats:
    """Return means of valence and arousal over the annotators, shape (n_windows, 2)."""
    averages: list[Floats] = []
    for session, traces in by_session.items():
        borders_s = [
            (window.start_s, window.end_s) for window in windows if window.session == session
        ]
        by_annotator = [
            _mean_of(trace, np.transpose(borders_s) + lags[who]) for who, trace in traces.items()
        ]
        averages.append(np.mean(by_annotator, axis=0))
    return np.concatenate(averages)


def _mean_of(trace: Floats, borders_s: Floats) -> Floats:
    """Return a trace's means between two times each, shape (n_windows, n_targets)."""
    edges_s = (np.arange(trace.shape[1] + 1) - 0.5) / TRACE_RATE_HZ
    sums = np.cumsum(np.pad(trace, ((0, 0), (1, 0))), axis=1) / TRACE_RATE_HZ
    at_borders = np.stack([np.interp(borders_s, edges_s, row) for row in sums])
    mean: Floats = np.diff(at_borders, axis=1)[:, 0].T / LENGTH_S
    return mean


def _affect(labelling: Labelling) -> Floats:
    return labelling.labels.select("valence", "arousal").to_numpy()


def _rmse(values: Floats, actual: Floats) -> float:
    return float(np.sqrt(np.nanmean((values - actual) ** 2)))


def classes(number: int) -> Run:
    """Simulate annotators who name classes; errors are Brier scores, from 0 to 2.

    3 to 7 annotators of `ITEMS` trials, each right in 30 to 90 % and with favourite mistakes.
    """
    rng = generator("benchmark", "classes", number)
    k = len(CLASSES)
    actual = rng.choice(k, ITEMS, p=rng.dirichlet(np.full(k, 5.0)))
    votes = []
    for _ in range(rng.integers(3, 8)):
        right = rng.uniform(*CANDOUR)
        confusion = right * np.eye(k) + (1 - right) * rng.dirichlet(np.full(k, 0.5), k)
        votes.append([rng.choice(k, p=confusion[true]) for true in actual])
    rows = [
        {**_whole_trial(item, rater, "emotion"), "label": CLASSES[vote]}
        for rater, by_item in enumerate(votes)
        for item, vote in enumerate(by_item)
    ]
    labels = _label(rows, AnnotationParams()).labels
    truth = np.eye(k)[actual]
    consensus, shares = (
        float(((np.array(labels[name].to_list()) - truth) ** 2).sum(1).mean())
        for name in ("class_probability", "vote_share")
    )
    return Run(consensus, {"shares of the votes": shares})


def ratings(number: int) -> Run:
    """Simulate annotators who rate trials on a scale of `LEVELS`; errors are RMSE in levels.

    3 to 7 annotators of `ITEMS` trials, lenient or strict, each with individual level borders.
    """
    return _rated(number, AnnotationParams(), "mean")


def orders(number: int) -> Run:
    """Simulate the same annotators; labels use only the order of the ratings."""
    return _rated(number, AnnotationParams(scale="ordinal"), "median", "mean")


def _rated(number: int, choice: AnnotationParams, *rivals: str) -> Run:
    rng = generator("benchmark", "ratings", number)
    latent = rng.normal(size=ITEMS)
    borders = np.linspace(-1.5, 1.5, LEVELS - 1)
    actual = 1.0 + np.searchsorted(borders, latent).astype(np.float64)
    rows: Rows = []
    levels: list[Floats] = []
    for rater in range(rng.integers(3, 8)):
        rater_borders = np.sort(rng.normal(0, 0.4) + rng.uniform(0.6, 1.4) * borders)
        felt = latent + rng.uniform(*NOISE) * rng.normal(size=ITEMS)
        rated = 1.0 + np.searchsorted(rater_borders, felt).astype(np.float64)
        levels.append(rated)
        for item, level in enumerate(rated):
            rows.append({**_whole_trial(item, rater, "valence"), "value": float(level)})
    labels = _label(rows, choice).labels
    consensus = labels["valence"].to_numpy()
    plain = {
        f"{name} of the ratings": _rmse(getattr(np, name)(levels, axis=0), actual)
        for name in rivals
    }
    return Run(_rmse(consensus, actual), plain)


def _whole_trial(item: int, rater: int, target: str) -> dict[str, object]:
    session = f"s{item:04}"
    span = {"session": session, "start_s": 0.0, "end_s": LENGTH_S}
    return {**span, "annotator": f"rater-{rater}", "target": target}


def _label(rows: Rows, choice: AnnotationParams) -> Labelling:
    windows = [Window(f"s{item:04}", "t", 0.0, LENGTH_S) for item in range(ITEMS)]
    trials: Rows = [
        {"session": window.session, "trial": "t", "start_s": 0.0, "end_s": LENGTH_S}
        for window in windows
    ]
    annotations, borders = frame_of(rows, Annotations), frame_of(trials, Trials)
    return label_windows(annotations, windows, borders, CLASSES, choice)


def nearer(runs: list[Run], than: str) -> float:
    """Return the share of runs in which the labels are nearer to the truth than a plain method."""
    return float(np.mean([run.consensus < run.plain[than] for run in runs]))


def main(n_runs: int = RUNS) -> None:
    """Print how often the consensus is nearer to the truth, and the accuracy of the lags."""
    for simulate in (traces, classes, ratings, orders):
        runs = [simulate(number) for number in range(n_runs)]
        for name in runs[0].plain:
            median = np.median([run.plain[name] for run in runs])
            print(
                f"{simulate.__name__}: nearer to the truth than {name} in "
                f"{100 * nearer(runs, name):.1f} % of {n_runs} runs; median error "
                f"{np.median([run.consensus for run in runs]):.3f} against {median:.3f}"
            )
        errors_s = np.abs([error for run in runs for error in run.lag_errors_s])
        if len(errors_s):
            half, most, worst = np.quantile(errors_s, [0.5, 0.95, 1])
            print(
                f"lags: {100 * np.mean(errors_s <= 0.25):.1f} % of {len(errors_s)} annotators' "
                f"within 0.25 s; error {half:.3f} s median, {most:.3f} s 95th percentile, "
                f"{worst:.3f} s largest"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
