"""Ratings of windows: each annotator's statements, averaged by overlap after lag removal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.annotation.lags import STEP_S, Lag, SessionTraces, estimate_lags
from consilience.core.errors import ConsilienceError
from consilience.schema.constants import SELF_REPORT
from consilience.schema.params.annotation import AnnotationParams
from consilience.windows.layout import Window

TARGETS = ("emotion", "valence", "arousal")
LEAST_OVERLAP_S = 1e-6
LONGEST_SAMPLE_S = 2.0  # median length of a trace's samples; longer ones rate whole stretches
ROUNDING_S = 1e-9

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Columns = tuple[Indices, Indices, Floats]  # window, annotator, values


@dataclass(frozen=True)
class Ratings:
    """Ratings of windows for one target, sorted by window and annotator.

    Attributes
    ----------
    window, annotator : ndarray of intp, shape (n_ratings,)
        Positions in the lists of windows and of annotators.
    values : ndarray of float64, shape (n_ratings, K) or (n_ratings, 1)
        Shares of the classes, or a value.
    continuous : bool
        Whether any annotator rated continuously, rather than whole trials.
    """

    window: Indices
    annotator: Indices
    values: Floats
    continuous: bool


def split_by_source(annotations: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Split table `Annotations` into ratings by observers and by the subjects themselves.

    Parameters
    ----------
    annotations : polars.DataFrame
        The annotator of a self-report has a name that begins with ``self``.

    Returns
    -------
    dict of str to polars.DataFrame
        ``"observers"`` and ``"self"``.
    """
    by_subject = pl.col("annotator").str.starts_with(SELF_REPORT)
    return {
        "observers": annotations.filter(~by_subject),
        "self": annotations.filter(by_subject),
    }


def reaction_lags(
    annotations: pl.DataFrame,
    trials: pl.DataFrame,
    classes: Sequence[str],
    params: AnnotationParams,
) -> dict[str, Lag]:
    """Estimate the lag of each annotator who rates continuously.

    Statements are continuous if an annotator made more of them about one target than the session
    has trials, and their median length is at most `LONGEST_SAMPLE_S`. Ratings of whole trials or
    segments have no lag.

    Parameters
    ----------
    annotations : polars.DataFrame
        Table `Annotations`.
    trials : polars.DataFrame
        Table `Trials`.
    classes : sequence of str
    params : AnnotationParams

    Returns
    -------
    dict of str to Lag
        By annotator.
    """
    continuous = _continuous(annotations, trials).sort("start_s", maintain_order=True)
    if params.reaction_lag_s != "auto":
        lag = Lag(params.reaction_lag_s, None, False, None, None, None, None)
        return {str(name): lag for name in continuous["annotator"].unique().sort()}
    sessions = [
        _session_traces(statements, trials.filter(pl.col("session") == session), classes)
        for (session,), statements in sorted(
            continuous.partition_by("session", as_dict=True).items()
        )
    ]
    return estimate_lags(sessions, params.max_reaction_lag_s, params.usual_reaction_lag_s)


def _continuous(annotations: pl.DataFrame, trials: pl.DataFrame) -> pl.DataFrame:
    """Return the statements that sample a continuous rating."""
    n_trials = trials.group_by("session").len("n_trials")
    counted = annotations.join(n_trials, on="session", how="left", maintain_order="left")
    group = ("session", "annotator", "target")
    many = pl.len().over(group) > pl.col("n_trials").fill_null(1)
    short = (pl.col("end_s") - pl.col("start_s")).median().over(group) <= LONGEST_SAMPLE_S
    return counted.filter(many & short).drop("n_trials")


