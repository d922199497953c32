"""Test conditions: missing, corrupted, desynchronised and mismatched sensors."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.core.seeds import generator
from consilience.schema.constants import CLEAN, SEVERITIES
from consilience.windows.store import Corpus

SUBSET, DESYNC, MISMATCH, MISSING, EVERYTHING = (
    "subset",
    "desync",
    "mismatch",
    "missing",
    "everything",
)
MISSING_RATES = (0.1, 0.2, 0.3, 0.45, 0.6)  # of severities 1 to 5
# Roles whose windows may replace those of a role, in order: the same role first, so that
# validation never uses a test subject. A fold with a single test subject takes windows of
# its validation subjects.
DONORS = {"validation": ("validation",), "test": ("test", "validation")}


class Condition(NamedTuple):
    """A test condition: modalities that are available, corrupted or mismatched.

    Attributes
    ----------
    kind : str
        ``"subset"``: only `modalities` are available. ``"missing"``: single modalities of single
        windows are missing at random, at the rate in `MISSING_RATES` of the severity; every
        window keeps one. ``"mismatch"``: the data of `modalities`, a single one, come from a
        window of another subject with another class. ``"everything"``: all modalities are
        corrupted at once, each window's by a kind drawn at random. Any other: all modalities are
        available, and `modalities` have the variant ``{kind}_{severity}``, a corruption of the
        signal or a wrong clock (``"desync"``).
    modalities : tuple of str
    severity : int
        1 to 5; 0 for subsets and mismatches.
    """

    kind: str
    modalities: tuple[str, ...]
    severity: int = 0


def conditions(corpus: Corpus) -> list[Condition]:
    """Return every condition a corpus allows, the full subset first.

    All ``2^M - 1`` subsets; every variant of every modality; with several modalities also
    missing rates, and mismatches where another subject has a suitable window; all modalities
    corrupted at once.
    """
    names = corpus.modalities
    allowed = [
        Condition(SUBSET, chosen)
        for size in range(len(names), 0, -1)
        for chosen in combinations(names, size)
    ]
    allowed += [
        Condition(kind, (name,), severity)
        for name in names
        for kind, severities in kinds(corpus, name).items()
        for severity in severities
    ]
    if len(names) > 1:
        allowed += [Condition(MISMATCH, (name,)) for name in names if _can_mismatch(corpus, name)]
        allowed += [Condition(MISSING, names, severity) for severity in SEVERITIES]
    if all(_worst(corpus, name) for name in names):
        allowed.append(Condition(EVERYTHING, names, SEVERITIES[-1]))
    return allowed


def kinds(corpus: Corpus, modality: str) -> dict[str, tuple[int, ...]]:
    """Return the severities of each kind of variant of a modality."""
    severities: dict[str, tuple[int, ...]] = {}
    for variant in corpus.variants[modality]:
        kind, _, severity = variant.rpartition("_")
        if severity.isdigit():
            severities[kind] = (*severities.get(kind, ()), int(severity))
    return severities


def _worst(corpus: Corpus, modality: str) -> list[str]:
    """Return the variants of a modality at the highest severity, wrong clocks left out."""
    return [
        f"{kind}_{SEVERITIES[-1]}"
        for kind, severities in kinds(corpus, modality).items()
        if kind != DESYNC and SEVERITIES[-1] in severities
    ]


def _can_mismatch(corpus: Corpus, modality: str) -> bool:
    return any(
        (donors(corpus, fold, modality)[corpus.members(fold, "test")] >= 0).any()
        for fold in corpus.folds
    )


class ConditionedWindows(NamedTuple):
    """Availability and sources of a fold's windows under a condition.

    Attributes
    ----------
    available : ndarray of bool, shape (N, M)
        False in the whole row of a window to which the condition does not apply.
    sources : dict of str to ndarray of int, shape (N,)
        The window that a modality's data come from, by modality; modalities that are absent from
        the dict keep their own data.
    """

    available: NDArray[np.bool_]
    sources: dict[str, NDArray[np.int64]]


def apply_condition(condition: Condition, corpus: Corpus, fold: int) -> ConditionedWindows:
    """Apply a condition to the windows of a fold's validation and test subjects."""
    present = corpus.available
    if condition.kind == SUBSET:
        in_subset = np.array([name in condition.modalities for name in corpus.modalities])
        return ConditionedWindows(present & in_subset, {})
    if condition.kind == MISSING:
        return ConditionedWindows(_thinned(present, MISSING_RATES[condition.severity - 1]), {})
    if condition.kind == MISMATCH:
        (name,) = condition.modalities
        rows = donors(corpus, fold, name)
        return ConditionedWindows(present & (rows >= 0)[:, None], {name: np.maximum(rows, 0)})
    return ConditionedWindows(present, {})


