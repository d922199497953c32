"""What each annotator says of each window, their reaction lag removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.annotation.lags import STEP_S, Lag, SessionTraces, estimate_lags
from consilience.core.errors import ConsilienceError
from consilience.schema.params.annotation import AnnotationParams
from consilience.windows.layout import Window

SELF_REPORT = "self"
TARGETS = ("emotion", "valence", "arousal")
LEAST_OVERLAP_S = 1e-6
LONGEST_SAMPLE_S = 2.0  # of a trace; what was said of a longer stretch was said of it as a whole

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Ratings:
    """What annotators say of windows about one target, sorted by window and annotator.

    Attributes
    ----------
    window, annotator : ndarray of intp, shape (n_opinions,)
        Positions in the lists of windows and of annotators.
    said : ndarray of float64, shape (n_opinions, K) or (n_opinions, 1)
        Shares of the classes, or a value.
    followed : bool
        Whether any of it was said as the session went on, rather than of whole trials.
    """

    window: Indices
    annotator: Indices
    said: Floats
    followed: bool


def split_by_source(annotations: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Tell what observers said (``"observers"``) from subjects' reports on themselves (``"self"``).

    The annotator of a self-report has a name that begins with ``self``.
    """
    own = pl.col("annotator").str.starts_with(SELF_REPORT)
    return {"observers": annotations.filter(~own), "self": annotations.filter(own)}


def reaction_lags(
    said: pl.DataFrame, trials: pl.DataFrame, classes: Sequence[str], choice: AnnotationParams
) -> dict[str, Lag]:
    """Return the lag of every annotator who followed a session as it went on.

    That is who made more statements of one kind than the session has trials, most of them no
    longer than `LONGEST_SAMPLE_S`: a judgement of a whole trial or segment is not late.

    Parameters
    ----------
    said : polars.DataFrame
        Table `Annotations`.
    trials : polars.DataFrame
        Table `Trials`.
    classes : sequence of str
    choice : AnnotationParams
    """
    running = _running(said, trials).sort("start_s", maintain_order=True)
    if choice.reaction_lag_s != "auto":
        lag = Lag(choice.reaction_lag_s, None, False, None, None, None, None)
        return {str(name): lag for name in running["annotator"].unique().sort()}
    courses = [
        _course(part, trials.filter(pl.col("session") == session), classes)
        for (session,), part in sorted(running.partition_by("session", as_dict=True).items())
    ]
    return estimate_lags(courses, choice.max_reaction_lag_s, choice.usual_reaction_lag_s)


def _running(said: pl.DataFrame, trials: pl.DataFrame) -> pl.DataFrame:
    n_trials = trials.group_by("session").len("n_trials")
    counted = said.join(n_trials, on="session", how="left", maintain_order="left")
    group = ("session", "annotator", "target")
    many = pl.len().over(group) > pl.col("n_trials").fill_null(1)
    short = (pl.col("end_s") - pl.col("start_s")).median().over(group) <= LONGEST_SAMPLE_S
    return counted.filter(many & short).drop("n_trials")


def _course(said: pl.DataFrame, trials: pl.DataFrame, classes: Sequence[str]) -> SessionTraces:
    end_s = float(said["end_s"].max())  # type: ignore[arg-type]
    times_s = np.arange(0, end_s, STEP_S)
    traces: dict[str, list[Floats]] = {}
    for key, part in sorted(said.partition_by("annotator", "target", as_dict=True).items()):
        name, target = map(str, key)
        content = _content(part, target, classes)
        traces.setdefault(name, []).append(_trace(part, content, times_s))
    width = max(sum(len(part) for part in parts) for parts in traces.values())
    return SessionTraces(
        {
            name: np.concatenate(parts)
            for name, parts in traces.items()
            if sum(len(part) for part in parts) == width
        },
        trials.select("start_s", "end_s").to_numpy().astype(np.float64),
    )


def _trace(statements: pl.DataFrame, content: Floats, times_s: Floats) -> Floats:
    """Return statements at regular times, shape (n_channels, n_times); NaN in the gaps.

    A value is what was said in the middle of its stretch, as windows take it, and in a straight
    line from there to the next.
    """
    start_s, end_s = statements["start_s"].to_numpy(), statements["end_s"].to_numpy()
    middle_s = (start_s + end_s) / 2
    latest = np.maximum(np.searchsorted(start_s, times_s + 1e-9, side="right") - 1, 0)
    silent = (times_s < start_s[0]) | (times_s > end_s[latest] + 1e-9)
    channels = np.stack([np.interp(times_s, middle_s, column) for column in content.T])
    channels[:, silent] = np.nan
    return channels


