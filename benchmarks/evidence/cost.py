"""What methods cost: parameters, seconds of training, milliseconds per window read.

Measured one after another in CPU time of one thread, on one seed of an experiment's folds. A
training, calibration included, is timed over few epochs and over more, and the difference carried
on to all epochs. Of repeated timings the shortest counts: whatever else the machine does can only
add to it.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.evidence.plan import Entry, Plan
from benchmarks.evidence.runner import Work, prepare_work, prepared_windows
from consilience.training.fit import Fitted, fit

EPOCHS = (1, 6)
REPEATS = 2
WINDOWS = 256  # read at a time


def measure(plan: Plan, base: Path, store: Path) -> dict[str, dict[str, float]]:
    """Return what every entry of the plan's `cost` costs.

    Returns
    -------
    dict of entry to dict
        ``parameters`` of one run; ``training_s`` of all folds of one seed, none stopped early;
        ``reading_ms`` of one window by one run.
    """
    experiment = plan.experiments[plan.cost.experiment]
    work = prepare_work(experiment.model_copy(update={"seeds": [0]}), base, store)
    entries = [plan.entry(name) for name in plan.expanded(plan.cost.entries)]
    timings: dict[str, list[_Timing]] = {entry.name: [] for entry in entries}
    for _ in range(REPEATS):  # all in turn, so that no method has a quiet hour of its own
        for entry in entries:
            timings[entry.name].append(_time(entry, work, store))
    epochs = work.params.training.epochs
    return {name: _cost(of_entry, epochs) for name, of_entry in timings.items()}


class _Timing(NamedTuple):
    parameters: int
    few_s: float
    more_s: float
    reading_ms: float


def _time(entry: Entry, work: Work, store: Path) -> _Timing:
    few_s, _ = _fit(entry, work, store, EPOCHS[0])
    more_s, fitted = _fit(entry, work, store, EPOCHS[1])
    parameters = sum(value[0].numel() for value in fitted.stack.weights.values())
    return _Timing(parameters, few_s, more_s, _reading_ms(fitted, work))


def _cost(timings: list[_Timing], epochs: int) -> dict[str, float]:
    parameters, few_s, more_s, reading_ms = map(min, zip(*timings, strict=True))
    per_epoch_s = (more_s - few_s) / (EPOCHS[1] - EPOCHS[0])
    return {
        "parameters": parameters,
        "training_s": few_s + per_epoch_s * (epochs - EPOCHS[0]),
        "reading_ms": reading_ms,
    }


def _fit(entry: Entry, work: Work, store: Path, epochs: int) -> tuple[float, Any]:
    training = work.params.training.model_copy(update={"epochs": epochs, "patience": epochs})
    checkpoint = store / "cost"
    shutil.rmtree(checkpoint, ignore_errors=True)
    prepared = prepared_windows(work)
    start = time.process_time()
    fitted = fit(entry.method, entry.params, training, work.corpus, checkpoint, prepared=prepared)
    taken = time.process_time() - start
    shutil.rmtree(checkpoint, ignore_errors=True)
    return taken, fitted


def _reading_ms(fitted: Fitted, work: Work) -> float:
    n_runs = len(fitted.runs)
    n_modalities = len(work.corpus.modalities)
    available = torch.ones(n_runs, WINDOWS, n_modalities)
    inputs = {
        name: torch.zeros(n_runs, WINDOWS, *mean.shape[2:])
        for name, mean in fitted.scaler.mean.items()
    }
    taken = []
    for _ in range(5):
        start = time.process_time()
        with torch.no_grad():
            fitted.stack("predict", (inputs, available))
        taken.append(time.process_time() - start)
    return 1000 * min(taken) / (n_runs * WINDOWS)
