"""Soft labels of windows: class probabilities, valence and arousal, from all annotators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

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
from consilience.schema.constants import AFFECT_CLASSES
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.tables import Annotators, Confusions, frame_of
from consilience.windows.layout import Window

QUORUM = 3  # annotators of one window, below which a majority cannot identify errors
EQUAL = 1e-9  # differences up to this are rounding errors

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Labelling:
    """Labels of windows, with the estimated properties of the annotators.

    Attributes
    ----------
    labels : polars.DataFrame
        One row per window, with the last columns of `Labels`:

        - class_probability: probability that a class is the true one, by class; null without
          votes. Each annotator's votes are weighted by the annotator's estimated confusions. Of
          `AFFECT_CLASSES`, without votes: 1 for that of the consensus of valence and arousal,
          shared at the scale's middle.
        - valence, arousal: mean over the annotators weighted by their reliability, biases removed,
          on the dataset's scale.
        - agreement: probability that two annotators drawn at random name the same class (Fleiss
          1971, the agreement of one subject): ``(|sum_a v_a|² - sum_a |v_a|²) / (n (n - 1))`` with
          ``v_a`` the shares of the classes in the vote of annotator ``a`` of ``n``. Null for fewer
          than two annotators.
        - n_annotators: annotators with a rating of the window for any target.
        - class_entropy: entropy of class_probability in bits.
        - valence_sd, arousal_sd: standard deviation between the annotators, biases removed; null
          for fewer than two.
        - vote_share: share of the observers' votes, by class.
        - contradicted: whether another class has more of the observers' votes than the label's
          most probable one, or all observers rated valence or arousal higher, or all lower, than
          the label. Null without observers.
        - self_emotion: class that the subject names.
        - self_valence, self_arousal: mean of the subject's own ratings.
    annotators : polars.DataFrame
        Table `Annotators`.
    confusions : polars.DataFrame
        Table `Confusions`.
    agreement : dict of str to dict of str to float or None
        By target: ``krippendorff_alpha`` and, for valence and arousal, ``icc_single`` and
        ``icc_mean``.
    """

    labels: pl.DataFrame
    annotators: pl.DataFrame
    confusions: pl.DataFrame
    agreement: dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class _Source:
    """Annotators of one source (observers or subjects), with their lags and ratings by target."""

    names: list[str]
    lags: dict[str, Lag]
    ratings: dict[str, Ratings]


def label_windows(
    annotations: pl.DataFrame,
    windows: Sequence[Window],
    trials: pl.DataFrame,
    classes: Sequence[str],
    params: AnnotationParams,
) -> Labelling:
    """Compute consensus labels of windows from the statements of all annotators.

    An annotator's rating of a window is the mean of the statements in it, weighted by overlap,
    after the reaction lag is removed (`consilience.annotation.lags`). Class probabilities come
    from `dawid_skene` if any window has `QUORUM` annotators, and are shares of votes otherwise;
    valence and arousal come from `evaluator_weighted`, or `evaluator_median` if the scale is
    ordinal. Observers and self-reports are never mixed.

    Parameters
    ----------
    annotations : polars.DataFrame
        Table `Annotations`. The same name denotes the same annotator in every session.
    windows : sequence of Window
        Windows of any sessions.
    trials : polars.DataFrame
        Table `Trials`.
    classes : sequence of str
        The dataset's emotion classes, in order.
    params : AnnotationParams

    Returns
    -------
    Labelling

    Raises
    ------
    ConsilienceError
        If an annotation names a class that the dataset does not have.
    """
    sources = {
        name: _source(statements, windows, trials, classes, params)
        for name, statements in split_by_source(_of_windows(annotations, windows)).items()
    }
    source, n = sources[params.source], len(windows)
    votes = source.ratings["emotion"]
    items = _items(votes, windows)
    fit = _dawid_skene(votes, items)
    probability = _shares(votes, n) if fit is None else _by_window(fit, votes, items, n)
    consensus = {name: _rating_consensus(source.ratings[name], n, params) for name in TARGETS[1:]}
    if not len(votes.window):
        probability = _of_affect(consensus, tuple(classes), probability)
    labels = pl.DataFrame(
        {
            "class_probability": _lists(probability),
            "valence": _numbers(consensus["valence"].mean),
            "arousal": _numbers(consensus["arousal"].mean),
            "agreement": _numbers(_same_class(votes, n)),
            "n_annotators": _n_annotators(source, n),
            "class_entropy": _numbers(_entropy_bits(probability)),
            "valence_sd": _numbers(consensus["valence"].sd),
            "arousal_sd": _numbers(consensus["arousal"].sd),
            "vote_share": _lists(_shares(sources["observers"].ratings["emotion"], n)),
            "contradicted": _contradicted(probability, consensus, sources["observers"], n),
            **_self_reports(sources["self"], classes, n),
        }
    )
    return Labelling(
        labels,
        _annotators(source, fit, consensus),
        _confusions(source.names, fit, classes),
        _agreement(source, items, params),
    )


def _of_affect(
    consensus: dict[str, RatingConsensus], classes: tuple[str, ...], without: Floats
) -> Floats:
    """Return the probabilities (n, K) of low and high from ratings; `without` for other classes."""
    targets = next((names for names, pair in AFFECT_CLASSES.items() if pair == classes), ())
    if not targets:
        return without
    probability = np.ones((len(without), 1))
    for name in targets:
        high = (1 + np.sign(consensus[name].mean)) / 2
        both = np.stack([1 - high, high], axis=1)
        probability = (probability[:, :, None] * both[:, None, :]).reshape(len(without), -1)
    return probability


def _of_windows(annotations: pl.DataFrame, windows: Sequence[Window]) -> pl.DataFrame:
    """Return the statements about sessions with windows; infinite ends become the last window's."""
    ends_s: dict[str, float] = {}
    for window in windows:
        ends_s[window.session] = max(window.end_s, ends_s.get(window.session, 0.0))
    last_s = pl.col("session").replace_strict(ends_s, default=None, return_dtype=pl.Float64)
    # Means weighted by overlap need finite lengths.
    end_s = pl.when(pl.col("end_s").is_infinite()).then(pl.max_horizontal("start_s", last_s))
    return annotations.filter(last_s.is_not_null()).with_columns(end_s=end_s.otherwise("end_s"))


