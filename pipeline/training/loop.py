"""The training loop every method shares: all folds and seeds of a method as one stack.

Lightning Fabric places the stack (CPU, CUDA with mixed precision). An interrupted training goes
on from its last checkpoint to the same result.
"""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
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

from pipeline import registry
from pipeline.errors import ConsilienceError
from pipeline.files import write_bytes, write_json
from pipeline.methods.base import Batch
from pipeline.modalities.base import Encoder
from pipeline.model.losses import cross_entropy, gaussian_nll
from pipeline.model.stack import Stack
from pipeline.params import TrainingParams
from pipeline.seeds import seed_from
from pipeline.training.augmentation import Augmentation, Run
from pipeline.training.data import Corpus, Scaler, fit_scaler, prepare

CONSENSUS_MEMORY = 0.8  # share of the old consensus kept at every visit
CHECKPOINT_EPOCHS = 10  # changes no result
SELECTION_TEMPERATURES = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
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
    """

    stack: Stack
    scaler: Scaler
    runs: list[Run]
    best_epochs: list[int]
    history: pl.DataFrame


def encoders_for(
    features: Mapping[str, Sequence[str]], width: int, dropout: float
) -> dict[str, Encoder]:
    """Return a fresh encoder for every modality, in the order given."""
    return {
        name: _modality(name).encoder(len(names), width, dropout)
        for name, names in features.items()
    }


@lru_cache
def _modality(name: str) -> Any:
    """Return a modality, found once: every run of a stack asks for it."""
    return registry.find("modalities", name)


def build_stack(
    method: str,
    params: Any,
    training: TrainingParams,
    runs: list[Run],
    features: Mapping[str, Sequence[str]],
    n_classes: int,
    example: Mapping[str, Tensor],
) -> Stack:
    """Return the untrained stack of a method, each run initialised from its own names.

    Parameters
    ----------
    example : mapping of str to Tensor, shape (1, ...)
        A prepared window of each modality, from which layers learn their input's width.
    """
    kind = registry.find("methods", method)
    networks = []
    available = torch.ones(1, len(features))
    for run in runs:
        torch.manual_seed(seed_from("weights", *run))
        encoders = encoders_for(features, training.width, training.dropout)
        for name, encoder in encoders.items():
            encoder(example[name])
        network = kind(encoders, n_classes, training.width, training.dropout, params)
        network.read((dict(example), available))
        networks.append(network)
    return Stack(networks)


def fit(
    method: str, params: Any, training: TrainingParams, corpus: Corpus, checkpoint: Path
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
        Folder for the state of an unfinished training; removed at the end by the caller.
    """
    from lightning_fabric import Fabric  # slow to import

    torch.set_num_threads(training.cpu_threads)
    cuda = torch.cuda.is_available()
    fabric = Fabric(accelerator="cuda" if cuda else "cpu", devices=1, precision=_precision(cuda))
    runs = [Run(fold, seed) for fold in corpus.folds for seed in training.seeds]
    encoders = encoders_for(corpus.features, training.width, training.dropout)
    prepared = {name: prepare(corpus, encoders, name) for name in corpus.modalities}
    scaler = fit_scaler(corpus, prepared, [corpus.members(run.fold, "train") for run in runs])
    example = {name: values[:1] for name, values in prepared.items()}
    stack = build_stack(
        method, params, training, runs, corpus.features, len(corpus.classes), example
    )
    trainer = _Trainer(fabric, stack, runs, corpus, prepared, scaler, training)
    trainer.resume(checkpoint)
    with _progress() as progress:
        task = progress.add_task(f"train {method}", total=training.epochs)
        progress.update(task, completed=trainer.epoch)
        while not trainer.done:
            trainer.train_epoch()
            trainer.validate()
            progress.update(task, completed=trainer.epoch)
            if trainer.epoch % CHECKPOINT_EPOCHS == 0:
                trainer.save(checkpoint)
    return trainer.fitted()


def _precision(cuda: bool) -> Any:
    if not cuda:
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