def _thinned(present: NDArray[np.bool_], rate: float) -> NDArray[np.bool_]:
    """Remove a share of the available entries (N, M) at random, but never a window's last.

    Entries missing at a low rate are also missing at every higher one, because all rates share
    the draws. With M modalities the rate saturates at ``1 - 1/M``, where every window has one
    modality left.
    """
    # The entry with the highest draw of each window is its last: it sorts behind all others.
    draws = np.where(present, generator("missing", *present.shape).random(present.shape), np.inf)
    last = np.eye(present.shape[1], dtype=bool)[np.where(present, draws, -1).argmax(1)]
    order = np.argsort(np.where(last, np.inf, draws), axis=None, kind="stable")
    n_missing = min(round(rate * present.sum()), int((present & ~last).sum()))
    left = present.copy().ravel()
    left[order[:n_missing]] = False
    return left.reshape(present.shape)


@lru_cache(maxsize=256)  # the same for every method, and for calibration and test
def donors(corpus: Corpus, fold: int, modality: str) -> NDArray[np.int64]:
    """Return the window that replaces a modality's data under a mismatch, for every window.

    A donor is drawn among the windows of the same role (see `DONORS`) that have the modality, a
    label of another class and another subject. A window with a single modality has no donor:
    a mismatch needs a second one to contradict. Every fold that tests a window takes the same
    donor, so that all runs of a bundle, whose predictions are averaged, see the same stranger.

    Returns
    -------
    ndarray of int, shape (N,)
        Positions of donors; -1 without a donor.
    """
    has = corpus.available[:, corpus.modalities.index(modality)]
    labelled = np.asarray(np.isfinite(corpus.target).all(1))
    leading = np.where(labelled, np.nan_to_num(corpus.target).argmax(1), -1)
    _, subject = np.unique(corpus.index["subject"].to_numpy(), return_inverse=True)
    result = np.full(len(has), -1)
    # One order for all folds: runs of several folds that test a window see the same donor.
    order = generator("conflict", modality).permutation(len(has))
    place = np.argsort(order)
    for role, lenders in DONORS.items():
        todo = corpus.members(fold, role)
        todo = todo[has[todo] & labelled[todo] & (corpus.available[todo].sum(1) > 1)]
        for lender in lenders:
            allowed = _lending_subjects(corpus, role, lender)
            pool = corpus.members(fold, lender)
            pool = order[np.sort(place[pool[has[pool] & labelled[pool]]])]
            start = np.searchsorted(place[pool], place[todo])
            # Every window takes the next one in the order that fits; a few steps suffice for all.
            for step in range(len(pool)):
                donor = pool[(start + step) % len(pool)]
                fits = (subject[donor] != subject[todo]) & (leading[donor] != leading[todo])
                fits &= allowed[subject[todo], subject[donor]]
                result[todo[fits]] = donor[fits]
                todo, start = todo[~fits], start[~fits]
                if not len(todo):
                    break
    return result


def _lending_subjects(corpus: Corpus, role: str, lender: str) -> NDArray[np.bool_]:
    """Return which subjects may lend windows to which: (S, S), borrowers first, sorted by name.

    To a tested subject, those that have the lender's role in every fold that tests it. Predictions
    for validation subjects are not averaged over folds: all may lend.
    """
    names = np.unique(corpus.index["subject"].to_numpy())
    if role != "test":
        return np.ones((len(names), len(names)), np.bool_)

    def with_role(name: str) -> NDArray[np.int64]:
        """Return in which folds (F, S) the subjects have a role: 1 or 0."""
        of_folds = [
            np.isin(names, corpus.splits.filter(fold=fold, role=name)["subject"].to_numpy())
            for fold in corpus.folds
        ]
        return np.array(of_folds, np.int64)

    folds_without_lender = with_role("test").T @ (1 - with_role(lender))
    allowed: NDArray[np.bool_] = folds_without_lender == 0
    return allowed


def variants_of(condition: Condition, corpus: Corpus, modality: str) -> list[str]:
    """Return the variants that a condition uses of a modality; each window has one of them."""
    if condition.kind in (SUBSET, MISSING, MISMATCH) or modality not in condition.modalities:
        return [CLEAN]
    if condition.kind == EVERYTHING:
        return _worst(corpus, modality)
    return [f"{condition.kind}_{condition.severity}"]