def _session_traces(
    annotations: pl.DataFrame, trials: pl.DataFrame, classes: Sequence[str]
) -> SessionTraces:
    """Return the continuous ratings of one session on the time grid."""
    end_s = float(annotations["end_s"].max())  # type: ignore[arg-type]
    times_s = np.arange(0, end_s, STEP_S)
    channels: dict[str, list[Floats]] = {}
    by_channel = annotations.partition_by("annotator", "target", as_dict=True)
    for key, statements in sorted(by_channel.items()):
        name, target = map(str, key)
        values = _values(statements, target, classes)
        channels.setdefault(name, []).append(_trace(statements, values, times_s))
    # Annotators are correlated channel by channel, so all need the same targets.
    width = max(sum(map(len, traces)) for traces in channels.values())
    return SessionTraces(
        {
            name: np.concatenate(traces)
            for name, traces in channels.items()
            if sum(map(len, traces)) == width
        },
        trials.select("start_s", "end_s").to_numpy().astype(np.float64),
    )


def _trace(statements: pl.DataFrame, values: Floats, times_s: Floats) -> Floats:
    """Resample statements to regular times, shape (n_channels, n_times); NaN in the gaps.

    Each value is placed in the middle of its statement, consistent with the means over windows,
    and values in between are interpolated linearly.
    """
    start_s, end_s = statements["start_s"].to_numpy(), statements["end_s"].to_numpy()
    middle_s = (start_s + end_s) / 2
    latest = np.maximum(np.searchsorted(start_s, times_s + ROUNDING_S, side="right") - 1, 0)
    gap = (times_s < start_s[0]) | (times_s > end_s[latest] + ROUNDING_S)
    channels = np.stack([np.interp(times_s, middle_s, column) for column in values.T])
    channels[:, gap] = np.nan
    return channels


def window_ratings(
    annotations: pl.DataFrame,
    windows: Sequence[Window],
    trials: pl.DataFrame,
    classes: Sequence[str],
    names: Sequence[str],
    lags: Mapping[str, Lag],
) -> dict[str, Ratings]:
    """Compute each annotator's rating of each window: the mean of statements, by overlap.

    Parameters
    ----------
    annotations : polars.DataFrame
        Table `Annotations`.
    windows : sequence of Window
    trials : polars.DataFrame
        Table `Trials`.
    classes : sequence of str
    names : sequence of str
        All annotators, in the order of `Ratings.annotator`.
    lags : mapping of str to Lag
        As returned by `reaction_lags`.

    Returns
    -------
    dict of str to Ratings
        By target.

    Raises
    ------
    ConsilienceError
        If a statement names a class that the dataset does not have.
    """
    _check_classes(annotations, classes)
    position = {name: number for number, name in enumerate(names)}
    group = ("session", "annotator", "target")
    continuous = set(_continuous(annotations, trials).select(group).unique().rows())
    # Most datasets have one statement per session, annotator and target. A single join handles
    # these thousands of groups.
    single = pl.len().over(group) == 1
    parts = _single_statements(annotations.filter(single), windows, classes, position)
    rows_of: dict[str, list[int]] = {}
    for row, window in enumerate(windows):
        rows_of.setdefault(window.session, []).append(row)
    groups = annotations.filter(~single).partition_by(group, as_dict=True)
    for key, statements in groups.items():
        session, name, target = map(str, key)
        rows = np.array(rows_of.get(session, []), dtype=np.intp)
        # A rating given at a time refers to the state one lag earlier.
        lag_s = lags[name].lag_s if key in continuous else 0.0
        borders_s = [(windows[row].start_s + lag_s, windows[row].end_s + lag_s) for row in rows]
        values = _values(statements, target, classes)
        rated, mean = _overlap_means(statements, values, np.reshape(borders_s, (-1, 2)))
        annotator = np.full(rated.sum(), position[name])
        parts[target].append((rows[rated], annotator, mean[rated]))
    widths = {"emotion": len(classes), "valence": 1, "arousal": 1}
    continuous_targets = {target for _, _, target in continuous}
    return {
        target: _joined(columns, widths[target], target in continuous_targets)
        for target, columns in parts.items()
    }