def _source(
    annotations: pl.DataFrame,
    windows: Sequence[Window],
    trials: pl.DataFrame,
    classes: Sequence[str],
    params: AnnotationParams,
) -> _Source:
    names = annotations["annotator"].unique().sort().to_list()
    lags = reaction_lags(annotations, trials, classes, params)
    ratings = window_ratings(annotations, windows, trials, classes, names, lags)
    return _Source(names, lags, ratings)


def _n_annotators(source: _Source, n: int) -> NDArray[np.int64]:
    """Return the number of annotators of each window, whatever the target."""
    pairs = [
        np.stack([ratings.window, ratings.annotator], axis=1) for ratings in source.ratings.values()
    ]
    distinct = np.unique(np.concatenate(pairs), axis=0)
    return np.bincount(distinct[:, 0], minlength=n)


def _items(votes: Ratings, windows: Sequence[Window]) -> Indices:
    """Return the number of the item that each vote belongs to.

    Windows of one trial with the same votes of the same annotators are one item: they result
    from one rating of the trial, and would otherwise count once per overlapping window.
    """
    numbers: dict[tuple[str, str, bytes, bytes], int] = {}
    item = np.empty(len(votes.window), dtype=np.intp)
    borders = np.flatnonzero(np.diff(votes.window, prepend=-1, append=-1))
    for start, end in pairwise(borders):
        window = windows[votes.window[start]]
        values = np.round(votes.values[start:end], 6).tobytes()
        key = (window.session, window.trial, votes.annotator[start:end].tobytes(), values)
        item[start:end] = numbers.setdefault(key, len(numbers))
    return item


def _first_votes(votes: Ratings, items: Indices) -> NDArray[np.bool_]:
    """Return a mask of the votes of each item's first window."""
    first_window = np.full(items.max(initial=-1) + 1, np.iinfo(np.intp).max)
    np.minimum.at(first_window, items, votes.window)
    return votes.window == first_window[items]


def _dawid_skene(votes: Ratings, items: Indices) -> DawidSkeneFit | None:
    """Return the consensus on items, or None if no item has a quorum."""
    first = _first_votes(votes, items)
    if not (np.bincount(items[first]) >= QUORUM).any():
        return None
    return dawid_skene(items[first], votes.annotator[first], votes.values[first])


