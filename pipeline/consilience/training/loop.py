"""The training loop every method shares: all folds and seeds of a method as one stack.

Lightning Fabric places it on one device, or in shares on several, with mixed precision on CUDA.
An interrupted training goes on from its last checkpoint to the same result, and may do so on
another number of devices.
"""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save
from torch import Tensor

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import write_bytes, write_json
from consilience.core.seeds import generator, seed_from
from consilience.encoders.base import Encoder
from consilience.model.losses import cross_entropy, gaussian_nll
from consilience.model.stack import Stack
from consilience.model.types import Batch
from consilience.schema.params.training import TrainingParams
from consilience.training import conditioned, label_reliability
from consilience.training.augmentation import Augmentation, Run
from consilience.training.data import Scaler, fit_scaler, prepare
from consilience.windows import conditions
from consilience.windows.store import Corpus

CONSENSUS_MEMORY = 0.8  # share of the old consensus kept at every visit
CHECKPOINT = "state.safetensors"
CHECKPOINT_EPOCHS = 10  # changes no result
SELECTION_TEMPERATURES = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
Labels = Callable[[Run], tuple[NDArray[np.float32], NDArray[np.float32]]]
HISTORY = ("fold", "seed", "epoch", "train_loss", "validation_loss", "validation_balanced_accuracy")


@dataclass(frozen=True)
class Fitted:
    """The outcome of a training.

    Attributes
    ----------
    stack : Stack
        Each run with the weights of its best epoch.
    scaler : Scaler
    runs : list of Run
    best_epochs : list of int
        The epoch each run's weights are of.
    history : polars.DataFrame
        A row per run and epoch.
    consensus : ndarray, shape (R, N, K)
        Moving average of the opinions on the training windows; even for all others.
    """

    stack: Stack
    scaler: Scaler
    runs: list[Run]
    best_epochs: list[int]
    history: pl.DataFrame
    consensus: NDArray[np.float32]


def encoders_for(
    features: Mapping[str, Sequence[str]],
    encodings: Mapping[str, Mapping[str, Any]],
    width: int,
    dropout: float,
) -> dict[str, Encoder]:
    """Return a fresh encoder for every modality, in the order given."""
    return {
        name: _modality(name).encoder(len(names), width, dropout, **encodings.get(name, {}))
        for name, names in features.items()
    }


@lru_cache
def _modality(name: str) -> Any:
    """Return a modality, found once: every run of a stack asks for it."""
    return registry.get("modalities", name)


def build_stack(
    method: str,
    params: Any,
    training: TrainingParams,
    runs: list[Run],
    features: Mapping[str, Sequence[str]],
    encodings: Mapping[str, Mapping[str, Any]],
    n_classes: int,
    example: Mapping[str, Tensor],
) -> Stack:
    """Return the untrained stack of a method, each run initialised from its own names.

    Parameters
    ----------
    example : mapping of str to Tensor, shape (1, ...)
        A prepared window of each modality, from which layers learn their input's width.
    """
    kind = registry.get("methods", method)
    networks = []
    available = torch.ones(1, len(features))
    for run in runs:
        torch.manual_seed(seed_from("weights", *run))
        encoders = encoders_for(features, encodings, training.width, training.dropout)
        for name, encoder in encoders.items():
            encoder(example[name])
        network = kind(
            encoders, n_classes, training.width, training.dropout, params, training.head == "hidden"
        )
        network.predict((dict(example), available))
        networks.append(network)
    return Stack(networks)


