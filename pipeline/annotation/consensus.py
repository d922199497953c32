"""From annotators to soft labels: one distribution over classes, valence and arousal a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.alignment.windows import Window
from pipeline.errors import ConsilienceError

SELF_REPORT = "self"
LABELLED = pl.any_horizontal(pl.col("class_probability", "valence", "arousal").is_not_null())

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Consensus:
    """What the observers of one window say together.

    Attributes
    ----------
    class_probability : list of float or None
        One per class, summing to 1; None if nobody named a class.
    valence, arousal : float or None
        Means over the observers, on the dataset's scale.
    agreement : float or None
        Probability that two observers drawn at random name the same class (Fleiss 1971, the
        agreement of one subject): ``(|sum_a v_a|² - sum_a |v_a|²) / (n (n - 1))`` with ``v_a``
        the classes' shares in what observer ``a`` of ``n`` says. None for fewer than two.
    n_annotators : int
        Observers who said anything of the window.
    """

    class_probability: list[float] | None
    valence: float | None
    arousal: float | None
    agreement: float | None
    n_annotators: int


def label_windows(
    annotations: pl.DataFrame,
    windows: Sequence[Window],
    trials: pl.DataFrame,
    classes: Sequence[str],
    reaction_lag_s: float,
    source: str = "observers",
) -> list[Consensus]:
    """Turn what annotators said into labels of windows.

    Each annotator says of a window the mean of what they said in it, weighted by overlap;
    each annotator has the same weight. An annotator with more statements of one kind than the
    session has trials was following it as it went on, and is `reaction_lag_s` late; a judgement
    of a whole trial is not. An annotator whose name begins with ``self`` is the subject and no
    observer: the two are never mixed.

    Parameters
    ----------
    annotations : polars.DataFrame
        Table `Annotations`.
    windows : sequence of Window
        Windows of any sessions.
    trials : polars.DataFrame
        Table `Trials`.
    classes : sequence of str
        The dataset's emotion classes, in order.
    reaction_lag_s : float
        How long after a change observers report it (Mariooryad and Busso 2015).
    source : str
        Whose judgements count: ``"observers"`` or ``"self"``.

    Returns
    -------
    list of Consensus
        One per window.

    Raises
    ------
    ConsilienceError
        If an annotation names a class the dataset does not have.
    """
    own_reports = pl.col("annotator").str.starts_with(SELF_REPORT)
    observed = annotations.filter(own_reports == (source == "self"))
    by_session = observed.partition_by("session", as_dict=True, maintain_order=True)
    n_trials = dict(trials.group_by("session").len().iter_rows())
    rows: dict[str, list[int]] = {}
    for row, window in enumerate(windows):
        rows.setdefault(window.session, []).append(row)
    labels = [Consensus(None, None, None, None, 0)] * len(windows)
    for session, own in rows.items():
        said = by_session.get((session,))
        if said is not None:
            lag = (n_trials.get(session, 1), reaction_lag_s)
            found = _label_session(said, [windows[row] for row in own], classes, *lag)
            for row, label in zip(own, found, strict=True):
                labels[row] = label
    return labels


def _label_session(
    said: pl.DataFrame,
    windows: Sequence[Window],
    classes: Sequence[str],
    n_trials: int,
    reaction_lag_s: float,
) -> list[Consensus]:
    votes: list[Floats] = []
    values: dict[str, list[Floats]] = {"valence": [], "arousal": []}
    spoke = np.zeros(len(windows), dtype=np.intp)
    for _, by_one in sorted(said.partition_by("annotator", as_dict=True).items()):
        heard = np.zeros(len(windows), dtype=bool)
        for (target,), statements in by_one.group_by("target", maintain_order=True):
            lag_s = reaction_lag_s if statements.height > n_trials else 0.0
            overlap = _overlap_s(statements, windows, lag_s)
            heard |= overlap.sum(axis=1) > 0
            if target == "emotion":
                votes.append(_weighted_mean(overlap, _one_hot(statements, classes)))
            else:
                scores = statements["value"].to_numpy()[:, None]
                values[str(target)].append(_weighted_mean(overlap, scores)[:, 0])
        spoke += heard
    probability, agreement = _pool(votes, len(windows), len(classes))
    valence, arousal = (_mean(values[name], len(windows)) for name in ("valence", "arousal"))
    return [
        Consensus(
            probability[row].tolist() if np.isfinite(probability[row]).all() else None,
            _or_none(valence[row]),
            _or_none(arousal[row]),
            _or_none(agreement[row]),
            int(spoke[row]),
        )
        for row in range(len(windows))
    ]


def _overlap_s(statements: pl.DataFrame, windows: Sequence[Window], lag_s: float) -> Floats:
    start = statements["start_s"].to_numpy() - lag_s
    end = statements["end_s"].to_numpy() - lag_s
    first = np.array([[window.start_s] for window in windows])
    last = np.array([[window.end_s] for window in windows])
    overlap: Floats = np.minimum(end, last) - np.maximum(start, first)
    return np.maximum(overlap, 0)


def _one_hot(statements: pl.DataFrame, classes: Sequence[str]) -> Floats:
    names = statements["label"].to_list()
    for name in names:
        if name not in classes:
            raise ConsilienceError(
                f"annotator '{statements['annotator'][0]}' names the class '{name}'",
                f"session {statements['session'][0]}",
                f"the dataset's classes are {', '.join(classes)}",
            )
    return np.array([[float(name == known) for known in classes] for name in names])


def _weighted_mean(weights: Floats, items: Floats) -> Floats:
    """Return means of items, shape (n_windows, width); NaN where no weight is."""
    total = weights.sum(axis=1, keepdims=True)
    mean: Floats = weights @ items
    return np.divide(mean, total, out=np.full_like(mean, np.nan), where=total > 0)


def _pool(votes: list[Floats], n_windows: int, n_classes: int) -> tuple[Floats, Floats]:
    """Return the mean distribution and the agreement of each window; NaN where there is none."""
    stacked = np.array(votes).reshape(len(votes), n_windows, n_classes)
    voted = np.isfinite(stacked[..., 0])
    n = voted.sum(axis=0).astype(np.float64)
    stacked = np.where(voted[..., None], stacked, 0)
    total = stacked.sum(axis=0)
    same = (total**2).sum(axis=1) - (stacked**2).sum(axis=(0, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        probability = np.where(n[:, None] > 0, total / n[:, None], np.nan)
        agreement = np.where(n > 1, same / (n * (n - 1)), np.nan)
    return probability, np.clip(agreement, 0, 1)


def _mean(values: list[Floats], n_windows: int) -> Floats:
    stacked = np.array(values).reshape(len(values), n_windows)
    known = np.isfinite(stacked)
    n = known.sum(axis=0)
    total = np.where(known, stacked, 0).sum(axis=0)
    return np.divide(total, n, out=np.full(n_windows, np.nan), where=n > 0)


def _or_none(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None