def _single_statements(
    annotations: pl.DataFrame,
    windows: Sequence[Window],
    classes: Sequence[str],
    position: Mapping[str, int],
) -> dict[str, list[Columns]]:
    """Return the ratings by annotators with one statement per session and target."""
    rows = [
        (row, window.session, window.start_s, window.end_s) for row, window in enumerate(windows)
    ]
    schema = {"row": pl.Int64, "session": pl.String, "from_s": pl.Float64, "until_s": pl.Float64}
    table = pl.DataFrame(rows, schema, orient="row")
    overlap_s = pl.min_horizontal("end_s", "until_s") - pl.max_horizontal("start_s", "from_s")
    overlapping = annotations.join(table, on="session").filter(overlap_s > LEAST_OVERLAP_S)
    parts: dict[str, list[Columns]] = {}
    for target in TARGETS:
        of_target = overlapping.filter(pl.col("target") == target)
        annotator = [position[name] for name in of_target["annotator"]]
        window_rows = of_target["row"].to_numpy().astype(np.intp)
        values = _values(of_target, target, classes)
        parts[target] = [(window_rows, np.array(annotator, dtype=np.intp), values)]
    return parts


def _check_classes(annotations: pl.DataFrame, classes: Sequence[str]) -> None:
    """Raise a `ConsilienceError` if a statement names an unknown class."""
    unknown = annotations.filter(
        pl.col("target") == "emotion", ~pl.col("label").is_in(list(classes))
    )
    if unknown.height:
        first = unknown.row(0, named=True)
        raise ConsilienceError(
            f"unknown class '{first['label']}' by annotator '{first['annotator']}'",
            f"session {first['session']}",
            f"the dataset's classes are {', '.join(classes)}",
        )


def _values(statements: pl.DataFrame, target: str, classes: Sequence[str]) -> Floats:
    """Return statements about one target as numbers: classes one-hot, or a value."""
    if target != "emotion":
        return statements["value"].to_numpy().astype(np.float64)[:, None]
    labels = statements["label"].to_numpy()
    return (labels[:, None] == np.array(classes, dtype=object)).astype(np.float64)


def _overlap_means(
    statements: pl.DataFrame, values: Floats, borders_s: Floats
) -> tuple[NDArray[np.bool_], Floats]:
    """Average statements over stretches of time, weighted by overlap.

    The sum of the statements' values at a time is a step function of time. Its integral is
    piecewise linear, and is evaluated at the borders of all stretches at once, so that the cost
    does not grow with the number of statements times the number of windows.

    Parameters
    ----------
    statements : polars.DataFrame
    values : ndarray of float64, shape (n_statements, n_values)
    borders_s : ndarray of float64, shape (n_stretches, 2)

    Returns
    -------
    rated : ndarray of bool, shape (n_stretches,)
        Whether any statement overlaps the stretch.
    mean : ndarray of float64, shape (n_stretches, n_values)
        Zero where not rated.
    """
    start_s, end_s = statements["start_s"].to_numpy(), statements["end_s"].to_numpy()
    # The first column integrates to the total overlap, which divides the others.
    weights = np.concatenate([np.ones((len(values), 1)), values], axis=1)
    knots = np.concatenate([start_s, end_s])
    order = np.argsort(knots, kind="stable")
    slope = np.cumsum(np.concatenate([weights, -weights])[order], axis=0)
    rise = slope[:-1] * np.diff(knots[order])[:, None]
    integral = np.concatenate([np.zeros((1, weights.shape[1])), np.cumsum(rise, axis=0)])
    sums = np.stack(
        [
            np.interp(borders_s[:, 1], knots[order], column)
            - np.interp(borders_s[:, 0], knots[order], column)
            for column in integral.T
        ],
        axis=1,
    )
    rated = sums[:, 0] > LEAST_OVERLAP_S
    mean = np.divide(sums[:, 1:], sums[:, :1], out=np.zeros_like(sums[:, 1:]), where=rated[:, None])
    return rated, mean


def _joined(tables: Sequence[Columns], width: int, continuous: bool) -> Ratings:
    """Concatenate ratings and sort them by window and annotator."""
    window = np.concatenate([columns[0] for columns in tables] or [np.empty(0, np.intp)])
    annotator = np.concatenate([columns[1] for columns in tables] or [np.empty(0, np.intp)])
    values = np.concatenate([columns[2] for columns in tables] or [np.empty((0, width))])
    order = np.lexsort((annotator, window))
    return Ratings(window[order], annotator[order].astype(np.intp), values[order], continuous)