class _Trainer:
    """State of a training: weights, best weights, optimiser, consensus, history."""

    def __init__(
        self,
        fabric: Any,
        stack: Stack,
        runs: list[Run],
        corpus: Corpus,
        prepared: Mapping[str, Tensor],
        scaler: Scaler,
        training: TrainingParams,
    ) -> None:
        self.fabric, self.runs, self.training = fabric, runs, training
        self.scaler, self.stack = scaler, stack
        self.train_rows = [corpus.members(run.fold, "train") for run in runs]
        self.validation_rows = [corpus.members(run.fold, "validation") for run in runs]
        to_device = fabric.to_device
        self.prepared = {name: to_device(values) for name, values in prepared.items()}
        self.device_scaler = Scaler.from_tensors(
            {name: to_device(value) for name, value in scaler.tensors().items()}, tuple(prepared)
        )
        self.present = to_device(torch.from_numpy(corpus.available).float())
        self.target = to_device(torch.from_numpy(corpus.target))
        self.affect = to_device(torch.from_numpy(corpus.affect))
        self.disagreement = to_device(
            torch.tensor([_disagreement(corpus, rows) for rows in self.train_rows])
        )
        shape = (len(runs), *corpus.target.shape)
        self.consensus = to_device(torch.full(shape, 1 / shape[-1]))
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
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self._train_loss = np.zeros(len(runs))

    @property
    def done(self) -> bool:
        """Whether the budget is spent or no run has improved for `patience` epochs."""
        waited = self.epoch - self.best_epoch
        return self.epoch >= self.training.epochs or bool(np.all(waited > self.training.patience))

    def train_epoch(self) -> None:
        """Visit every training window of every run; runs and corpora with few repeat some."""
        training, self.epoch = self.training, self.epoch + 1
        torch.manual_seed(seed_from("dropout", self.epoch))
        augmentation = Augmentation(
            self.runs,
            self.epoch,
            training.modality_dropout,
            training.noise,
            training.feature_dropout,
        )
        visited = math.ceil(max(map(len, self.train_rows)) / training.batch_size)
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
            loss, opinion = self.module("loss", batch, progress)
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
            target=self.target[index],
            affect=self.device_scaler.affect(self.affect[index]),
            consensus=self.consensus.gather(
                1, index[..., None].expand(-1, -1, self.consensus.shape[-1])
            ),
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
        for run, (fold, seed) in enumerate(self.runs):
            values = (self.epoch, self._train_loss[run], loss[run], accuracy[run])
            self.history.append(dict(zip(HISTORY, (fold, seed, *values), strict=True)))
        better = np.flatnonzero(loss < self.best_loss)
        self.best_loss[better], self.best_epoch[better] = loss[better], self.epoch
        for name, value in self.stack.state_dict().items():
            self.best[name][better] = value[better]

    def _validation(
        self, index: Tensor, kept: Tensor
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        available = self.present[index] * kept
        inputs = self.device_scaler.inputs(self.prepared, index, available)
        reading = self.module("read", (inputs, available))
        affect = self.device_scaler.affect(self.affect[index])
        losses, accuracies = [], []
        for run, rows in enumerate(self.validation_rows):
            own = slice(len(rows))
            target, logits = self.target[index[run, own]], reading.logits[run, own].float()
            mean = reading.affect_mean[run, own].float()
            losses.append(selection_loss(logits, target, mean, affect[run, own]))
            accuracies.append(_balanced_accuracy(logits, target))
        return np.array(losses), np.array(accuracies)

    def fitted(self) -> Fitted:
        """Return the best weights of every run, on the CPU."""
        self.stack.load_state_dict(self.best)
        self.stack.cpu().eval()
        history = pl.DataFrame(self.history, schema_overrides=dict.fromkeys(HISTORY[:3], pl.Int64))
        best = [int(epoch) for epoch in self.best_epoch]
        return Fitted(self.stack, self.scaler, self.runs, best, history.sort(HISTORY[:3]))

    def save(self, folder: Path) -> None:
        """Write the state as tensors and JSON: nothing of it can execute code."""
        tensors = {f"now/{name}": value for name, value in self.stack.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{number}/{key}": value for key, value in state.items()}
        tensors["consensus"] = self.consensus
        plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        write_bytes(folder / "state.safetensors", save(plain))
        write_json(
            folder / "state.json",
            {
                "epoch": self.epoch,
                "best_loss": list(self.best_loss),
                "best_epoch": list(self.best_epoch),
                "history": self.history,
            },
        )

    def resume(self, folder: Path) -> None:
        """Take up the state a checkpoint holds, if there is one."""
        if not (folder / "state.json").is_file():
            return
        told = json.loads((folder / "state.json").read_text())
        tensors = load_file(folder / "state.safetensors")

        def part(prefix: str) -> dict[str, Tensor]:
            size = len(prefix)
            return {name[size:]: v for name, v in tensors.items() if name.startswith(prefix)}

        self.stack.load_state_dict(part("now/"))
        self.best = {name: self.fabric.to_device(v) for name, v in part("best/").items()}
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in part("optimizer/").items():
            number, key = name.split("/")
            state.setdefault(int(number), {})[key] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.consensus = self.fabric.to_device(tensors["consensus"])
        self.epoch = told["epoch"]
        self.best_loss = np.array(told["best_loss"], np.float64)
        self.best_epoch = np.array(told["best_epoch"], np.int64)
        self.history = told["history"]


def selection_loss(logits: Tensor, target: Tensor, mean: Tensor, affect: Tensor) -> float:
    """Return by what epochs are compared: how well they tell windows apart, however boldly.

    Confidence is calibrated after the training, so it must not choose the epoch: the
    cross-entropy is taken at the temperature that suits it best, the affect's error without
    its variance.
    """
    suited = min(float(cross_entropy(logits / t, target)) for t in SELECTION_TEMPERATURES)
    return suited + float(gaussian_nll(mean, torch.zeros_like(mean), affect))


def _disagreement(corpus: Corpus, rows: NDArray[np.int64]) -> float:
    """Return the mean share of the votes the leading class lacks, 0 without several annotators."""
    several = (corpus.index["n_annotators"] > 1).to_numpy()[rows]
    leading = corpus.target[rows][several].max(-1, initial=0.0)
    known = leading[np.isfinite(leading)]
    return float(1 - known.mean()) if len(known) else 0.0


def _balanced_accuracy(logits: Tensor, target: Tensor) -> float:
    known = target.isfinite().all(-1)
    truth, hit = target[known].argmax(-1), logits[known].argmax(-1) == target[known].argmax(-1)
    recalls = [float(hit[truth == k].float().mean()) for k in truth.unique()]
    return float(np.mean(recalls)) if recalls else math.nan


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
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
    kind = registry.find("methods", card["method"])
    params = kind.Params(**card["params"])
    stack = build_stack(
        card["method"], params, training, runs, card["features"], len(card["classes"]), example
    )
    tensors = load_file(folder / "model.safetensors")
    scaler = Scaler.from_tensors(tensors, list(example))
    known = stack.state_dict()
    stack.load_state_dict({name: tensors[name] for name in known})
    return stack.eval(), scaler, runs, card
