"""Chooses every entry's settings among an equal number of candidates, on validation subjects.

Each fold chooses for itself: the validation subjects of one fold are the test subjects of
another, so that a choice over all folds would depend on the subjects it is tested on (Cawley &
Talbot 2010, "On over-fitting in model selection").
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from benchmarks.evidence.context import (
    ExperimentContext,
    code_of,
    experiment_context,
    without_refit,
)
from benchmarks.evidence.plan import Entry, Plan
from benchmarks.evidence.runner import Chosen, fit
from consilience.core.errors import ConsilienceError
from consilience.core.files import text_hash, write_json
from consilience.core.workers import parallel_map
from consilience.evaluation import predict
from consilience.windows.conditions import EVERYTHING, MISMATCH, MISSING, SUBSET, Condition

SEED = 0  # of the one training a trial gets
MARGIN = 0.005  # nats by which a trial must beat the planned settings; less is random


def tune(plan: Plan, name: str, base: Path, store: Path) -> dict[str, Any]:
    """Train every entry of an experiment with all its settings.

    Parameters
    ----------
    plan : Plan
    name : str
        Of the experiment.
    base : Path
        Folder with the corpora's folders.
    store : Path
        Folder of results by key, kept between runs.

    Returns
    -------
    dict of entry to dict
        ``trials``: a list of ``changes`` and ``loss`` by fold; ``chosen``: the number of the best
        trial by fold, or 0, the planned settings, unless the best is better by `MARGIN`.

    Raises
    ------
    ConsilienceError
        If trials fail. The store keeps the others' scores, and a second run skips them.
    """
    experiment = plan.experiments[name]
    context = without_refit(
        experiment_context(experiment.model_copy(update={"seeds": [SEED]}), base, store)
    )
    trials = [
        _Trial(entry, changes, plan.entry(entry, changes))
        for entry in plan.origins(name)
        for changes in plan.trials(entry)
    ]
    outcomes = parallel_map(partial(_score, context), trials, f"tune {name}")
    failed = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if failed:
        raise ConsilienceError("; ".join(failed), name, "finished trials are kept: run it again")
    tuned: dict[str, Any] = {}
    for trial, loss in zip(trials, outcomes, strict=True):
        of_entry = tuned.setdefault(trial.name, {"trials": []})["trials"]
        of_entry.append({"changes": trial.changes, "loss": loss})
    for of_entry in tuned.values():
        of_entry["chosen"] = _best([trial["loss"] for trial in of_entry["trials"]])
    return tuned


def load(path: Path) -> Chosen:
    """Read the chosen settings, by entry and fold, from a JSON file of what `tune` returned.

    Raises
    ------
    ConsilienceError
        If the file is missing.
    """
    if not path.is_file():
        raise ConsilienceError("no chosen settings", str(path), "run 'make evidence'")
    return {
        name: {
            int(fold): tuned["trials"][number]["changes"]
            for fold, number in tuned["chosen"].items()
        }
        for name, tuned in json.loads(path.read_text()).items()
    }


class _Trial(NamedTuple):
    name: str
    changes: dict[str, Any]
    entry: Entry


def _score(context: ExperimentContext, trial: _Trial) -> dict[str, float] | str:
    """Return a trial's loss by fold, or a message if it failed."""
    code = code_of(context, trial.entry, __name__)
    key = text_hash(context.identity, *trial.entry.identity(), code)
    path = context.store / f"trial-{key}.json"
    if not path.is_file():
        try:
            write_json(path, _losses(context, trial.entry, context.store / f"training-{key[:16]}"))
        except Exception as error:  # one trial's failure must not discard the others' minutes
            return f"{trial.name} {trial.changes}: {type(error).__name__}: {error}"
    loss: dict[str, float] = json.loads(path.read_text())
    return loss


def _losses(context: ExperimentContext, entry: Entry, checkpoint: Path) -> dict[str, float | None]:
    """Train an entry and return its loss by fold; None where it is not finite."""
    corpus = context.loaded()
    fits = fit(context, entry, corpus, checkpoint, corpus.folds)
    shutil.rmtree(checkpoint, ignore_errors=True)
    runs = [run for fitted in fits for run in fitted.runs]
    target = np.stack([context.labels(run)[0] for run in runs])
    blocks: dict[Condition, list[NDArray[np.float64]]] = {}
    for condition in context.conditions:
        if condition.kind not in (MISSING, EVERYTHING):
            predictions = predict.predict(fits, corpus, corpus.prepared, condition, ("validation",))
            blocks.setdefault(_block(condition), []).append(
                _cross_entropy(predictions.logits, target)
            )
    of_blocks = np.array([np.mean(losses, axis=0) for losses in blocks.values()])
    finite = np.isfinite(of_blocks)
    total = np.where(finite, of_blocks, 0.0).sum(0) / np.maximum(finite.sum(0), 1)
    return {
        str(run.fold): float(total[number]) if finite[:, number].any() else None
        for number, run in enumerate(runs)
    }


def _block(condition: Condition) -> Condition:
    """Return the block of the grid that a condition belongs to; see `aggregate.summary`."""
    if condition.kind in (SUBSET, MISMATCH):
        return condition
    return Condition("corrupted", condition.modalities)


def _cross_entropy(logits: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return each run's mean (R,) over its predicted windows with a label; NaN without any."""
    losses = -(target * log_softmax(logits.astype(np.float64), -1)).sum(-1)
    finite = np.isfinite(losses)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(finite, losses, 0.0).sum(1) / finite.sum(1)
    return mean


def _best(losses: list[dict[str, float | None]]) -> dict[str, int]:
    """Return the trial with the least loss by fold, or 0 unless it is better by `MARGIN`."""
    best = {}
    for fold in losses[0]:
        of_fold = [np.inf if (value := loss[fold]) is None else value for loss in losses]
        least = int(np.argmin(of_fold))
        best[fold] = least if of_fold[least] < of_fold[0] - MARGIN else 0
    return best
