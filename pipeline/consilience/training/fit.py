"""Training of a method: all folds and seeds as one stack, then the calibration.

With `TrainingParams.refit` the networks are then trained anew on the training and the validation
subjects together, for the epochs that were best, and keep the calibration: validation subjects are
a fifth of those of a fold outside its test.

Lightning Fabric places the stack on one device, or in shares on several, with mixed precision on
CUDA. An interrupted training continues from its last checkpoint to the same result, also on
another number of devices.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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

from consilience.core.files import DamagedFileError
from consilience.core.workers import report
from consilience.model.stack import Stack
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Run
from consilience.training.baseline import references
from consilience.training.calibration import calibrate, check_finite, with_calibration
from consilience.training.checkpoint import read_checkpoint, with_prefix, write_checkpoint
from consilience.training.conditioned import load_windows
from consilience.training.coverage import fit_coverage
from consilience.training.data import Scaler
from consilience.training.devices import launch, use_cores
from consilience.training.enrolment import without_enrolment
from consilience.training.networks import Architecture, architecture
from consilience.training.trainer import LabelSource, RunData, Trainer
from consilience.windows.conditions import conditions
from consilience.windows.store import Corpus

SELECTED, REFITTED = "selected.safetensors", "refitted.safetensors"  # checkpoints
CHECKPOINT_S = 30.0  # between checkpoints; changes no result
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
    training : TrainingParams
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
    training: TrainingParams
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
        All windows as `conditioned.load_windows` returns them; read by default.
    folds : sequence of int, optional
        By default, all.

    Raises
    ------
    ConsilienceError
        If the loss or a weight of a run is not finite.
    """
    corpus = without_enrolment(corpus, training)
    runs = [Run(fold, seed) for fold in folds or corpus.folds for seed in training.seeds]
    of_runs = {run: (labels or corpus.labels)(run) for run in runs}
    networks = architecture(method, params, training, corpus)
    selected, *refitted = _train(networks, corpus, runs, of_runs, checkpoint)
    stack, scaler = _trained_networks(networks, selected, runs, corpus)
    test_conditions = conditions(corpus)
    if prepared is None:
        prepared = load_windows(corpus, test_conditions)
    target = torch.from_numpy(np.stack([classes for classes, _ in of_runs.values()]))
    baselines = references(corpus, training)
    used = [condition for condition in test_conditions if condition.kind not in training.held_out]
    calibrate(stack, scaler, runs, corpus, prepared, baselines, used, target)
    affect = torch.from_numpy(np.stack([values for _, values in of_runs.values()]))
    fit_coverage(
        stack, scaler, runs, corpus, prepared, baselines, target, affect, training.coverage
    )
    for state in refitted:
        final, scaler = _trained_networks(networks, state, runs, corpus)
        stack = with_calibration(final, stack)
    return Fitted(
        stack,
        scaler,
        runs,
        training,
        selected["best_epoch"].tolist(),
        _history(runs, selected["history"], selected["last_epoch"]),
        (refitted or [selected])[-1]["consensus"].numpy(),
    )


def fit_everyone(
    method: str,
    params: Any,
    training: TrainingParams,
    corpus: Corpus,
    checkpoint: Path,
    epochs: int,
    calibrated: Stack,
) -> tuple[Stack, Scaler]:
    """Train one network on all subjects of a corpus, without a selection.

    Parameters
    ----------
    method, params, training, corpus, checkpoint
        As in `fit`; the first seed is used.
    epochs : int
    calibrated : Stack
        Calibrated runs of the same method, whose mean calibration the network gets.

    Returns
    -------
    stack : Stack
        Of one run.
    scaler : Scaler

    Raises
    ------
    ConsilienceError
        As `fit`.
    """
    corpus = without_enrolment(replace(corpus, splits=everyone(corpus)), training)
    runs = [Run(fold, training.seeds[0]) for fold in corpus.folds]
    networks = architecture(method, params, training, corpus)
    train = partial(
        _train_once,
        checkpoint=checkpoint / REFITTED,
        epochs=[epochs],
        networks=networks,
        corpus=corpus,
        runs=runs,
        labels=corpus.labels,
    )
    state = launch(train, len(runs))
    _check_trained(method, runs, state)
    stack, scaler = _trained_networks(networks, state, runs, corpus)
    return with_calibration(stack, calibrated), scaler


def everyone(corpus: Corpus) -> pl.DataFrame:
    """Return the table `Splits` of one fold in which every subject is trained on."""
    subjects = corpus.index.select(pl.col("subject").unique().sort())
    return subjects.select(fold=pl.lit(0, pl.Int64), subject="subject", role=pl.lit("train"))