def fit(
    method: str,
    params: Any,
    training: TrainingParams,
    corpus: Corpus,
    checkpoint: Path,
    labels: Labels | None = None,
    prepared: Mapping[str, Mapping[str, Tensor]] | None = None,
    folds: Sequence[int] | None = None,
) -> Fitted:
    """Train a method on every fold with every seed.

    Parameters
    ----------
    method : str
        A registered method's name.
    params : MethodParams
        Its parameters.
    training : TrainingParams
        Budget and augmentations.
    corpus : Corpus
        The windows.
    checkpoint : Path
        Folder for the state of the training, from which it goes on if it was interrupted; the
        caller removes it when it has kept what `fit` returns.
    labels : callable, optional
        Gives a run the class probabilities (N, K) and affect (N, 2), float32, that its training
        and validation windows are said to have; the corpus's own if left out.
    prepared : mapping, optional
        All windows as `conditioned.prepare_windows` returns them, where they are at hand.
    folds : sequence of int, optional
        All if left out.
    """
    from consilience.training import calibration, devices  # slow to import

    runs = [Run(fold, seed) for fold in folds or corpus.folds for seed in training.seeds]
    share = partial(
        _train,
        method=method,
        params=params,
        training=training,
        corpus=corpus,
        runs=runs,
        checkpoint=checkpoint / CHECKPOINT,
        labels=labels or corpus.labels,
    )
    devices.launch(share, len(runs))
    state = load_file(checkpoint / CHECKPOINT)
    stack = _untrained(method, params, training, corpus, runs)
    stack.load_state_dict(_part(state, "best/"))
    scaler = Scaler.from_tensors(_part(state, "scaler/"), corpus.modalities)
    asked = conditions.conditions(corpus)
    if prepared is None:
        encoders = encoders_for(corpus.features, corpus.encodings, training.width, training.dropout)
        prepared = conditioned.prepare_windows(corpus, encoders, asked)
    told = torch.from_numpy(np.stack([(labels or corpus.labels)(run)[0] for run in runs]))
    torch.set_num_threads(training.cpu_threads)
    calibration.calibrate(stack, scaler, runs, corpus, prepared, asked, told)
    return Fitted(
        stack.eval(),
        scaler,
        runs,
        state["best_epoch"].tolist(),
        _history(runs, state["history"]),
        state["consensus"].numpy(),
    )


def _untrained(
    method: str, params: Any, training: TrainingParams, corpus: Corpus, runs: list[Run]
) -> Stack:
    encoders = encoders_for(corpus.features, corpus.encodings, training.width, training.dropout)
    example = {
        name: encoder.prepare(torch.from_numpy(np.array(corpus.windows(name)[:1]))).nan_to_num()
        for name, encoder in encoders.items()
    }
    return build_stack(
        method,
        params,
        training,
        runs,
        corpus.features,
        corpus.encodings,
        len(corpus.classes),
        example,
    )


def _train(
    fabric: Any,
    method: str,
    params: Any,
    training: TrainingParams,
    corpus: Corpus,
    runs: list[Run],
    checkpoint: Path,
    labels: Labels,
) -> None:
    """Train this process's share of the runs; leave the state of all of them in a file."""
    torch.set_num_threads(training.cpu_threads)
    own = runs[fabric.global_rank :: fabric.world_size]
    stack = _untrained(method, params, training, corpus, own)
    trainer = _Trainer(
        fabric, stack, own, corpus, training, labels, registry.get("methods", method).cross_fitted
    )
    trainer.resume(checkpoint)
    with _progress(fabric.is_global_zero) as progress:
        task = progress.add_task(f"train {method}", total=training.epochs)
        progress.update(task, completed=trainer.epoch)
        while not trainer.done():
            trainer.train_epoch()
            trainer.validate()
            progress.update(task, completed=trainer.epoch)
            if trainer.epoch % CHECKPOINT_EPOCHS == 0:
                trainer.save(checkpoint)
    trainer.save(checkpoint)


