"""Cost of training: growth with the windows, many runs together, share of the network.

``python -m benchmarks.speed.training [WINDOWS ...]`` measures, each in a process of its own: an
epoch of one run of coherence transfer for 1,000, 10,000 and 100,000 windows; an epoch of 24 runs
together, on the available cores; an epoch of concatenation; the network's share of a step.
``python -m benchmarks.speed.training million`` visits a million memory-mapped windows once.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from consilience.core.workers import workers

SIZES = (1_000, 10_000, 100_000)
MILLION = 1_000_000
EPOCHS = 3  # measured, after one for warming up
RUNS_TOGETHER = 24


def measure(method: str, n_windows: int, n_runs: int = 1, folder: str = "") -> dict[str, float]:
    """Train in this process.

    Parameters
    ----------
    method : str
    n_windows : int
    n_runs : int
        Runs trained together.
    folder : str
        Where inputs are memory-mapped; empty: in memory, and several epochs.

    Returns
    -------
    dict of str to float
        Processor seconds and wall seconds of an epoch, share of the network, memory in megabytes.
    """
    import torch

    from benchmarks.speed.windows import synthetic_corpus
    from consilience.core import registry
    from consilience.schema.params.training import TrainingParams
    from consilience.training.augmentation import Run
    from consilience.training.devices import OneProcess, use_cores
    from consilience.training.networks import architecture
    from consilience.training.trainer import RunData, Trainer

    torch.set_num_threads(1)
    training = TrainingParams(patience=100)
    corpus = synthetic_corpus(n_windows, folder=Path(folder) if folder else None)
    runs = [Run(number % 4, number // 4) for number in range(n_runs)]
    params = registry.params("methods", method)()
    stack = architecture(method, params, training, corpus).untrained(runs)
    data = RunData(OneProcess(), runs, corpus, training, corpus.labels, params)
    trainer = Trainer(OneProcess(), stack, runs, data, training)
    use_cores(n_runs)
    network_s = _timed(trainer)
    if not folder:
        trainer.train_epoch()
        trainer.validate()
    began, began_s, before_s = time.process_time(), time.monotonic(), network_s[0]
    epochs = 1 if folder else EPOCHS
    for _ in range(epochs):
        trainer.train_epoch()
        trainer.validate()
    spent = time.process_time() - began
    return {
        "processor_s": spent / epochs,
        "wall_s": (time.monotonic() - began_s) / epochs,
        "network": (network_s[0] - before_s) / spent,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _timed(trainer: Any) -> list[float]:
    """Add up the processor time within network, gradients and optimiser in a list of one."""
    total = [0.0]

    def timed(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            began = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                total[0] += time.process_time() - began

        return call

    trainer.module = _Callable(trainer.module, timed(trainer.module))
    trainer.fabric.backward = timed(trainer.fabric.backward)
    trainer.optimizer.step = timed(trainer.optimizer.step)
    return total


class _Callable:
    """A module whose calls are timed."""

    def __init__(self, module: Any, call: Any) -> None:
        self._module, self._call = module, call

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._call(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _in_process(*arguments: object) -> dict[str, float]:
    """Return what `measure` returns in a process of its own."""
    words = ", ".join(map(repr, arguments))
    program = "import json, benchmarks.speed.training as module"
    code = f"{program}; print(json.dumps(module.measure({words})))"
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(output.stdout.splitlines()[-1])
    return result


def exponent(sizes: Any, values: Any) -> float:
    """Return the exponent of growth: the slope of a line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def main(*words: str) -> None:
    """Print the costs as rows of Markdown tables."""
    if words == ("million",):
        with tempfile.TemporaryDirectory() as folder:
            cost = _in_process("coherence_transfer", MILLION, 1, folder)
        wall_s, memory_mb = cost["wall_s"], cost["memory_mb"]
        print(f"{MILLION:,} windows: an epoch takes {wall_s:.0f} s and {memory_mb:.0f} MB")
        return
    sizes = tuple(map(int, words)) or SIZES
    print("| windows | an epoch | memory |\n|---|---|---|")
    costs = [_in_process("coherence_transfer", size) for size in sizes]
    for size, cost in zip(sizes, costs, strict=True):
        print(f"| {size:,} | {cost['processor_s']:.2f} s | {cost['memory_mb']:.0f} MB |")
    seconds = [cost["processor_s"] for cost in costs]
    memory = [cost["memory_mb"] for cost in costs]
    print(f"\nexponent: time {exponent(sizes, seconds):.2f}, memory {exponent(sizes, memory):.2f}")
    small = sizes[0]
    together = _in_process("coherence_transfer", small, RUNS_TOGETHER)
    plain = _in_process("concat", small)
    ratio = together["wall_s"] / costs[0]["wall_s"]
    print(
        f"{RUNS_TOGETHER} runs together: {ratio:.1f} x the time of one run on {workers()} cores; "
        f"network {100 * together['network']:.0f} % of the time; "
        f"coherence transfer {seconds[0] / plain['processor_s']:.2f} x concatenation"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