def _train(
    networks: Architecture,
    corpus: Corpus,
    runs: list[Run],
    labels: Mapping[Run, tuple[NDArray[np.float32], NDArray[np.float32]]],
    checkpoint: Path,
) -> list[Mapping[str, Tensor]]:
    """Train all runs; return the state after the selection and, with `refit`, after the refit."""
    share = partial(
        _train_share,
        networks=networks,
        corpus=corpus,
        runs=runs,
        checkpoint=checkpoint,
        labels=labels.__getitem__,
    )
    names = (SELECTED, REFITTED) if networks.training.refit else (SELECTED,)
    # Several processes leave their states in the checkpoints.
    states = launch(share, len(runs)) or [read_checkpoint(checkpoint / name) for name in names]
    for state in states:
        _check_trained(networks.method, runs, state)
    return states


def _trained_networks(
    networks: Architecture, state: Mapping[str, Tensor], runs: Sequence[Run], corpus: Corpus
) -> tuple[Stack, Scaler]:
    """Return the networks of a state, not calibrated, and their standardisation."""
    stack = networks.trained(with_prefix(state, "best/"), len(runs))
    return stack, Scaler.from_tensors(with_prefix(state, "scaler/"), corpus.modalities)


def _check_trained(method: str, runs: Sequence[Run], state: Mapping[str, Tensor]) -> None:
    """Raise if a run diverged: its weights would be those of an earlier epoch, or untrained."""
    losses = {"loss": state["history"][..., :2]}  # of training and validation, by epoch
    check_finite(f"training of {method}", runs, {**losses, **with_prefix(state, "best/")})


def _train_share(fabric: Any, checkpoint: Path, **of_all: Any) -> list[Mapping[str, Tensor]] | None:
    """Train this process's share of the runs, and refit it if `TrainingParams.refit`.

    Both here, because under torchrun the other processes end with this function.

    Parameters
    ----------
    fabric : Fabric
    checkpoint : Path
        Folder.
    **of_all : object
        Further parameters of `_train_once`.

    Returns
    -------
    list of dict of str to Tensor, shape (R, ...), or None
        The states of all runs; of several processes, they are in the checkpoints.
    """
    states: list[Mapping[str, Tensor]] = [
        _train_once(fabric, checkpoint / SELECTED, None, **of_all)
    ]
    if of_all["networks"].training.refit:
        best_epochs = states[0]["best_epoch"].tolist()
        states.append(_train_once(fabric, checkpoint / REFITTED, best_epochs, **of_all))
    return states if fabric.world_size == 1 else None


def _train_once(
    fabric: Any,
    checkpoint: Path,
    epochs: Sequence[int] | None,
    networks: Architecture,
    corpus: Corpus,
    runs: list[Run],
    labels: LabelSource,
) -> dict[str, Tensor]:
    """Train this process's share of the runs once; return its state.

    Parameters
    ----------
    epochs : sequence of int, optional
        Of each run of the share, on training and validation subjects; by default, the validation
        subjects select the epoch.
    """
    training = networks.training
    torch.set_num_threads(1)  # sums over the windows of one run have a fixed order
    share = runs[fabric.global_rank :: fabric.world_size]
    roles = ("train",) if epochs is None else ("train", "validation")
    data = RunData(fabric, share, corpus, training, labels, networks.params, roles)
    trainer = Trainer(fabric, networks.untrained(share), share, data, training, epochs)
    use_cores(len(share))
    _resume(trainer, checkpoint, fabric)
    with _progress_bar(fabric.is_global_zero) as progress:
        task = progress.add_task(f"train {networks.method}", total=training.epochs)
        progress.update(task, completed=trainer.epoch)
        written_s = time.monotonic()
        while not trainer.done():
            trainer.train_epoch()
            trainer.validate()
            progress.update(task, completed=trainer.epoch)
            # The first process decides: all of them write together.
            if fabric.broadcast(time.monotonic() - written_s >= CHECKPOINT_S, src=0):
                write_checkpoint(checkpoint, fabric, trainer.state())
                written_s = time.monotonic()
    # An interruption from here on must not repeat this training.
    state = trainer.state()
    write_checkpoint(checkpoint, fabric, state)
    return {name: value.detach().cpu() for name, value in state.items()}


def _resume(trainer: Trainer, checkpoint: Path, fabric: Any) -> None:
    """Continue from a checkpoint; a damaged one is ignored, and replaced by the next."""
    if not checkpoint.is_file():
        return
    try:
        trainer.load_state(read_checkpoint(checkpoint, fabric.global_rank, fabric.world_size))
    except DamagedFileError as error:
        report(f"{error.where}: {error.what}; the training starts anew")


def _history(runs: list[Run], values: Tensor, last_epoch: Tensor) -> pl.DataFrame:
    """Return a row per run and epoch it was trained for, from values of shape (R, epochs, 3)."""
    rows = [
        (*run, epoch, *of_epoch)
        for run, of_run, last in zip(runs, values.tolist(), last_epoch.tolist(), strict=True)
        for epoch, of_epoch in enumerate(of_run[:last], start=1)
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
