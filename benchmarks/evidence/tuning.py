"""Chooses every entry's settings among as many candidates, on validation subjects alone.

Each fold chooses for itself: the validation subjects of one fold are the test subjects of
another, so a choice made over all folds would have seen whom it is tested on (Cawley & Talbot
2010, "On over-fitting in model selection").
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

from benchmarks.evidence.plan import Entry, Plan
from benchmarks.evidence.runner import Chosen, Work, code_of, fit, prepare_work, prepared_windows
from consilience.core.errors import ConsilienceError
from consilience.core.files import text_hash, write_json
from consilience.core.workers import parallel_map
from consilience.evaluation import predict
from consilience.windows.conditions import EVERYTHING, MISMATCH, MISSING, SUBSET, Condition

SEED = 0  # of the one training a trial gets
MARGIN = 0.005  # nats by which a trial must beat the planned settings; less is chance


def tune(plan: Plan, name: str, base: Path, store: Path) -> dict[str, Any]:
    """Try every entry of an experiment with all its settings.

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
        trial by fold, that of the planned settings, 0, if they are hardly worse.

    Raises
    ------
    ConsilienceError
        If trials fail; the others' scores are in the store, and a second run needs only them.
    """
    experiment = plan.experiments[name]
    work = prepare_work(experiment.model_copy(update={"seeds": [SEED]}), base, store)
    trials = [
        _Trial(entry, changes, plan.entry(entry, changes))
        for entry in plan.origins(name)
        for changes in plan.trials(entry)
    ]
    outcomes = parallel_map(partial(_score, work), trials, f"tune {name}")
    failed = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if failed:
        raise ConsilienceError("; ".join(failed), name, "the other trials are kept: run it again")
    found: dict[str, Any] = {}
    for trial, loss in zip(trials, outcomes, strict=True):
        tried = found.setdefault(trial.name, {"trials": []})["trials"]
        tried.append({"changes": trial.changes, "loss": loss})
    for tried in found.values():
        tried["chosen"] = _best([trial["loss"] for trial in tried["trials"]])
    return found


def load(path: Path) -> Chosen:
    """Read the settings chosen, by entry and fold, from what `tune` returned, kept as JSON.

    Raises
    ------
    ConsilienceError
        If there is no such file.
    """
    if not path.is_file():
        raise ConsilienceError("nothing was chosen", str(path), "run 'make evidence'")
    return {
        name: {
            int(fold): found["trials"][number]["changes"]
            for fold, number in found["chosen"].items()
        }
        for name, found in json.loads(path.read_text()).items()
    }


class _Trial(NamedTuple):
    name: str
    changes: dict[str, Any]
    entry: Entry


def _score(work: Work, trial: _Trial) -> dict[str, float] | str:
    """Return a trial's loss by fold; what went wrong, if it failed."""
    code = code_of(work, trial.entry, __name__)
    key = text_hash(work.identity, *trial.entry.identity(), code)
    path = work.store / f"trial-{key}.json"
    if not path.is_file():
        try:
            write_json(path, _losses(work, trial.entry, work.store / f"training-{key[:16]}"))
        except Exception as error:  # one trial's failure must not cost the others their minutes
            return f"{trial.name} {trial.changes}: {type(error).__name__}: {error}"
    loss: dict[str, float] = json.loads(path.read_text())
    return loss


def _losses(work: Work, entry: Entry, checkpoint: Path) -> dict[str, float | None]:
    """Train an entry and score it; None where a fold's score is no number."""
    corpus, prepared = work.corpus, prepared_windows(work)
    fitted = fit(work, entry, prepared, checkpoint, corpus.folds)
    shutil.rmtree(checkpoint, ignore_errors=True)
    target = np.stack([work.told(run)[0] for run in fitted.runs])
    blocks: dict[Condition, list[NDArray[np.float64]]] = {}
    for condition in work.asked:
        if condition.kind not in (MISSING, EVERYTHING):
            read = predict.predict([fitted], corpus, prepared, condition, ("validation",))
            blocks.setdefault(_block(condition), []).append(_cross_entropy(read.logits, target))
    means = np.array([np.mean(losses, axis=0) for losses in blocks.values()])
    known = np.isfinite(means)
    total = np.where(known, means, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    return {
        str(run.fold): float(total[number]) if known[:, number].any() else None
        for number, run in enumerate(fitted.runs)
    }


def _block(condition: Condition) -> Condition:
    """Return what a condition counts towards, as in the grid of `robustness.figures`."""
    if condition.kind in (SUBSET, MISMATCH):
        return condition
    return Condition("corrupted", condition.modalities)


def _cross_entropy(logits: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return each run's mean (R,) over the windows it read that have a label; NaN without any."""
    losses = -(target * log_softmax(logits.astype(np.float64), -1)).sum(-1)
    known = np.isfinite(losses)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(known, losses, 0.0).sum(1) / known.sum(1)
    return mean


def _best(losses: list[dict[str, float | None]]) -> dict[str, int]:
    """Return the number of the least loss by fold; 0, the planned one, if it is hardly worse."""
    best = {}
    for fold in losses[0]:
        told = [np.inf if (value := loss[fold]) is None else value for loss in losses]
        least = int(np.argmin(told))
        best[fold] = least if told[least] < told[0] - MARGIN else 0
    return best
