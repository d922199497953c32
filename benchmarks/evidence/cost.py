"""Cost of methods: parameters, seconds of training, milliseconds per predicted window.

Measured one after another in CPU time of one thread, on one seed of an experiment's folds. A
training, calibration included, is timed over few epochs and over more, and the difference is
extrapolated to all epochs. Of repeated timings the shortest counts, because other processes on the
machine can only add to it.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.evidence.context import ExperimentContext, experiment_context
from benchmarks.evidence.plan import Entry, Plan
from benchmarks.evidence.runner import parameters_per_run
from consilience.training.fit import Fitted, fit

EPOCHS = (1, 6)
REPEATS = 2
WINDOWS = 256  # per batch


def measure(plan: Plan, base: Path, store: Path) -> dict[str, dict[str, float]]:
    """Return the cost of every entry that the plan's `cost` names.

    Returns
    -------
    dict of entry to dict
        ``parameters`` of one run; ``training_s`` of all folds of one seed, all epochs;
        ``prediction_ms`` of one window by one run.
    """
    experiment = plan.experiments[plan.cost.experiment]
    context = experiment_context(experiment.model_copy(update={"seeds": [0]}), base, store)
    entries = [plan.entry(name) for name in plan.expanded(plan.cost.entries)]
    timings: dict[str, list[_Timing]] = {entry.name: [] for entry in entries}
    for _ in range(REPEATS):  # in turn, so that a quiet minute of the machine favours no method
        for entry in entries:
            timings[entry.name].append(_time(entry, context, store))
    epochs = context.params.training.epochs
    return {name: _cost(of_entry, epochs) for name, of_entry in timings.items()}


class _Timing(NamedTuple):
    parameters: int
    few_s: float
    more_s: float
    prediction_ms: float


def _time(entry: Entry, context: ExperimentContext, store: Path) -> _Timing:
    few_s, _ = _fit(entry, context, store, EPOCHS[0])
    more_s, fitted = _fit(entry, context, store, EPOCHS[1])
    return _Timing(parameters_per_run(fitted), few_s, more_s, _prediction_ms(fitted, context))


def _cost(timings: list[_Timing], epochs: int) -> dict[str, float]:
    parameters, few_s, more_s, prediction_ms = map(min, zip(*timings, strict=True))
    per_epoch_s = (more_s - few_s) / (EPOCHS[1] - EPOCHS[0])
    return {
        "parameters": parameters,
        "training_s": few_s + per_epoch_s * (epochs - EPOCHS[0]),
        "prediction_ms": prediction_ms,
    }


def _fit(entry: Entry, context: ExperimentContext, store: Path, epochs: int) -> tuple[float, Any]:
    training = context.params.training.model_copy(update={"epochs": epochs, "patience": epochs})
    checkpoint = store / "cost"
    shutil.rmtree(checkpoint, ignore_errors=True)
    corpus = context.loaded()
    start = time.process_time()
    fitted = fit(entry.method, entry.params, training, corpus, checkpoint, prepared=corpus.prepared)
    elapsed_s = time.process_time() - start
    shutil.rmtree(checkpoint, ignore_errors=True)
    return elapsed_s, fitted


def _prediction_ms(fitted: Fitted, context: ExperimentContext) -> float:
    n_runs = len(fitted.runs)
    n_modalities = len(context.corpus.modalities)
    available = torch.ones(n_runs, WINDOWS, n_modalities)
    inputs = {
        name: torch.zeros(n_runs, WINDOWS, *mean.shape[2:])
        for name, mean in fitted.scaler.mean.items()
    }
    elapsed_s = []
    for _ in range(5):
        start = time.process_time()
        with torch.no_grad():
            fitted.stack("predict", (inputs, available))
        elapsed_s.append(time.process_time() - start)
    return 1000 * min(elapsed_s) / (n_runs * WINDOWS)
