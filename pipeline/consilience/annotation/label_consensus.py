"""From annotators to soft labels: one distribution over classes, valence and arousal a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.annotation.agreement import intraclass_correlation, krippendorff_alpha
from consilience.annotation.dawid_skene import DawidSkeneFit, dawid_skene
from consilience.annotation.evaluators import RatingConsensus, evaluator_median, evaluator_weighted
from consilience.annotation.lags import Lag
from consilience.annotation.ratings import (
    TARGETS,
    Ratings,
    reaction_lags,
    split_by_source,
    window_ratings,
)
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.tables import Annotators, Confusions, frame_of
from consilience.windows.layout import Window

QUORUM = 3  # annotators of one window, below which none can be outvoted
SAME = 1e-9

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class WindowLabel:
    """What annotators say of one window together.

    Attributes
    ----------
    class_probability : list of float or None
        One per class, summing to 1: how likely each is the true one, from what every annotator
        says and how far each is to be believed; None if nobody named a class.
    valence, arousal : float or None
        Means over the annotators by their reliability, biases removed, on the dataset's scale.
    agreement : float or None
        Probability that two annotators drawn at random name the same class (Fleiss 1971, the
        agreement of one subject): ``(|sum_a v_a|² - sum_a |v_a|²) / (n (n - 1))`` with ``v_a``
        the classes' shares in what annotator ``a`` of ``n`` says. None for fewer than two.
    n_annotators : int
        Those who said anything of the window.
    class_entropy : float or None
        Of `class_probability`, in bits.
    valence_sd, arousal_sd : float or None
        Standard deviation between the annotators, biases removed; None for fewer than two.
    vote_share : list of float or None
        What share of the observers named each class.
    contradicted : bool or None
        Whether fewer observers named the label's likeliest class than another, or all rated
        higher, or all lower, than its valence or arousal. None without observers.
    self_emotion : str or None
        Class the subject names.
    self_valence, self_arousal : float or None
        The subject's own ratings.
    """

    class_probability: list[float] | None = None
    valence: float | None = None
    arousal: float | None = None
    agreement: float | None = None
    n_annotators: int = 0
    class_entropy: float | None = None
    valence_sd: float | None = None
    arousal_sd: float | None = None
    vote_share: list[float] | None = None
    contradicted: bool | None = None
    self_emotion: str | None = None
    self_valence: float | None = None
    self_arousal: float | None = None


@dataclass(frozen=True)
class Labelling:
    """Labels of windows, and what is found of those who gave them.

    Attributes
    ----------
    labels : list of WindowLabel
        One per window.
    annotators : polars.DataFrame
        Table `Annotators`.
    confusions : polars.DataFrame
        Table `Confusions`.
    agreement : dict of str to dict of str to float or None
        Per target: ``krippendorff_alpha`` and, of ratings, ``icc_single`` and ``icc_mean``.
    """

    labels: list[WindowLabel]
    annotators: pl.DataFrame
    confusions: pl.DataFrame
    agreement: dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class _Panel:
    """One kind of annotators, and what they say of all windows about each target."""

    names: list[str]
    lags: dict[str, Lag]
    said: dict[str, Ratings]


def label_windows(
    annotations: pl.DataFrame,
    windows: Sequence[Window],
    trials: pl.DataFrame,
    classes: Sequence[str],
    choice: AnnotationParams,
) -> Labelling:
    """Turn what annotators said into labels of windows.

    Each annotator says of a window the mean of what they said in it, weighted by overlap, after
    their reaction lag is taken off (`consilience.annotation.lags`). Classes are agreed on by
    `dawid_skene` if any window has `QUORUM` annotators, and are shares of what is said otherwise;
    ratings by `evaluator_weighted`, or `evaluator_median` where only their order counts.
    Observers and subjects' reports on themselves are never mixed.

    Parameters
    ----------
    annotations : polars.DataFrame
        Table `Annotations`. An annotator is the same person in every session.
    windows : sequence of Window
        Windows of any sessions.
    trials : polars.DataFrame
        Table `Trials`.
    classes : sequence of str
        The dataset's emotion classes, in order.
    choice : AnnotationParams

    Returns
    -------
    Labelling

    Raises
    ------
    ConsilienceError
        If an annotation names a class the dataset does not have.
    """
    present = _within(annotations, windows)
    panels = {
        source: _panel(said, windows, trials, classes, choice)
        for source, said in split_by_source(present).items()
    }
    chosen, n = panels[choice.source], len(windows)
    votes = chosen.said["emotion"]
    items = _items(votes, windows)
    verdicts = _verdicts(votes, items)
    probability = _shares(votes, n) if verdicts is None else _spread_out(verdicts, votes, items, n)
    ratings = {name: _rate(chosen.said[name], n, choice) for name in TARGETS[1:]}
    heard = np.concatenate([_voices(part) for part in chosen.said.values()])
    n_heard = np.bincount(np.unique(heard, axis=0)[:, 0], minlength=n)
    columns: dict[str, Sequence[Any]] = {
        "class_probability": _lists(probability),
        "valence": _or_none(ratings["valence"].mean),
        "arousal": _or_none(ratings["arousal"].mean),
        "agreement": _or_none(_same_class(votes, n)),
        "n_annotators": n_heard.tolist(),
        "class_entropy": _or_none(_entropy(probability)),
        "valence_sd": _or_none(ratings["valence"].sd),
        "arousal_sd": _or_none(ratings["arousal"].sd),
        "vote_share": _lists(_shares(panels["observers"].said["emotion"], n)),
        "contradicted": _contradicted(probability, ratings, panels["observers"], n),
        **_own_reports(panels["self"], classes, n),
    }
    labels = [
        WindowLabel(**dict(zip(columns, row, strict=True)))
        for row in zip(*columns.values(), strict=True)
    ]
    return Labelling(
        labels,
        _annotators(chosen, verdicts, ratings),
        _confusions(chosen.names, verdicts, classes),
        _agreement(chosen, items, choice),
    )


def _within(annotations: pl.DataFrame, windows: Sequence[Window]) -> pl.DataFrame:
    """Return what was said of sessions with windows; what has no end ends with the last window."""
    ends_s: dict[str, float] = {}
    for window in windows:
        ends_s[window.session] = max(window.end_s, ends_s.get(window.session, 0.0))
    last_s = pl.col("session").replace_strict(ends_s, default=None, return_dtype=pl.Float64)
    end_s = pl.when(pl.col("end_s").is_infinite()).then(pl.max_horizontal("start_s", last_s))
    return annotations.filter(last_s.is_not_null()).with_columns(end_s=end_s.otherwise("end_s"))


def _panel(
    said: pl.DataFrame,
    windows: Sequence[Window],
    trials: pl.DataFrame,
    classes: Sequence[str],
    choice: AnnotationParams,
) -> _Panel:
    names = said["annotator"].unique().sort().to_list()
    lags = reaction_lags(said, trials, classes, choice)
    return _Panel(names, lags, window_ratings(said, windows, trials, classes, names, lags))


def _voices(part: Ratings) -> Indices:
    return np.stack([part.window, part.annotator], axis=1)


def _items(part: Ratings, windows: Sequence[Window]) -> Indices:
    """Return the judgement each opinion belongs to, so that overlapping windows count once.

    Windows of one trial of which the same annotators say the same show one judgement.
    """
    known: dict[tuple[str, str, bytes, bytes], int] = {}
    item = np.empty(len(part.window), dtype=np.intp)
    borders = np.flatnonzero(np.diff(part.window, prepend=-1, append=-1))
    for start, end in pairwise(borders):
        window = windows[part.window[start]]
        what = np.round(part.said[start:end], 6).tobytes()
        key = (window.session, window.trial, part.annotator[start:end].tobytes(), what)
        item[start:end] = known.setdefault(key, len(known))
    return item


def _first(part: Ratings, items: Indices) -> NDArray[np.bool_]:
    """Return the opinions that make up each item the first time it occurs."""
    window_of = np.full(items.max(initial=-1) + 1, np.iinfo(np.intp).max)
    np.minimum.at(window_of, items, part.window)
    return part.window == window_of[items]


def _verdicts(part: Ratings, items: Indices) -> DawidSkeneFit | None:
    """Return the consensus on items, or None where no item has a quorum."""
    once = _first(part, items)
    if not (np.bincount(items[once]) >= QUORUM).any():
        return None
    return dawid_skene(items[once], part.annotator[once], part.said[once])


def _spread_out(verdicts: DawidSkeneFit, part: Ratings, items: Indices, n: int) -> Floats:
    """Return the classes' probabilities window by window; NaN where nothing was said."""
    result = np.full((n, verdicts.posterior.shape[1]), np.nan)
    result[part.window] = verdicts.posterior[items]
    return result