def _by_window(fit: DawidSkeneFit, votes: Ratings, items: Indices, n: int) -> Floats:
    """Return class probabilities by window, shape (n, K); NaN without votes."""
    result = np.full((n, fit.posterior.shape[1]), np.nan)
    result[votes.window] = fit.posterior[items]
    return result


def _sums(ratings: Ratings, n: int) -> tuple[Floats, Floats]:
    """Return the sum of the values of each window, shape (n, K), and their number, shape (n,)."""
    sums = np.zeros((n, ratings.values.shape[1]))
    for place, column in enumerate(ratings.values.T):
        sums[:, place] = np.bincount(ratings.window, column, minlength=n)
    return sums, np.bincount(ratings.window, minlength=n).astype(np.float64)


def _shares(ratings: Ratings, n: int) -> Floats:
    """Return the mean of the values of each window, shape (n, K); NaN without ratings."""
    sums, count = _sums(ratings, n)
    rated = count[:, None] > 0
    return np.divide(sums, count[:, None], out=np.full_like(sums, np.nan), where=rated)


def _same_class(votes: Ratings, n: int) -> Floats:
    """Return Fleiss's agreement of each window; NaN for fewer than two annotators."""
    sums, count = _sums(votes, n)
    with_itself = np.bincount(votes.window, (votes.values**2).sum(axis=1), minlength=n)
    pairs = count * (count - 1)
    same = (sums**2).sum(axis=1) - with_itself
    share = np.divide(same, pairs, out=np.full(n, np.nan), where=pairs > 0)
    return np.clip(share, 0, 1)  # rounding


