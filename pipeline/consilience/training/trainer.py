"""Trainer of a share of the runs: epochs, validation, state.

All runs of the share are trained together as one `Stack`. Every random draw of a run depends on
its fold, seed and epoch alone, so the result does not depend on which runs share a process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilience.core.seeds import generator
from consilience.model.stack import Stack
from consilience.model.types import Batch
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Augmentation, Run
from consilience.training.checkpoint import with_prefix
from consilience.training.data import Scaler, fit_scaler, prepare
from consilience.training.label_reliability import estimate_labels
from consilience.training.networks import encoders_for
from consilience.training.selection import balanced_accuracy, selection_loss
from consilience.windows.store import Corpus

CONSENSUS_MEMORY = 0.8  # share of the old consensus kept at every visit of a window

# Class probabilities (N, K) and affect (N, 2) of a run, float32.
LabelSource = Callable[[Run], tuple[NDArray[np.float32], NDArray[np.float32]]]


class RunData:
    """Windows, labels and standardisation of some runs, on the device of their process.

    Parameters
    ----------
    fabric : Fabric
    runs : list of Run
    corpus : Corpus
    training : TrainingParams
    labels : callable
        As in `consilience.training.fit.fit`.
    cross_fitted : bool
        Whether to compute label estimates; see `Method.cross_fitted`.

    Attributes
    ----------
    train_rows, validation_rows : list of ndarray
        Positions of each run's windows.
    longest : int
        Training windows of the fold with most of them.
    scaler : Scaler
        On the CPU.
    target : Tensor, shape (R, N, K)
    affect : Tensor, shape (R, N, A)
        In the units of the labels.
    present : Tensor of float, shape (N, M)
    some_unlabelled : bool
        Whether a training window of any run is unlabelled.
    """

    def __init__(
        self,
        fabric: Any,
        runs: list[Run],
        corpus: Corpus,
        training: TrainingParams,
        labels: LabelSource,
        cross_fitted: bool,
    ) -> None:
        to_device = fabric.to_device
        self.train_rows = [corpus.members(run.fold, "train") for run in runs]
        self.validation_rows = [corpus.members(run.fold, "validation") for run in runs]
        # Over all folds and not this share's: the steps of a run must not depend on other runs.
        self.longest = max(len(corpus.members(fold, "train")) for fold in corpus.folds)
        encoders = encoders_for(corpus.features, corpus.encodings, training.width, training.dropout)
        prepared = {name: prepare(corpus, encoders, name) for name in corpus.modalities}
        labels_of_runs = [labels(run) for run in runs]
        target = np.stack([classes for classes, _ in labels_of_runs])
        affect = np.stack([values for _, values in labels_of_runs])
        self.scaler = fit_scaler(corpus, prepared, self.train_rows, affect)
        self._prepared = {name: to_device(values) for name, values in prepared.items()}
        self._device_scaler = Scaler.from_tensors(
            {name: to_device(value) for name, value in self.scaler.tensors().items()},
            tuple(prepared),
        )
        self.present = to_device(torch.from_numpy(corpus.available).float())
        self.target = to_device(torch.from_numpy(target))
        self.affect = to_device(torch.from_numpy(affect))
        self.some_unlabelled = any(
            not np.isfinite(values[rows]).all()
            for values, rows in zip(target, self.train_rows, strict=True)
        )
        disagreements = [
            disagreement(corpus, values, rows)
            for values, rows in zip(target, self.train_rows, strict=True)
        ]
        self._disagreement = to_device(torch.tensor(disagreements))
        estimate, reliability = self._label_estimates(corpus, prepared, target, cross_fitted)
        self._label_estimate, self._label_reliability = to_device(estimate), to_device(reliability)

    def _label_estimates(
        self,
        corpus: Corpus,
        prepared: Mapping[str, Tensor],
        target: NDArray[np.float32],
        cross_fitted: bool,
    ) -> tuple[Tensor, Tensor]:
        if not cross_fitted:
            return torch.full(target.shape, torch.nan), torch.ones(len(target))
        subject = corpus.index["subject"].to_numpy()
        return estimate_labels(prepared, corpus.available, list(target), subject, self.train_rows)

    def inputs(self, index: Tensor, available: Tensor) -> dict[str, Tensor]:
        """Return standardised windows (R, B, ...) at positions (R, B), 0 where not available."""
        inputs: dict[str, Tensor] = self._device_scaler.inputs(self._prepared, index, available)
        return inputs

    def scaled_affect(self, index: Tensor) -> Tensor:
        """Return standardised valence and arousal (R, B, A) at positions (R, B)."""
        return self._device_scaler.affect(take_rows(self.affect, index))

    def batch(self, index: Tensor, augmentation: Augmentation, consensus: Tensor) -> Batch:
        """Return the augmented training windows at positions (R, B).

        Parameters
        ----------
        index : Tensor of int64, shape (R, B)
        augmentation : Augmentation
        consensus : Tensor, shape (R, N, K)
        """
        present = self.present[index]
        clean = self.inputs(index, present)
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
            target=take_rows(self.target, index),
            affect=self.scaled_affect(index),
            consensus=take_rows(consensus, index),
            label_estimate=take_rows(self._label_estimate, index),
            label_reliability=self._label_reliability,
            disagreement=self._disagreement,
        )


class Trainer:
    """Training state of a share of the runs: weights, best weights, optimiser, consensus, history.

    Parameters
    ----------
    fabric : Fabric
    stack : Stack
        Untrained networks, one per run.
    runs : list of Run
    data : RunData
    training : TrainingParams

    Attributes
    ----------
    epoch : int
        Epochs completed.
    """

    def __init__(
        self,
        fabric: Any,
        stack: Stack,
        runs: list[Run],
        data: RunData,
        training: TrainingParams,
    ) -> None:
        self.fabric, self.runs, self.training, self.stack = fabric, runs, training, stack
        self.data = data
        # One loss for all processes: a run's loss must not depend on its share either.
        unlabelled = fabric.to_device(torch.tensor(float(data.some_unlabelled)))
        anywhere = fabric.all_reduce(unlabelled, reduce_op="sum")
        self.loss = "semi_supervised_loss" if anywhere else "loss"
        n_classes = data.target.shape[-1]
        self.consensus = fabric.to_device(torch.full(data.target.shape, 1 / n_classes))
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
        improving = np.sum(self.epoch - self.best_epoch <= self.training.patience)
        improving_anywhere = self.fabric.all_reduce(
            self.fabric.to_device(torch.tensor(float(improving))), reduce_op="sum"
        )
        return not improving_anywhere

    def train_epoch(self) -> None:
        """Visit every training window of every run; runs with fewer windows repeat some."""
        training, self.epoch = self.training, self.epoch + 1
        self.stack.generators = [generator("dropout", *run, self.epoch) for run in self.runs]
        augmentation = Augmentation(
            self.runs,
            self.epoch,
            training.modality_dropout,
            training.noise,
            training.feature_dropout,
        )
        steps = max(math.ceil(self.data.longest / training.batch_size), training.epoch_steps)
        order = self.fabric.to_device(
            augmentation.order(self.data.train_rows, steps * training.batch_size)
        )
        self.module.train()
        losses = []
        for step, index in enumerate(order.split(training.batch_size, dim=1)):
            progress = (self.epoch - 1 + step / steps) / training.epochs
            losses.append(self._step(index, augmentation, progress))
        self._train_loss = torch.stack(losses).mean(0).cpu().double().numpy()

    def _step(self, index: Tensor, augmentation: Augmentation, progress: float) -> Tensor:
        """Take one optimiser step; return the losses (R,)."""
        for group in self.optimizer.param_groups:  # cosine annealing to 0 over all epochs
            group["lr"] = self.training.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
        batch = self.data.batch(index, augmentation, self.consensus)
        loss, probability = self.module(self.loss, batch, progress)
        self.optimizer.zero_grad()
        # The runs share no weight, so the gradient of the sum is each run's own gradient.
        self.fabric.backward(loss.sum())
        self.optimizer.step()
        self._update_consensus(index, probability)
        detached: Tensor = loss.detach()
        return detached

    def _update_consensus(self, index: Tensor, probability: Tensor) -> None:
        """Update the moving average of predictions (Laine and Aila 2017, temporal ensembling)."""
        where = index[..., None].expand_as(probability)
        old = self.consensus.gather(1, where)
        new = CONSENSUS_MEMORY * old + (1 - CONSENSUS_MEMORY) * probability.float()
        self.consensus.scatter_(1, where, new)

    @torch.no_grad()
    def validate(self) -> None:
        """Score each run on its validation subjects and keep the weights of its best epoch.

        The score is the mean `selection_loss` with all modalities and with each one alone, so
        that no epoch is selected for complete windows only.
        """
        self.module.eval()
        size = max(map(len, self.data.validation_rows))
        rows = np.stack([np.resize(of_run, size) for of_run in self.data.validation_rows])
        index = self.fabric.to_device(torch.from_numpy(rows))
        n_modalities = self.data.present.shape[1]
        masks = [torch.ones(n_modalities), *torch.eye(n_modalities)]
        scores = [self._validation_scores(index, self.fabric.to_device(mask)) for mask in masks]
        loss = np.mean([loss for loss, _ in scores], axis=0)
        accuracy = scores[0][1]
        self.history.append(np.stack([self._train_loss, loss, accuracy], axis=1))
        better = np.flatnonzero(loss < self.best_loss)
        self.best_loss[better], self.best_epoch[better] = loss[better], self.epoch
        for name, value in self.stack.state_dict().items():
            self.best[name][better] = value[better]

    def _validation_scores(
        self, index: Tensor, mask: Tensor
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute selection loss (R,) and balanced accuracy (R,) with some of the modalities."""
        available = self.data.present[index] * mask
        prediction = self.module("predict", (self.data.inputs(index, available), available))
        affect = self.data.scaled_affect(index)
        losses, accuracies = [], []
        for run, rows in enumerate(self.data.validation_rows):
            valid = slice(len(rows))  # without the repeated windows
            target = self.data.target[run, index[run, valid]]
            logits = prediction.logits[run, valid].float()
            mean = prediction.affect_mean[run, valid].float()
            losses.append(selection_loss(logits, target, mean, affect[run, valid]))
            accuracies.append(balanced_accuracy(logits, target))
        return np.array(losses), np.array(accuracies)

    def state(self) -> dict[str, Tensor]:
        """Return the complete state, each tensor with the runs along its first axis."""
        n_runs = len(self.runs)
        tensors = {f"now/{name}": value for name, value in self.stack.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        tensors |= {f"scaler/{name}": value for name, value in self.data.scaler.tensors().items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            for key, value in state.items():  # the step is one number for all runs
                of_runs = value if value.ndim else value.expand(n_runs)
                tensors[f"optimizer/{number}/{key}"] = of_runs
        tensors["consensus"] = self.consensus
        tensors["best_loss"] = torch.from_numpy(self.best_loss)
        tensors["best_epoch"] = torch.from_numpy(self.best_epoch)
        tensors["history"] = torch.from_numpy(np.stack(self.history, axis=1))
        return tensors

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from a state as `state` returned it.

        Random draws have no state: they depend on fold, seed and epoch.
        """
        self.stack.load_state_dict(with_prefix(tensors, "now/"))
        self.best = {
            name: self.fabric.to_device(value)
            for name, value in with_prefix(tensors, "best/").items()
        }
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in with_prefix(tensors, "optimizer/").items():
            number, key = name.split("/")
            state.setdefault(int(number), {})[key] = value[0] if key == "step" else value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.consensus = self.fabric.to_device(tensors["consensus"])
        self.best_loss = tensors["best_loss"].numpy()
        self.best_epoch = tensors["best_epoch"].numpy()
        self.history = list(tensors["history"].numpy().swapaxes(0, 1))
        self.epoch = len(self.history)


def take_rows(values: Tensor, index: Tensor) -> Tensor:
    """Return each run's values (R, N, ...) at its positions (R, B)."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))


def disagreement(corpus: Corpus, target: NDArray[np.float32], rows: NDArray[np.int64]) -> float:
    """Compute the mean share of the annotators' votes outside the leading class.

    Parameters
    ----------
    corpus : Corpus
    target : ndarray, shape (N, K)
    rows : ndarray of int
        Positions of the windows to average over.

    Returns
    -------
    float
        0 without a window that has several annotators.
    """
    several = (corpus.index["n_annotators"] > 1).to_numpy()[rows]
    leading = target[rows][several].max(-1, initial=0.0)
    labelled = leading[np.isfinite(leading)]
    return float(1 - labelled.mean()) if len(labelled) else 0.0