def _sums(part: Ratings, n: int) -> tuple[Floats, Floats]:
    """Return sums of what is said of each window, and how many say it."""
    sums = [np.bincount(part.window, column, minlength=n) for column in part.said.T]
    count = np.bincount(part.window, minlength=n)
    return np.stack(sums, axis=1).astype(np.float64), count.astype(np.float64)


def _shares(part: Ratings, n: int) -> Floats:
    sums, count = _sums(part, n)
    known = count[:, None] > 0
    return np.divide(sums, count[:, None], out=np.full_like(sums, np.nan), where=known)


def _same_class(part: Ratings, n: int) -> Floats:
    sums, count = _sums(part, n)
    own = np.bincount(part.window, (part.said**2).sum(axis=1), minlength=n)
    pairs = count * (count - 1)
    same = np.divide((sums**2).sum(axis=1) - own, pairs, out=np.full(n, np.nan), where=pairs > 0)
    return np.clip(same, 0, 1)


def _entropy(probability: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(probability > 0, probability * np.log2(probability), 0.0 * probability)
    return np.abs(parts.sum(axis=1))


def _rate(part: Ratings, n: int, choice: AnnotationParams) -> RatingConsensus:
    """Return the consensus on ratings, window by window; NaN where nothing was said."""
    if not len(part.window):
        nothing, nobody = np.full(n, np.nan), np.empty(0)
        return RatingConsensus(nothing, nothing, nobody, nobody, nobody)
    rated, item = np.unique(part.window, return_inverse=True)
    ordinal = choice.scale == "ordinal" and not part.followed
    estimate = evaluator_median if ordinal else evaluator_weighted
    found = estimate(item, part.annotator, part.said[:, 0])
    mean, sd = np.full(n, np.nan), np.full(n, np.nan)
    mean[rated], sd[rated] = found.mean, found.sd
    return RatingConsensus(mean, sd, found.bias, found.reliability, found.weight)


def _contradicted(
    probability: Floats, ratings: dict[str, RatingConsensus], observers: _Panel, n: int
) -> list[bool | None]:
    shares = _shares(observers.said["emotion"], n)
    voted = np.isfinite(shares[:, 0]) & np.isfinite(probability[:, 0])
    label = np.nan_to_num(probability).argmax(axis=1)
    outvoted = shares[np.arange(n), label] < np.nan_to_num(shares).max(axis=1) - SAME
    against, asked = voted & outvoted, voted
    for name, found in ratings.items():
        part = observers.said[name]
        low, high = np.full(n, np.inf), np.full(n, -np.inf)
        np.minimum.at(low, part.window, part.said[:, 0])
        np.maximum.at(high, part.window, part.said[:, 0])
        rated = np.isfinite(low) & np.isfinite(found.mean)
        against = against | rated & ((found.mean < low - SAME) | (found.mean > high + SAME))
        asked = asked | rated
    return [bool(no) if known else None for no, known in zip(against, asked, strict=True)]


def _own_reports(panel: _Panel, classes: Sequence[str], n: int) -> dict[str, Sequence[Any]]:
    shares = _shares(panel.said["emotion"], n)
    named = [classes[int(np.argmax(row))] if np.isfinite(row).all() else None for row in shares]
    ratings = {f"self_{name}": _shares(panel.said[name], n)[:, 0] for name in TARGETS[1:]}
    return {"self_emotion": named, **{name: _or_none(mean) for name, mean in ratings.items()}}


def _annotators(
    panel: _Panel, verdicts: DawidSkeneFit | None, ratings: dict[str, RatingConsensus]
) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    for target, part in panel.said.items():
        counts = np.bincount(part.annotator, minlength=len(panel.names))
        for number in np.flatnonzero(counts):
            name = panel.names[number]
            row = {"annotator": name, "target": target, "n_windows": int(counts[number])}
            if target != "emotion":
                found = ratings[target]
                row |= {
                    key: _or_none(getattr(found, key)[[number]])[0]
                    for key in ("reliability", "bias", "weight")
                }
            elif verdicts is not None:
                row["reliability"] = float(verdicts.reliability[number])
            if part.followed and name in panel.lags:
                row |= _lag_columns(panel.lags[name])
            rows.append(row)
    return frame_of(rows, Annotators)


def _lag_columns(lag: Lag) -> dict[str, object]:
    renamed = {"sd_s": "lag_sd_s", "anchored": "lag_anchored"}
    return {renamed.get(key, key): value for key, value in vars(lag).items()}


def _confusions(
    names: Sequence[str], verdicts: DawidSkeneFit | None, classes: Sequence[str]
) -> pl.DataFrame:
    found = np.empty((0, 0, 0)) if verdicts is None else verdicts.confusion
    rows: list[dict[str, object]] = [
        {"annotator": name, "actual": actual, "named": named, "probability": float(share)}
        for name, confusion in zip(names, found, strict=False)
        for actual, row in zip(classes, confusion, strict=True)
        for named, share in zip(classes, row, strict=True)
    ]
    return frame_of(rows, Confusions)


def _agreement(
    panel: _Panel, items: Indices, choice: AnnotationParams
) -> dict[str, dict[str, float | None]]:
    votes = panel.said["emotion"]
    once = _first(votes, items)
    named = votes.said[once].argmax(axis=1).astype(np.float64)
    found = {"emotion": {"krippendorff_alpha": krippendorff_alpha(items[once], named, "nominal")}}
    for name in TARGETS[1:]:
        part = panel.said[name]
        ratings = part.said[:, 0]
        scale: Literal["ordinal", "interval"] = "interval" if part.followed else choice.scale
        single, mean = intraclass_correlation(_complete(part)) or (None, None)
        found[name] = {
            "krippendorff_alpha": krippendorff_alpha(part.window, ratings, scale),
            "icc_single": single,
            "icc_mean": mean,
        }
    return {target: figures for target, figures in found.items() if len(panel.said[target].window)}


def _complete(part: Ratings) -> Floats:
    """Return the ratings of windows that all have rated, shape (n_windows, n_annotators)."""
    count = np.bincount(part.window)
    n_annotators = len(np.unique(part.annotator))
    complete = count[part.window] == n_annotators
    ratings: Floats = part.said[complete, 0].reshape(-1, max(n_annotators, 1))
    return ratings


def _or_none(values: Floats) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _lists(rows: Floats) -> list[list[float] | None]:
    return [row.tolist() if np.isfinite(row).all() else None for row in rows]