def window_ratings(
    said: pl.DataFrame,
    windows: Sequence[Window],
    trials: pl.DataFrame,
    classes: Sequence[str],
    names: Sequence[str],
    lags: Mapping[str, Lag],
) -> dict[str, Ratings]:
    """Return what annotators say of windows: means of their statements, weighted by overlap.

    Parameters
    ----------
    said : polars.DataFrame
        Table `Annotations`.
    windows : sequence of Window
    trials : polars.DataFrame
        Table `Trials`.
    classes : sequence of str
    names : sequence of str
        All annotators, in the order of `Ratings.annotator`.
    lags : mapping of str to Lag
        What `reaction_lags` returned.

    Returns
    -------
    dict of str to Ratings
        One per target.

    Raises
    ------
    ConsilienceError
        If a statement names a class the dataset does not have.
    """
    _check_classes(said, classes)
    position = {name: number for number, name in enumerate(names)}
    late = set(_running(said, trials).select("session", "annotator", "target").unique().rows())
    alone = pl.len().over("session", "annotator", "target") == 1
    parts = _single_statements(said.filter(alone), windows, classes, position)
    rows: dict[str, list[int]] = {}
    for row, window in enumerate(windows):
        rows.setdefault(window.session, []).append(row)
    groups = said.filter(~alone).partition_by("session", "annotator", "target", as_dict=True)
    for key, statements in groups.items():
        session, name, target = map(str, key)
        own = np.array(rows.get(session, []), dtype=np.intp)
        lag_s = lags[name].lag_s if key in late else 0.0
        borders_s = [(windows[row].start_s + lag_s, windows[row].end_s + lag_s) for row in own]
        content = _content(statements, target, classes)
        heard, mean = _means(statements, content, np.reshape(borders_s, (-1, 2)))
        parts[target].append((own[heard], np.full(heard.sum(), position[name]), mean[heard]))
    widths = {"emotion": len(classes), "valence": 1, "arousal": 1}
    followed = {target for _, _, target in late}
    return {
        target: _joined(found, widths[target], target in followed)
        for target, found in parts.items()
    }


def _single_statements(
    said: pl.DataFrame,
    windows: Sequence[Window],
    classes: Sequence[str],
    position: Mapping[str, int],
) -> dict[str, list[tuple[Indices, Indices, Floats]]]:
    """Return the opinions of those who said one thing of a session, all at once."""
    rows = [
        (row, window.session, window.start_s, window.end_s) for row, window in enumerate(windows)
    ]
    schema = {"row": pl.Int64, "session": pl.String, "from_s": pl.Float64, "until_s": pl.Float64}
    shown = pl.DataFrame(rows, schema, orient="row")
    overlap_s = pl.min_horizontal("end_s", "until_s") - pl.max_horizontal("start_s", "from_s")
    met = said.join(shown, on="session").filter(overlap_s > LEAST_OVERLAP_S)
    parts: dict[str, list[tuple[Indices, Indices, Floats]]] = {}
    for target in TARGETS:
        own = met.filter(pl.col("target") == target)
        who = [position[name] for name in own["annotator"]]
        where = own["row"].to_numpy().astype(np.intp)
        parts[target] = [(where, np.array(who, dtype=np.intp), _content(own, target, classes))]
    return parts


def _check_classes(said: pl.DataFrame, classes: Sequence[str]) -> None:
    unknown = said.filter(pl.col("target") == "emotion", ~pl.col("label").is_in(list(classes)))
    if unknown.height:
        first = unknown.row(0, named=True)
        raise ConsilienceError(
            f"annotator '{first['annotator']}' names the class '{first['label']}'",
            f"session {first['session']}",
            f"the dataset's classes are {', '.join(classes)}",
        )


def _content(statements: pl.DataFrame, target: str, classes: Sequence[str]) -> Floats:
    """Return what is said about one target: classes as 0 and 1, or a value."""
    if target != "emotion":
        return statements["value"].to_numpy().astype(np.float64)[:, None]
    named = statements["label"].to_numpy()
    return (named[:, None] == np.array(classes, dtype=object)).astype(np.float64)


def _means(
    statements: pl.DataFrame, content: Floats, borders_s: Floats
) -> tuple[NDArray[np.bool_], Floats]:
    """Return which stretches hold a statement, and means over them weighted by overlap."""
    start_s, end_s = statements["start_s"].to_numpy(), statements["end_s"].to_numpy()
    weights = np.concatenate([np.ones((len(content), 1)), content], axis=1)
    knots = np.concatenate([start_s, end_s])
    order = np.argsort(knots, kind="stable")
    slope = np.cumsum(np.concatenate([weights, -weights])[order], axis=0)
    rise = slope[:-1] * np.diff(knots[order])[:, None]
    level = np.concatenate([np.zeros((1, weights.shape[1])), np.cumsum(rise, axis=0)])
    sums = np.stack(
        [
            np.interp(borders_s[:, 1], knots[order], column)
            - np.interp(borders_s[:, 0], knots[order], column)
            for column in level.T
        ],
        axis=1,
    )
    heard = sums[:, 0] > LEAST_OVERLAP_S
    mean = np.divide(sums[:, 1:], sums[:, :1], out=np.zeros_like(sums[:, 1:]), where=heard[:, None])
    return heard, mean


def _joined(
    parts: Sequence[tuple[Indices, Indices, Floats]], width: int, followed: bool
) -> Ratings:
    window = np.concatenate([part[0] for part in parts] or [np.empty(0, np.intp)])
    annotator = np.concatenate([part[1] for part in parts] or [np.empty(0, np.intp)])
    said = np.concatenate([part[2] for part in parts] or [np.empty((0, width))])
    order = np.lexsort((annotator, window))
    return Ratings(window[order], annotator[order].astype(np.intp), said[order], followed)
