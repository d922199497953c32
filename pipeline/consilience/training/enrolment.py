"""The enrolment: an unlabelled stretch of a trial, such as a rest, that serves as the baseline.

Its windows are neither trained on nor scored, whatever their labels: a window less a mean that it
is a part of has another distribution than the windows after it, and is easier.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.core.errors import ConsilienceError
from consilience.schema.params.training import TrainingParams
from consilience.windows.store import Corpus

ROUNDING_S = 1e-6  # so that rounding errors of window borders exclude no window


def without_enrolment(corpus: Corpus, training: TrainingParams) -> Corpus:
    """Return a corpus whose windows of an enrolment, and those that overlap them, have no role.

    The corpus itself with another baseline.

    Raises
    ------
    ConsilienceError
        As `enrolment_windows`.
    """
    if training.baseline != "enrolment":
        return corpus
    return _without(corpus, training.enrolment, training.enrolment_s)


@lru_cache(maxsize=4)  # one corpus for training, calibration and test, so that caches fit
def _without(corpus: Corpus, trial: str, length_s: float | None) -> Corpus:
    enrolled = enrolment_windows(corpus, trial, length_s)
    starts_s, ends_s = (corpus.index[name].to_numpy() for name in ("start_s", "end_s"))
    reserved = enrolled.copy()
    _, session = np.unique(corpus.index["session"].to_numpy(), return_inverse=True)
    for rows in np.split(np.argsort(session, kind="stable"), np.cumsum(np.bincount(session))[:-1]):
        of_trial = rows[enrolled[rows]]
        before = starts_s[rows, None] < ends_s[of_trial] - ROUNDING_S
        reserved[rows] |= (before & (ends_s[rows, None] > starts_s[of_trial] + ROUNDING_S)).any(1)
    return replace(corpus, reserved=reserved)


def enrolment_windows(corpus: Corpus, trial: str, length_s: float | None) -> NDArray[np.bool_]:
    """Return which windows are the enrolment, shape (N,).

    Parameters
    ----------
    corpus : Corpus
    trial : str
        Name of the trial. A person may have several of this name, in one session or more.
    length_s : float or None
        Only the windows within as many seconds from the start of the first one of a session; all
        of them without a length.

    Raises
    ------
    ConsilienceError
        If no window lies in the trial, or in its first seconds.
    """
    in_trial = corpus.index["trial"] == trial
    if not in_trial.any():
        raise ConsilienceError(
            f"no window lies in the trial '{trial}'",
            "params.yaml: training.enrolment",
            "name a trial that every person has, such as a rest",
        )
    if length_s is None:
        return in_trial.to_numpy()
    first_s = pl.col("start_s").filter(pl.col("trial") == trial).min().over("session")
    since_s = corpus.index.select(pl.col("end_s") - first_s).to_series().fill_null(np.inf)
    enrolled = (in_trial & (since_s <= length_s + ROUNDING_S)).to_numpy()
    if not enrolled.any():
        raise ConsilienceError(
            f"no window lies within the first {length_s:g} s of the trial '{trial}'",
            "params.yaml: training.enrolment_s",
            "state at least windows.length_s",
        )
    return enrolled
