"""Training on a CUDA device: ``python -m benchmarks.speed.gpu [WINDOWS]``.

Prints optimiser steps per second of 24 runs trained together, the share of the time in which the
device computes, and the ratio to one core of the processor. Without a device, the core alone.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import torch

from benchmarks.speed.windows import synthetic_corpus
from consilience.core import registry
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Run
from consilience.training.devices import OneProcess, launch
from consilience.training.networks import architecture
from consilience.training.trainer import RunData, Trainer

METHOD, RUNS, EPOCHS = "coherence_transfer", 24, 3


def make_trainer(fabric: Any, n_windows: int) -> Trainer:
    """Return a trainer of `RUNS` runs on synthetic windows, warmed up by an epoch."""
    training = TrainingParams(patience=100)
    corpus = synthetic_corpus(n_windows)
    runs = [Run(number % 4, number // 4) for number in range(RUNS)]
    params = registry.params("methods", METHOD)()
    stack = architecture(METHOD, params, training, corpus).untrained(runs)
    data = RunData(fabric, runs, corpus, training, corpus.labels, params)
    trainer = Trainer(fabric, stack, runs, data, training)
    trainer.train_epoch()
    return trainer


def steps_per_second(fabric: Any, n_windows: int) -> tuple[float, float]:
    """Return steps per second, and the share of the time in which a CUDA device computes."""
    trainer = make_trainer(fabric, n_windows)
    steps = EPOCHS * max(-(-trainer.data.longest // trainer.training.batch_size), 2)
    cuda = trainer.consensus.is_cuda
    activities = [torch.profiler.ProfilerActivity.CUDA] if cuda else []
    began = time.monotonic()
    for _ in range(EPOCHS):
        trainer.train_epoch()
    seconds = time.monotonic() - began
    if not cuda:
        return steps / seconds, 0.0
    # Measured apart, because profiling takes time itself.
    began = time.monotonic()
    with torch.profiler.profile(activities=activities) as profile:
        trainer.train_epoch()
    profiled = time.monotonic() - began
    busy = sum(event.device_time_total for event in profile.events()) / 1e6
    return steps / seconds, busy / profiled


def main(n_windows: int = 10_000) -> None:
    """Print the figures of the device, if there is one, and of one core."""
    torch.set_num_threads(1)
    core, _ = steps_per_second(OneProcess(), n_windows)
    print(f"one core: {core:.2f} steps a second, {RUNS} runs of {METHOD}, {n_windows:,} windows")
    if not torch.cuda.is_available():
        print("no CUDA device")
        return
    speed, busy = launch(lambda fabric: steps_per_second(fabric, n_windows), RUNS)
    name = torch.cuda.get_device_name()
    print(f"{name}: {speed:.1f} steps a second, {speed / core:.0f} x one core, busy {busy:.0%}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