def _entropy_bits(probability: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        # 0 log 0 is 0; the product with 0.0 keeps NaN rows NaN.
        parts = np.where(probability > 0, probability * np.log2(probability), 0.0 * probability)
    return np.abs(parts.sum(axis=1))


def _rating_consensus(ratings: Ratings, n: int, params: AnnotationParams) -> RatingConsensus:
    """Return the consensus on valence or arousal by window; NaN without ratings."""
    if not len(ratings.window):
        no_window, no_annotator = np.full(n, np.nan), np.empty(0)
        return RatingConsensus(no_window, no_window, no_annotator, no_annotator, no_annotator)
    rated, item = np.unique(ratings.window, return_inverse=True)
    # Means of a continuous rating are on an interval scale, whatever the scale of trial ratings.
    ordinal = params.scale == "ordinal" and not ratings.continuous
    estimate = evaluator_median if ordinal else evaluator_weighted
    result = estimate(item, ratings.annotator, ratings.values[:, 0])
    mean, sd = np.full(n, np.nan), np.full(n, np.nan)
    mean[rated], sd[rated] = result.mean, result.sd
    return RatingConsensus(mean, sd, result.bias, result.reliability, result.weight)


def _contradicted(
    probability: Floats, consensus: dict[str, RatingConsensus], observers: _Source, n: int
) -> pl.Series:
    """Return whether the observers contradict each label; null without observers."""
    shares = _shares(observers.ratings["emotion"], n)
    # Rows are finite or NaN as a whole, so that the NaN of a sum shows a row without votes.
    voted = np.isfinite(shares.sum(axis=1) + probability.sum(axis=1)) & bool(shares.shape[1])
    rows = np.flatnonzero(voted)
    label = probability[rows].argmax(axis=1) if len(rows) else rows
    contradicted: NDArray[np.bool_] = np.zeros(n, bool)
    observed: NDArray[np.bool_] = voted
    contradicted[rows] = shares[rows, label] < shares[rows].max(axis=1, initial=0) - EQUAL
    for name, result in consensus.items():
        ratings = observers.ratings[name]
        low, high = np.full(n, np.inf), np.full(n, -np.inf)
        np.minimum.at(low, ratings.window, ratings.values[:, 0])
        np.maximum.at(high, ratings.window, ratings.values[:, 0])
        rated = np.isfinite(low) & np.isfinite(result.mean)
        outside = (result.mean < low - EQUAL) | (result.mean > high + EQUAL)
        contradicted = contradicted | rated & outside
        observed = observed | rated
    return _where(observed, pl.Series(values=contradicted))


def _self_reports(source: _Source, classes: Sequence[str], n: int) -> dict[str, pl.Series]:
    """Return the columns of the subject's own ratings."""
    shares = _shares(source.ratings["emotion"], n)
    emotion = np.full(n, None, object)
    for row in np.flatnonzero(np.isfinite(shares).any(axis=1)):
        emotion[row] = classes[int(np.argmax(shares[row]))]
    values = {f"self_{name}": _shares(source.ratings[name], n)[:, 0] for name in TARGETS[1:]}
    return {
        "self_emotion": pl.Series(values=emotion.tolist(), dtype=pl.String),
        **{name: _numbers(mean) for name, mean in values.items()},
    }


def _annotators(
    source: _Source, fit: DawidSkeneFit | None, consensus: dict[str, RatingConsensus]
) -> pl.DataFrame:
    """Return table `Annotators`."""
    rows: list[dict[str, object]] = []
    for target, ratings in source.ratings.items():
        counts = np.bincount(ratings.annotator, minlength=len(source.names))
        for number in np.flatnonzero(counts):
            name = source.names[number]
            row = {"annotator": name, "target": target, "n_windows": int(counts[number])}
            if target != "emotion":
                row |= {
                    key: _numbers(getattr(consensus[target], key)[[number]])[0]
                    for key in ("reliability", "bias", "weight")
                }
            elif fit is not None:
                row["reliability"] = float(fit.reliability[number])
            if ratings.continuous and name in source.lags:
                row |= _lag_columns(source.lags[name])
            rows.append(row)
    return frame_of(rows, Annotators)


def _lag_columns(lag: Lag) -> dict[str, object]:
    renamed = {"sd_s": "lag_sd_s", "anchored": "lag_anchored"}
    return {renamed.get(key, key): value for key, value in vars(lag).items()}


def _confusions(
    names: Sequence[str], fit: DawidSkeneFit | None, classes: Sequence[str]
) -> pl.DataFrame:
    """Return table `Confusions`; without rows if `fit` is None."""
    confusions = np.empty((0, 0, 0)) if fit is None else fit.confusion
    rows: list[dict[str, object]] = [
        {"annotator": name, "actual": actual, "named": named, "probability": float(share)}
        for name, confusion in zip(names, confusions, strict=False)
        for actual, row in zip(classes, confusion, strict=True)
        for named, share in zip(classes, row, strict=True)
    ]
    return frame_of(rows, Confusions)


def _agreement(
    source: _Source, items: Indices, params: AnnotationParams
) -> dict[str, dict[str, float | None]]:
    """Return the coefficients of agreement by target, for the targets that were rated."""
    votes = source.ratings["emotion"]
    first = _first_votes(votes, items)
    result: dict[str, dict[str, float | None]] = {}
    if len(items):
        label = votes.values[first].argmax(axis=1).astype(np.float64)
        alpha = krippendorff_alpha(items[first], label, "nominal")
        result["emotion"] = {"krippendorff_alpha": alpha}
    for name in TARGETS[1:]:
        ratings = source.ratings[name]
        values = ratings.values[:, 0]
        scale: Literal["ordinal", "interval"] = "interval" if ratings.continuous else params.scale
        single, mean = intraclass_correlation(_complete(ratings)) or (None, None)
        result[name] = {
            "krippendorff_alpha": krippendorff_alpha(ratings.window, values, scale),
            "icc_single": single,
            "icc_mean": mean,
        }
    return {name: row for name, row in result.items() if len(source.ratings[name].window)}


def _complete(ratings: Ratings) -> Floats:
    """Return the values of the windows that all have rated, shape (n_windows, n_annotators)."""
    count = np.bincount(ratings.window)
    n_annotators = len(np.unique(ratings.annotator))
    complete = count[ratings.window] == n_annotators
    values: Floats = ratings.values[complete, 0].reshape(-1, max(n_annotators, 1))
    return values


def _numbers(values: Floats) -> pl.Series:
    """Return a column with null for what is not finite."""
    return _where(np.isfinite(values), pl.Series(values=values))


def _lists(rows: Floats) -> pl.Series:
    """Return a column of lists, one per row; null for rows with a value that is not finite."""
    kind = pl.List(pl.Float64)
    if not rows.shape[1]:
        return pl.Series(values=[None] * len(rows), dtype=kind)
    complete = np.isfinite(rows.sum(axis=1))
    return _where(complete, pl.Series(values=rows).cast(kind))


def _where(valid: NDArray[np.bool_], column: pl.Series) -> pl.Series:
    """Return a column with null where it is not valid."""
    return pl.select(pl.when(pl.Series(valid)).then(column)).to_series()
