"""Test conditions: missing, corrupted, desynchronised and mismatched sensors."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.core.seeds import generator
from consilience.schema.tables import CLEAN, SEVERITIES
from consilience.windows.store import Corpus

SUBSET, DESYNC, CONFLICT, MISSING, EVERYTHING = (
    "subset",
    "desync",
    "conflict",
    "missing",
    "everything",
)


MISSING_RATES = (0.1, 0.2, 0.3, 0.45, 0.6)  # of severities 1 to 5


# Whose windows may stand in for whose: first those of the same role, so that validation never
# sees a test subject; a fold with a single test subject borrows from its validation subjects.
DONORS = {"validation": ("validation",), "test": ("test", "validation")}


class Condition(NamedTuple):
    """One way of testing.

    Attributes
    ----------
    kind : str
        ``"subset"``: only `modalities` are there. ``"missing"``: single sensors of single windows
        are missing at random, at the rate `MISSING_RATES` has for the severity, but never all.
        ``"conflict"``: `modalities`, a single one, shows a window of somebody else with another
        class. ``"everything"``: all are corrupted at once, each window's sensor in a way drawn
        from its kinds. Any other: all are there, and `modalities` show the variant
        ``{kind}_{severity}``, a corruption of the signal or a clock that is off (``"desync"``).
    modalities : tuple of str
    severity : int
        1 to 5; 0 for subsets and conflicts.
    """

    kind: str
    modalities: tuple[str, ...]
    severity: int = 0


def conditions(corpus: Corpus) -> list[Condition]:
    """Return every condition a corpus allows, the full subset first.

    All ``2^M - 1`` subsets; every variant of every modality; with several modalities also missing
    rates, and conflicts where other subjects are there to supply them; everything at once.
    """
    names = corpus.modalities
    asked = [
        Condition(SUBSET, chosen)
        for size in range(len(names), 0, -1)
        for chosen in combinations(names, size)
    ]
    asked += [
        Condition(kind, (name,), severity)
        for name in names
        for kind, severities in kinds(corpus, name).items()
        for severity in severities
    ]
    if len(names) > 1:
        asked += [Condition(CONFLICT, (name,)) for name in names if _can_conflict(corpus, name)]
        asked += [Condition(MISSING, names, severity) for severity in SEVERITIES]
    if all(_worst(corpus, name) for name in names):
        asked.append(Condition(EVERYTHING, names, SEVERITIES[-1]))
    return asked


def kinds(corpus: Corpus, modality: str) -> dict[str, tuple[int, ...]]:
    """Return the severities there are of each kind of variant of a modality."""
    found: dict[str, tuple[int, ...]] = {}
    for variant in corpus.variants[modality]:
        kind, _, severity = variant.rpartition("_")
        if severity.isdigit():
            found[kind] = (*found.get(kind, ()), int(severity))
    return found


def _worst(corpus: Corpus, modality: str) -> list[str]:
    """Return the variants that corrupt a modality's signal most."""
    return [
        f"{kind}_{SEVERITIES[-1]}"
        for kind, severities in kinds(corpus, modality).items()
        if kind != DESYNC and SEVERITIES[-1] in severities
    ]


def _can_conflict(corpus: Corpus, modality: str) -> bool:
    return any(
        (donors(corpus, fold, modality)[corpus.members(fold, "test")] >= 0).any()
        for fold in corpus.folds
    )


class Shown(NamedTuple):
    """What the windows of a fold are under a condition.

    Attributes
    ----------
    available : ndarray of bool, shape (N, M)
        A row of False is a window the condition does not apply to.
    rows : dict of str to ndarray of int, shape (N,)
        From which windows a modality's data come; modalities not named show their own.
    """

    available: NDArray[np.bool_]
    rows: dict[str, NDArray[np.int64]]


def show(condition: Condition, corpus: Corpus, fold: int) -> Shown:
    """Return what the windows of a fold's validation and test subjects are under a condition."""
    present = corpus.available
    if condition.kind == SUBSET:
        kept = np.array([name in condition.modalities for name in corpus.modalities])
        return Shown(present & kept, {})
    if condition.kind == MISSING:
        return Shown(_thinned(present, MISSING_RATES[condition.severity - 1]), {})
    if condition.kind == CONFLICT:
        (name,) = condition.modalities
        rows = donors(corpus, fold, name)
        return Shown(present & (rows >= 0)[:, None], {name: np.maximum(rows, 0)})
    return Shown(present, {})


def _thinned(present: NDArray[np.bool_], rate: float) -> NDArray[np.bool_]:
    """Take a share of the recorded windows away, sensor by sensor, and leave each window one.

    What is missing at a low rate is missing at every higher one. With M sensors the rate ends at
    ``1 - 1/M``, where every window has a single one left.
    """
    draws = np.where(present, generator("missing", *present.shape).random(present.shape), np.inf)
    last = np.eye(present.shape[1], dtype=bool)[np.where(present, draws, -1).argmax(1)]
    order = np.argsort(np.where(last, np.inf, draws), axis=None, kind="stable")
    n_missing = min(round(rate * present.sum()), int((present & ~last).sum()))
    left = present.copy().ravel()
    left[order[:n_missing]] = False
    return left.reshape(present.shape)


def donors(corpus: Corpus, fold: int, modality: str) -> NDArray[np.int64]:
    """Return whose data a modality shows in a conflict, for every window of a fold.

    A donor is drawn among the windows of the same role (see `DONORS`) that have the modality, a
    label of another class and another subject. Nothing can contradict a window's only sensor, so
    a window without a second one has no donor.

    Returns
    -------
    ndarray of int, shape (N,)
        Positions of donors; -1 where there is none.
    """
    has = corpus.available[:, corpus.modalities.index(modality)]
    known = np.asarray(np.isfinite(corpus.target).all(1))
    leading = np.where(known, np.nan_to_num(corpus.target).argmax(1), -1)
    _, subject = np.unique(corpus.index["subject"].to_numpy(), return_inverse=True)
    result = np.full(len(has), -1)
    for role, lenders in DONORS.items():
        todo = corpus.members(fold, role)
        todo = todo[has[todo] & known[todo] & (corpus.available[todo].sum(1) > 1)]
        for lender in lenders:
            pool = corpus.members(fold, lender)
            rng = generator("conflict", modality, fold, role, lender)
            pool = rng.permutation(pool[has[pool] & known[pool]])
            start = rng.integers(max(1, len(pool)), size=len(todo))
            for step in range(len(pool)):  # a few steps along the permutation find all
                donor = pool[(start + step) % len(pool)]
                fits = (subject[donor] != subject[todo]) & (leading[donor] != leading[todo])
                result[todo[fits]] = donor[fits]
                todo, start = todo[~fits], start[~fits]
                if not len(todo):
                    break
    return result


def variants_of(condition: Condition, corpus: Corpus, modality: str) -> list[str]:
    """Return the variants a modality shows, window by window one of them."""
    if condition.kind in (SUBSET, MISSING, CONFLICT) or modality not in condition.modalities:
        return [CLEAN]
    if condition.kind == EVERYTHING:
        return _worst(corpus, modality)
    return [f"{condition.kind}_{condition.severity}"]