class _Trainer:
    """State of a share of the runs: weights, best weights, optimiser, consensus, history."""

    def __init__(
        self,
        fabric: Any,
        stack: Stack,
        runs: list[Run],
        corpus: Corpus,
        training: TrainingParams,
        labels: Labels,
        cross_fitted: bool,
    ) -> None:
        self.fabric, self.runs, self.training, self.stack = fabric, runs, training, stack
        self.train_rows = [corpus.members(run.fold, "train") for run in runs]
        self.validation_rows = [corpus.members(run.fold, "validation") for run in runs]
        # The longest of all folds, not of this share: what a run sees depends on no other.
        self.longest = max(len(corpus.members(fold, "train")) for fold in corpus.folds)
        encoders = encoders_for(corpus.features, corpus.encodings, training.width, training.dropout)
        prepared = {name: prepare(corpus, encoders, name) for name in corpus.modalities}
        said = [labels(run) for run in runs]
        target = np.stack([classes for classes, _ in said])
        affect = np.stack([values for _, values in said])
        self.scaler = fit_scaler(corpus, prepared, self.train_rows, affect)
        to_device = fabric.to_device
        self.prepared = {name: to_device(values) for name, values in prepared.items()}
        self.device_scaler = Scaler.from_tensors(
            {name: to_device(value) for name, value in self.scaler.tensors().items()},
            tuple(prepared),
        )
        self.present = to_device(torch.from_numpy(corpus.available).float())
        self.target = to_device(torch.from_numpy(target))
        self.affect = to_device(torch.from_numpy(affect))
        unlabelled = any(
            not np.isfinite(own[rows]).all()
            for own, rows in zip(target, self.train_rows, strict=True)
        )
        anywhere = fabric.all_reduce(to_device(torch.tensor(float(unlabelled))), reduce_op="sum")
        self.loss = "semi_supervised_loss" if anywhere else "loss"
        self.disagreement = to_device(
            torch.tensor(
                [
                    _disagreement(corpus, own, rows)
                    for own, rows in zip(target, self.train_rows, strict=True)
                ]
            )
        )
        self.consensus = to_device(torch.full(target.shape, 1 / target.shape[-1]))
        if cross_fitted:
            subject = corpus.index["subject"].to_numpy()
            judged, reliability = label_reliability.of_runs(
                prepared, corpus.available, list(target), subject, self.train_rows
            )
        else:
            judged, reliability = torch.full(target.shape, torch.nan), torch.ones(len(runs))
        self.judged, self.label_reliability = to_device(judged), to_device(reliability)
        self.module, self.optimizer = fabric.setup(
            stack,
            torch.optim.AdamW(
                stack.parameters(),
                training.learning_rate,
                weight_decay=training.weight_decay,
                fused=True,
            ),
        )
        self.best = {name: value.detach().clone() for name, value in stack.state_dict().items()}
        self.best_loss = np.full(len(runs), np.inf)
        self.best_epoch = np.zeros(len(runs), np.int64)
        self.history: list[NDArray[np.float64]] = []  # an epoch's values, shape (R, 3)
        self.epoch = 0
        self._train_loss = np.zeros(len(runs))

    def done(self) -> bool:
        """Whether the budget is spent or no run of any process improved for `patience` epochs."""
        if self.epoch >= self.training.epochs:
            return True
        hopeful = np.sum(self.epoch - self.best_epoch <= self.training.patience)
        hopeful_anywhere = self.fabric.all_reduce(
            self.fabric.to_device(torch.tensor(float(hopeful))), reduce_op="sum"
        )
        return not hopeful_anywhere

    def train_epoch(self) -> None:
        """Visit every training window of every run; runs and corpora with few repeat some."""
        training, self.epoch = self.training, self.epoch + 1
        self.stack.generators = [generator("dropout", *run, self.epoch) for run in self.runs]
        augmentation = Augmentation(
            self.runs,
            self.epoch,
            training.modality_dropout,
            training.noise,
            training.feature_dropout,
        )
        visited = math.ceil(self.longest / training.batch_size)
        steps = max(visited, training.epoch_steps)
        order = self.fabric.to_device(
            augmentation.order(self.train_rows, steps * training.batch_size)
        )
        self.module.train()
        losses = []
        for step, index in enumerate(order.split(training.batch_size, dim=1)):
            progress = (self.epoch - 1 + step / steps) / training.epochs
            for group in self.optimizer.param_groups:
                group["lr"] = training.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
            batch = self._batch(index, augmentation)
            loss, opinion = self.module(self.loss, batch, progress)
            self.optimizer.zero_grad()
            self.fabric.backward(loss.sum())
            self.optimizer.step()
            self._remember(index, opinion)
            losses.append(loss.detach())
        self._train_loss = torch.stack(losses).mean(0).cpu().double().numpy()

    def _batch(self, index: Tensor, augmentation: Augmentation) -> Batch:
        present = self.present[index]
        clean = self.device_scaler.inputs(self.prepared, index, present)
        available = augmentation.available(present)
        inputs = {
            name: augmentation.corrupt(values, available[..., position])
            for position, (name, values) in enumerate(clean.items())
        }
        return Batch(
            inputs=inputs,
            available=available,
            clean=clean,
            present=present,
            target=_of(self.target, index),
            affect=self.device_scaler.affect(_of(self.affect, index)),
            consensus=_of(self.consensus, index),
            label_estimate=_of(self.judged, index),
            label_reliability=self.label_reliability,
            disagreement=self.disagreement,
        )

    def _remember(self, index: Tensor, opinion: Tensor) -> None:
        where = index[..., None].expand_as(opinion)
        old = self.consensus.gather(1, where)
        new = CONSENSUS_MEMORY * old + (1 - CONSENSUS_MEMORY) * opinion.float()
        self.consensus.scatter_(1, where, new)

    @torch.no_grad()
    def validate(self) -> None:
        """Score each run on its validation subjects and keep the weights of its best epoch.

        The score is the mean `selection_loss` with all modalities and with each one alone, so
        that no epoch is chosen for its reading of complete windows only.
        """
        self.module.eval()
        size = max(map(len, self.validation_rows))
        index = self.fabric.to_device(
            torch.from_numpy(np.stack([np.resize(rows, size) for rows in self.validation_rows]))
        )
        n_modalities = self.present.shape[1]
        masks = [torch.ones(n_modalities), *torch.eye(n_modalities)]
        outcomes = [self._validation(index, self.fabric.to_device(kept)) for kept in masks]
        loss = np.mean([loss for loss, _ in outcomes], axis=0)
        accuracy = outcomes[0][1]
        self.history.append(np.stack([self._train_loss, loss, accuracy], axis=1))
        better = np.flatnonzero(loss < self.best_loss)
        self.best_loss[better], self.best_epoch[better] = loss[better], self.epoch
        for name, value in self.stack.state_dict().items():
            self.best[name][better] = value[better]

    def _validation(
        self, index: Tensor, kept: Tensor
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        available = self.present[index] * kept
        inputs = self.device_scaler.inputs(self.prepared, index, available)
        reading = self.module("predict", (inputs, available))
        affect = self.device_scaler.affect(_of(self.affect, index))
        losses, accuracies = [], []
        for run, rows in enumerate(self.validation_rows):
            own = slice(len(rows))
            target, logits = self.target[run, index[run, own]], reading.logits[run, own].float()
            mean = reading.affect_mean[run, own].float()
            losses.append(selection_loss(logits, target, mean, affect[run, own]))
            accuracies.append(_balanced_accuracy(logits, target))
        return np.array(losses), np.array(accuracies)

    def save(self, path: Path) -> None:
        """Write the state of all processes' runs as tensors: nothing of it can execute code."""
        own = {name: value.detach().cpu() for name, value in self._state().items()}
        ranks = range(self.fabric.world_size)
        shares = [self.fabric.broadcast(own, src=rank) for rank in ranks]
        n_runs = sum(len(share["best_epoch"]) for share in shares)
        whole = {name: value.new_empty(n_runs, *value.shape[1:]) for name, value in own.items()}
        for rank, share in zip(ranks, shares, strict=True):
            for name, value in share.items():
                whole[name][rank :: len(ranks)] = value
        if self.fabric.is_global_zero:
            write_bytes(path, save(whole))

    def _state(self) -> dict[str, Tensor]:
        """Return all that a training is, each tensor with the runs along its first axis."""
        n_runs = len(self.runs)
        tensors = {f"now/{name}": value for name, value in self.stack.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        tensors |= {f"scaler/{name}": value for name, value in self.scaler.tensors().items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            for key, value in state.items():  # the step is one number for all
                own = value if value.ndim else value.expand(n_runs)
                tensors[f"optimizer/{number}/{key}"] = own
        tensors["consensus"] = self.consensus
        tensors["best_loss"] = torch.from_numpy(self.best_loss)
        tensors["best_epoch"] = torch.from_numpy(self.best_epoch)
        tensors["history"] = torch.from_numpy(np.stack(self.history, axis=1))
        return tensors

    def resume(self, path: Path) -> None:
        """Take up these runs' part of a checkpoint, if there is one."""
        if not path.is_file():
            return
        own = slice(self.fabric.global_rank, None, self.fabric.world_size)
        tensors = {name: value[own].clone() for name, value in load_file(path).items()}
        self.stack.load_state_dict(_part(tensors, "now/"))
        self.best = {
            name: self.fabric.to_device(value) for name, value in _part(tensors, "best/").items()
        }
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(tensors, "optimizer/").items():
            number, key = name.split("/")
            state.setdefault(int(number), {})[key] = value[0] if key == "step" else value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.consensus = self.fabric.to_device(tensors["consensus"])
        self.best_loss = tensors["best_loss"].numpy()
        self.best_epoch = tensors["best_epoch"].numpy()
        self.history = list(tensors["history"].numpy().swapaxes(0, 1))
        self.epoch = len(self.history)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}


def _history(runs: list[Run], values: Tensor) -> pl.DataFrame:
    """Return a row per run and epoch from the values, shape (R, epochs, 3)."""
    rows = [
        (*run, epoch, *told)
        for run, of_run in zip(runs, values.tolist(), strict=True)
        for epoch, told in enumerate(of_run, start=1)
    ]
    schema = dict.fromkeys(HISTORY[:3], pl.Int64) | dict.fromkeys(HISTORY[3:], pl.Float64)
    return pl.DataFrame(rows, schema, orient="row").sort(HISTORY[:3])


def selection_loss(logits: Tensor, target: Tensor, mean: Tensor, affect: Tensor) -> float:
    """Return by what epochs are compared: how well they tell windows apart, however boldly.

    Confidence is calibrated after the training, so it must not choose the epoch: the
    cross-entropy is taken at the temperature that suits it best, the affect's error without
    its variance.
    """
    suited = min(float(cross_entropy(logits / t, target)) for t in SELECTION_TEMPERATURES)
    return suited + float(gaussian_nll(mean, torch.zeros_like(mean), affect))


def _of(values: Tensor, index: Tensor) -> Tensor:
    """Return each run's own values (R, N, ...) at positions (R, B)."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))


def _disagreement(corpus: Corpus, target: NDArray[np.float32], rows: NDArray[np.int64]) -> float:
    """Return the mean share of the votes the leading class lacks, 0 without several annotators."""
    several = (corpus.index["n_annotators"] > 1).to_numpy()[rows]
    leading = target[rows][several].max(-1, initial=0.0)
    known = leading[np.isfinite(leading)]
    return float(1 - known.mean()) if len(known) else 0.0


def _balanced_accuracy(logits: Tensor, target: Tensor) -> float:
    known = target.isfinite().all(-1)
    truth, hit = target[known].argmax(-1), logits[known].argmax(-1) == target[known].argmax(-1)
    recalls = [float(hit[truth == k].float().mean()) for k in truth.unique()]
    return float(np.mean(recalls)) if recalls else math.nan


def _progress(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not (shown and sys.stderr.isatty()),
    )


def save_model(folder: Path, fitted: Fitted, card: dict[str, Any]) -> None:
    """Write ``model.safetensors``, ``card.json`` and ``history.csv``.

    Parameters
    ----------
    folder : Path
    fitted : Fitted
    card : dict
        What `load_model` needs: see the stage ``train``.
    """
    tensors = {**fitted.stack.state_dict(), **fitted.scaler.tensors()}
    write_bytes(
        folder / "model.safetensors",
        save({name: value.detach().contiguous() for name, value in tensors.items()}),
    )
    write_json(folder / "card.json", card)
    buffer = io.BytesIO()
    fitted.history.write_csv(buffer, float_precision=6)
    write_bytes(folder / "history.csv", buffer.getvalue())


def load_model(
    folder: Path, example: Mapping[str, Tensor]
) -> tuple[Stack, Scaler, list[Run], dict[str, Any]]:
    """Read what `save_model` wrote.

    Parameters
    ----------
    folder : Path
    example : mapping of str to Tensor, shape (1, ...)
        A prepared window of each modality.

    Raises
    ------
    ConsilienceError
        If the model is missing or was trained for other modalities.
    """
    if not (folder / "card.json").is_file():
        raise ConsilienceError("there is no model", str(folder), "run 'dvc repro'")
    card = json.loads((folder / "card.json").read_text())
    if list(card["features"]) != list(example):
        raise ConsilienceError(
            f"trained for {', '.join(card['features'])}, not {', '.join(example)}",
            str(folder),
            "run 'dvc repro'",
        )
    training = TrainingParams(**card["training"])
    runs = [Run(**run) for run in card["runs"]]
    kind = registry.get("methods", card["method"])
    params = kind.Params(**card["params"])
    stack = build_stack(
        card["method"],
        params,
        training,
        runs,
        card["features"],
        card.get("encodings", {}),
        len(card["classes"]),
        example,
    )
    tensors = load_file(folder / "model.safetensors")
    scaler = Scaler.from_tensors(tensors, list(example))
    known = stack.state_dict()
    stack.load_state_dict({name: tensors[name] for name in known})
    return stack.eval(), scaler, runs, card
