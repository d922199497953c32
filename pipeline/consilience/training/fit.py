"""Training of a method: all folds and seeds as one stack, then the calibration.

Lightning Fabric places the stack on one device, or in shares on several, with mixed precision on
CUDA. An interrupted training continues from its last checkpoint to the same result, also on
another number of devices.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from consilience.core import registry
from consilience.core.files import DamagedFileError
from consilience.core.workers import report
from consilience.model.stack import Stack
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Run
from consilience.training.calibration import calibrate, check_finite
from consilience.training.checkpoint import read_checkpoint, with_prefix, write_checkpoint
from consilience.training.conditioned import prepare_windows
from consilience.training.data import Scaler
from consilience.training.devices import launch
from consilience.training.networks import encoders_for, untrained_stack
from consilience.training.trainer import LabelSource, RunData, Trainer
from consilience.windows.conditions import conditions
from consilience.windows.store import Corpus

CHECKPOINT = "state.safetensors"
CHECKPOINT_EPOCHS = 10  # changes no result
HISTORY = ("fold", "seed", "epoch", "train_loss", "validation_loss", "validation_balanced_accuracy")


@dataclass(frozen=True)
class Fitted:
    """Result of a training.

    Attributes
    ----------
    stack : Stack
        Each run with the weights of its best epoch.
    scaler : Scaler
    runs : list of Run
    best_epochs : list of int
        The epoch of each run's weights.
    history : polars.DataFrame
        A row per run and epoch.
    consensus : ndarray, shape (R, N, K)
        Moving average of the predictions for the training windows; uniform for all others.
    """

    stack: Stack
    scaler: Scaler
    runs: list[Run]
    best_epochs: list[int]
    history: pl.DataFrame
    consensus: NDArray[np.float32]


def fit(
    method: str,
    params: Any,
    training: TrainingParams,
    corpus: Corpus,
    checkpoint: Path,
    labels: LabelSource | None = None,
    prepared: Mapping[str, Mapping[str, Tensor]] | None = None,
    folds: Sequence[int] | None = None,
) -> Fitted:
    """Train and calibrate a method on every fold with every seed.

    Parameters
    ----------
    method : str
        Name of a registered method.
    params : MethodParams
        Its parameters.
    training : TrainingParams
        Budget and augmentations.
    corpus : Corpus
        The windows.
    checkpoint : Path
        Folder for the state of the training, from which an interrupted one continues. The caller
        removes it after saving the result.
    labels : callable, optional
        Returns the class probabilities (N, K) and affect (N, 2), float32, of a run's training
        and validation windows; by default, the corpus's labels.
    prepared : mapping, optional
        All windows as `conditioned.prepare_windows` returns them; computed by default.
    folds : sequence of int, optional
        By default, all.

    Raises
    ------
    ConsilienceError
        If the loss or a weight of a run is not finite.
    """
    runs = [Run(fold, seed) for fold in folds or corpus.folds for seed in training.seeds]
    label_source = labels or corpus.labels
    share = partial(
        _train_share,
        method=method,
        params=params,
        training=training,
        corpus=corpus,
        runs=runs,
        checkpoint=checkpoint / CHECKPOINT,
        labels=label_source,
    )
    launch(share, len(runs))
    state = read_checkpoint(checkpoint / CHECKPOINT)
    _check_trained(method, runs, state)
    stack = untrained_stack(method, params, training, corpus, runs)
    stack.load_state_dict(with_prefix(state, "best/"))
    scaler = Scaler.from_tensors(with_prefix(state, "scaler/"), corpus.modalities)
    test_conditions = conditions(corpus)
    if prepared is None:
        encoders = encoders_for(corpus.features, corpus.encodings, training.width, training.dropout)
        prepared = prepare_windows(corpus, encoders, test_conditions)
    target = torch.from_numpy(np.stack([label_source(run)[0] for run in runs]))
    torch.set_num_threads(training.cpu_threads)  # preparing windows has set it to 1
    calibrate(stack, scaler, runs, corpus, prepared, test_conditions, target)
    return Fitted(
        stack.eval(),
        scaler,
        runs,
        state["best_epoch"].tolist(),
        _history(runs, state["history"]),
        state["consensus"].numpy(),
    )


def _check_trained(method: str, runs: Sequence[Run], state: Mapping[str, Tensor]) -> None:
    """Raise if a run diverged: its weights would be those of an earlier epoch, or untrained."""
    losses = {"loss": state["history"][..., :2]}  # of training and validation, by epoch
    check_finite(f"training of {method}", runs, {**losses, **with_prefix(state, "best/")})


def _train_share(
    fabric: Any,
    method: str,
    params: Any,
    training: TrainingParams,
    corpus: Corpus,
    runs: list[Run],
    checkpoint: Path,
    labels: LabelSource,
) -> None:
    """Train this process's share of the runs, and write the state of all runs to a file."""
    torch.set_num_threads(training.cpu_threads)
    share = runs[fabric.global_rank :: fabric.world_size]
    cross_fitted = registry.get("methods", method).cross_fitted
    stack = untrained_stack(method, params, training, corpus, share)
    data = RunData(fabric, share, corpus, training, labels, cross_fitted)
    trainer = Trainer(fabric, stack, share, data, training)
    _resume(trainer, checkpoint, fabric)
    with _progress_bar(fabric.is_global_zero) as progress:
        task = progress.add_task(f"train {method}", total=training.epochs)
        progress.update(task, completed=trainer.epoch)
        while not trainer.done():
            trainer.train_epoch()
            trainer.validate()
            progress.update(task, completed=trainer.epoch)
            if trainer.epoch % CHECKPOINT_EPOCHS == 0:
                write_checkpoint(checkpoint, fabric, trainer.state())
    write_checkpoint(checkpoint, fabric, trainer.state())


def _resume(trainer: Trainer, checkpoint: Path, fabric: Any) -> None:
    """Continue from a checkpoint; a damaged one is ignored, and replaced by the next."""
    if not checkpoint.is_file():
        return
    try:
        trainer.load_state(read_checkpoint(checkpoint, fabric.global_rank, fabric.world_size))
    except DamagedFileError as error:
        report(f"{error.where}: {error.what}; the training starts anew")


def _history(runs: list[Run], values: Tensor) -> pl.DataFrame:
    """Return a row per run and epoch from the values, shape (R, epochs, 3)."""
    rows = [
        (*run, epoch, *of_epoch)
        for run, of_run in zip(runs, values.tolist(), strict=True)
        for epoch, of_epoch in enumerate(of_run, start=1)
    ]
    schema = dict.fromkeys(HISTORY[:3], pl.Int64) | dict.fromkeys(HISTORY[3:], pl.Float64)
    return pl.DataFrame(rows, schema, orient="row").sort(HISTORY[:3])


def _progress_bar(visible: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not (visible and sys.stderr.isatty()),
    )
