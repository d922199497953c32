"""Trainer of a share of the runs: epochs, validation, state.

All runs of the share are trained together as one `Stack`, which a run leaves when it has not
improved for `patience` epochs. Every random draw of a run depends on its fold, seed and epoch
alone, so the result does not depend on which runs share a process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilience.core.errors import ConsilienceError
from consilience.core.scratch import release
from consilience.model import draws
from consilience.model.stack import Stack
from consilience.model.types import Batch
from consilience.schema.params.plugins import MethodParams, TransferParams
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Augmentation, Run, balanced
from consilience.training.baseline import complete_references, references
from consilience.training.checkpoint import with_prefix
from consilience.training.data import Rows, Scaler, fit_scaler
from consilience.training.label_reliability import estimate_labels
from consilience.training.selection import SelectionSums, selection_sums
from consilience.training.soft_targets import Windows, targets_of_runs
from consilience.windows.conditions import DESYNC, kinds
from consilience.windows.layout import recording_names
from consilience.windows.store import Corpus

CONSENSUS_MEMORY = 0.8  # share of the old consensus kept at every visit of a window
VALIDATED = 512  # windows of a run predicted at a time in the validation: bounds memory

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
    params : MethodParams
        Of the method. Labels are estimated for `TransferParams`.
    roles : sequence of str
        Of the subjects to train on.

    Attributes
    ----------
    train_rows, drawn_rows, validation_rows : list of ndarray
        Positions of each run's windows.
    longest : int
        Training windows of the fold with most of them.
    scaler : Scaler
        On the CPU.
    target : Tensor, shape (R, N, K)
    affect : Tensor, shape (R, N, A)
        In the units of the labels.
    present : Tensor of float, shape (N, M)
    active : Tensor of int64, shape (R',)
        Positions of the runs that batches are made for; all of them at first.
    """

    def __init__(
        self,
        fabric: Any,
        runs: list[Run],
        corpus: Corpus,
        training: TrainingParams,
        labels: LabelSource,
        params: MethodParams,
        roles: Sequence[str] = ("train",),
    ) -> None:
        to_device = fabric.to_device
        self.train_rows = [corpus.members(run.fold, *roles) for run in runs]
        self.validation_rows = [corpus.members(run.fold, "validation") for run in runs]
        # Over all folds and not this share's: the steps of a run must not depend on other runs.
        self.longest = max(len(corpus.members(fold, *roles)) for fold in corpus.folds)
        self._arrays = [corpus.windows(name) for name in corpus.modalities]
        prepared = dict(zip(corpus.modalities, map(torch.from_numpy, self._arrays), strict=True))
        labels_of_runs = [labels(run) for run in runs]
        target = np.stack([classes for classes, _ in labels_of_runs])
        self.drawn_rows = self.train_rows
        if training.balance_classes:
            self.drawn_rows = [
                balanced(rows, values) for rows, values in zip(self.train_rows, target, strict=True)
            ]
        affect = np.stack([values for _, values in labels_of_runs])
        baselines = references(corpus, training)
        self.scaler = fit_scaler(corpus, prepared, self.train_rows, affect, baselines, training)
        self._prepared = {name: to_device(values) for name, values in prepared.items()}
        self._corrupted_share = training.corrupted
        self._variants = {
            name: to_device(torch.from_numpy(np.stack([corpus.windows(name, v) for v in names])))
            for name, names in training_variants(corpus, training).items()
            if names
        }
        self._references = {
            name: of_modality.mapped(to_device) for name, of_modality in baselines.items()
        }
        self._device_scaler = Scaler.from_tensors(
            {name: to_device(value) for name, value in self.scaler.tensors().items()},
            tuple(prepared),
        )
        self.present = to_device(torch.from_numpy(corpus.available).float())
        self.target = to_device(torch.from_numpy(target))
        self.affect = to_device(torch.from_numpy(affect))
        self.active = to_device(torch.arange(len(runs)))
        disagreements = [
            disagreement(corpus, values, rows)
            for values, rows in zip(target, self.train_rows, strict=True)
        ]
        self._disagreement = to_device(torch.tensor(disagreements))
        ones = torch.ones(len(runs), *corpus.available.shape)
        estimates = torch.full(target.shape, torch.nan), ones, ones[:, 0, 0]
        if isinstance(params, TransferParams):
            complete = complete_references(corpus, training)
            inputs_of = partial(self.scaler.centred, prepared=prepared, references=complete)
            estimates = self._label_estimates(corpus, inputs_of, target, params)
        estimate, self._sensor_weight, reliability = map(to_device, estimates)
        self._label_estimate, self._label_reliability = estimate, reliability

    def _label_estimates(
        self,
        corpus: Corpus,
        inputs_of: Callable[[int], Mapping[str, Rows]],
        target: NDArray[np.float32],
        params: TransferParams,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return label estimates (R, N, K), sensor weights (R, N, M), labels' reliability (R,)."""
        subject, targets = corpus.index["subject"].to_numpy(), list(target)
        estimate, reliability = estimate_labels(
            inputs_of, corpus.available, targets, subject, self.train_rows
        )
        if not params.transfer:
            return estimate, torch.ones(len(target), *corpus.available.shape), reliability
        windows = Windows(corpus.available, subject, recording_names(corpus.index))
        soft, sensor_weight = targets_of_runs(inputs_of, windows, targets, self.drawn_rows, params)
        labelled = torch.from_numpy(np.isfinite(target).all(-1, keepdims=True))
        return torch.where(labelled, estimate, soft), sensor_weight, reliability

    def inputs(self, index: Tensor, available: Tensor) -> dict[str, Tensor]:
        """Return standardised windows (R', B, ...) at positions (R', B), 0 where not available."""
        scaler = self._device_scaler.of_runs(self.active)
        inputs: dict[str, Tensor] = scaler.inputs(
            self._prepared, index, available, self._references
        )
        release(*self._arrays)  # large ones are in a file, whose pages in use would count as memory
        return inputs

    def scaled_affect(self, index: Tensor) -> Tensor:
        """Return standardised valence and arousal (R', B, A) at positions (R', B)."""
        scaler = self._device_scaler.of_runs(self.active)
        return scaler.affect(take_rows(self.affect, self.active, index))

    def batch(self, index: Tensor, augmentation: Augmentation, consensus: Tensor) -> Batch:
        """Return the augmented training windows at positions (R', B).

        Parameters
        ----------
        index : Tensor of int64, shape (R', B)
        augmentation : Augmentation
        consensus : Tensor, shape (R, N, K)
        """
        present = self.present[index]
        clean = self.inputs(index, present)
        available = augmentation.available(present)
        recorded = self._with_variants(clean, index, present, augmentation)
        inputs = {
            name: augmentation.corrupt(values, available[..., position])
            for position, (name, values) in enumerate(recorded.items())
        }
        return Batch(
            inputs=inputs,
            available=available,
            clean=clean,
            present=present,
            target=take_rows(self.target, self.active, index),
            affect=self.scaled_affect(index),
            consensus=take_rows(consensus, self.active, index),
            label_estimate=take_rows(self._label_estimate, self.active, index),
            sensor_weight=take_rows(self._sensor_weight, self.active, index),
            label_reliability=self._label_reliability[self.active],
            disagreement=self._disagreement[self.active],
        )

    def _with_variants(
        self,
        clean: Mapping[str, Tensor],
        index: Tensor,
        present: Tensor,
        augmentation: Augmentation,
    ) -> dict[str, Tensor]:
        """Replace a share of each modality's windows (R', B, ...) by corrupted ones.

        They are taken relative to the clean references, as after a fault in use.
        """
        recorded = dict(clean)
        scaler = self._device_scaler.of_runs(self.active)
        for name, variants in self._variants.items():
            variant = augmentation.variant(index.shape[1:], self._corrupted_share, len(variants))
            flat = {name: variants.flatten(0, 1)}
            place = variant.clamp(min=0) * variants.shape[1] + index
            has = present[..., [list(clean).index(name)]]
            corrupted = scaler.inputs(flat, place, has, self._references, index)[name]
            chosen = (variant >= 0).reshape(index.shape + (1,) * (corrupted.ndim - 2))
            recorded[name] = torch.where(chosen, corrupted, clean[name])
        return recorded


class Trainer:
    """Training state of a share of the runs: weights, best weights, optimiser, consensus, history.

    Parameters
    ----------
    fabric : Fabric or OneProcess
    stack : Stack
        Untrained networks, one per run.
    runs : list of Run
    data : RunData
    training : TrainingParams
    epochs : sequence of int, optional
        After which each run ends, without validation; by default, the validation decides.

    Attributes
    ----------
    epoch : int
        Epochs completed.
    last_epoch : ndarray of int, shape (R,)
        The last epoch that each run was trained for.
    """

    def __init__(
        self,
        fabric: Any,
        stack: Stack,
        runs: list[Run],
        data: RunData,
        training: TrainingParams,
        epochs: Sequence[int] | None = None,
    ) -> None:
        self.fabric, self.runs, self.training, self.stack = fabric, runs, training, stack
        self.data = data
        self.epochs = None if epochs is None else np.array(epochs)
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
        self.last_epoch = np.zeros(len(runs), np.int64)
        self.history: list[NDArray[np.float64]] = []  # an epoch's values, shape (R, 3)
        self.epoch = 0
        self._active = np.arange(len(runs))
        self._train_loss = np.zeros(len(runs))

    def done(self) -> bool:
        """Whether the budget is spent or no run of any process improved for `patience` epochs."""
        if self.epoch >= self.training.epochs:
            return True
        active = self.fabric.to_device(torch.tensor(float(len(self._active))))
        return not self.fabric.all_reduce(active, reduce_op="sum")

    def train_epoch(self) -> None:
        """Visit every training window of every run; runs with fewer windows repeat some."""
        training, self.epoch = self.training, self.epoch + 1
        if not len(self._active):  # runs of another process are still trained
            return
        runs = [self.runs[run] for run in self._active]
        device = self.consensus.device
        names = [(*run, self.epoch) for run in runs]
        self.stack.generators = draws.generators("dropout", names, device)
        augmentation = Augmentation(
            runs,
            self.epoch,
            training.modality_dropout,
            training.noise,
            training.feature_dropout,
            device,
        )
        steps = max(math.ceil(self.data.longest / training.batch_size), training.epoch_steps)
        rows = [self.data.drawn_rows[run] for run in self._active]
        order = self.fabric.to_device(augmentation.order(rows, steps * training.batch_size))
        self.module.train()
        losses = []
        for step, index in enumerate(order.split(training.batch_size, dim=1)):
            progress = (self.epoch - 1 + step / steps) / training.epochs
            losses.append(self._step(index, augmentation, progress))
        self._train_loss = torch.stack(losses).mean(0).cpu().double().numpy()

    def _step(self, index: Tensor, augmentation: Augmentation, progress: float) -> Tensor:
        """Take one optimiser step; return the losses (R',)."""
        for group in self.optimizer.param_groups:  # cosine annealing to 0 over all epochs
            group["lr"] = self.training.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
        batch = self.data.batch(index, augmentation, self.consensus)
        loss, probability = self.module("loss", batch, progress)
        self.optimizer.zero_grad()
        # The runs share no weight, so the gradient of the sum is each run's own gradient.
        self.fabric.backward(loss.sum())
        self.optimizer.step()
        self._update_consensus(index, probability)
        detached: Tensor = loss.detach()
        return detached

    def _update_consensus(self, index: Tensor, probability: Tensor) -> None:
        """Update the moving average of predictions (Laine and Aila 2017, temporal ensembling)."""
        flat = self.consensus.flatten(0, 1)  # a view
        where = flat_rows(self.consensus, self.data.active, index)
        # A run with few windows may repeat some within a batch: the last prediction counts.
        flat[where] = CONSENSUS_MEMORY * flat[where] + (1 - CONSENSUS_MEMORY) * probability.float()

    @torch.no_grad()
    def validate(self) -> None:
        """Score each run on its validation subjects and keep the weights of its best epoch.

        The score is the mean selection loss with all modalities and with each one alone, so that
        no epoch is selected for complete windows only. Runs that have not improved for `patience`
        epochs leave the stack.
        """
        history = np.zeros((len(self.runs), 3))
        self.history.append(history)
        if not len(self._active):
            return
        active = self._active
        self.last_epoch[active] = self.epoch
        loss, accuracy = self._validation_scores()
        history[active] = np.stack([self._train_loss, loss, accuracy], axis=1)
        better = np.arange(len(active))
        if self.epochs is None:
            better = np.flatnonzero(loss < self.best_loss[active])
        runs = active[better]
        self.best_loss[runs], self.best_epoch[runs] = loss[better], self.epoch
        for name, value in self.stack.state_dict().items():
            self.best[name][runs] = value[better]
        self._keep(np.flatnonzero(self._unfinished()[active]))

    def _unfinished(self) -> NDArray[np.bool_]:
        """Return which runs train on after this epoch, (R,)."""
        if self.epochs is not None:
            return self.epoch < self.epochs
        return self.epoch - self.best_epoch <= self.training.patience

    def _validation_scores(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return selection loss and balanced accuracy (R',); 0 and NaN without a validation."""
        if self.epochs is not None:
            return np.zeros(len(self._active)), np.full(len(self._active), np.nan)
        self.module.eval()
        sums = self._validation_sums()
        loss = sums.loss().mean(0).double().cpu().numpy()
        return loss, sums.balanced_accuracy()[0].double().cpu().numpy()

    def _validation_sums(self) -> SelectionSums:
        """Return sums (Q, R', ...) over the validation windows of every active run.

        The Q sets of modalities are all of them, and each one alone.
        """
        rows = [self.data.validation_rows[run] for run in self._active]
        size = max(map(len, rows))
        index = np.stack([np.resize(of_run, size) for of_run in rows])
        counted = np.arange(size) < np.array([[len(of_run)] for of_run in rows])
        n_modalities = self.data.present.shape[1]
        masks = torch.cat([torch.ones(1, n_modalities), torch.eye(n_modalities)])
        step = max(VALIDATED // len(masks), 1)
        total: SelectionSums | None = None
        for start in range(0, size, step):
            batch = slice(start, start + step)
            sums = self._sums(
                self.fabric.to_device(torch.from_numpy(index[:, batch])),
                self.fabric.to_device(torch.from_numpy(counted[:, batch])),
                self.fabric.to_device(masks),
            )
            total = sums if total is None else total.plus(sums)
        assert total is not None  # a fold without validation windows is refused earlier
        return total

    def _sums(self, index: Tensor, counted: Tensor, masks: Tensor) -> SelectionSums:
        """Return the sums (Q, R', ...) over windows (R', B), with each set of modalities (Q, M)."""
        n_runs, n_windows = index.shape
        present = self.data.present[index]
        available = (present[:, None] * masks[:, None]).flatten(1, 2)
        # All sets in one call, which encodes each window once.
        prediction = self.module("predict", (self.data.inputs(index, present), available))

        def by_set(values: Tensor) -> Tensor:
            return values.float().reshape(n_runs, len(masks), n_windows, -1).transpose(0, 1)

        return selection_sums(
            by_set(prediction.logits),
            take_rows(self.data.target, self.data.active, index).expand(len(masks), -1, -1, -1),
            by_set(prediction.affect_mean),
            self.data.scaled_affect(index).expand(len(masks), -1, -1, -1),
            counted.expand(len(masks), -1, -1),
        )

    def _keep(self, places: NDArray[np.int64]) -> None:
        """Continue with the active runs at some places only."""
        if len(places) == len(self._active):
            return
        self._active = self._active[places]
        self.data.active = self.fabric.to_device(torch.from_numpy(self._active))
        if not len(places):
            return
        self.stack.keep(places.tolist())
        for state in self.optimizer.state.values():
            for key, value in state.items():
                if value.ndim:  # the step is one number for all runs
                    state[key] = value[places]

    def state(self) -> dict[str, Tensor]:
        """Return the complete state, each tensor with the runs along its first axis.

        Runs that have left the stack have their best weights, and zeros for the optimiser.
        """
        n_runs = len(self.runs)
        tensors = {f"best/{name}": value for name, value in self.best.items()}
        for name, value in self.stack.state_dict().items():
            tensors[f"now/{name}"] = self.best[name].clone()
            tensors[f"now/{name}"][self._active] = value[: len(self._active)]
        for number, state in self.optimizer.state_dict()["state"].items():
            for key, value in state.items():  # the step is one number for all runs
                of_runs = value.new_zeros(n_runs, *value.shape[1:])
                of_runs[self._active] = value[: len(self._active)] if value.ndim else value
                tensors[f"optimizer/{number}/{key}"] = of_runs
        tensors |= {f"scaler/{name}": value for name, value in self.data.scaler.tensors().items()}
        tensors["consensus"] = self.consensus
        tensors["best_loss"] = torch.from_numpy(self.best_loss)
        tensors["best_epoch"] = torch.from_numpy(self.best_epoch)
        tensors["last_epoch"] = torch.from_numpy(self.last_epoch)
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
            state.setdefault(int(number), {})[key] = value.amax() if key == "step" else value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.consensus = self.fabric.to_device(tensors["consensus"])
        self.best_loss = tensors["best_loss"].numpy()
        self.best_epoch = tensors["best_epoch"].numpy()
        self.last_epoch = tensors["last_epoch"].numpy()
        self.history = list(tensors["history"].numpy().swapaxes(0, 1))
        self.epoch = len(self.history)
        self._keep(np.flatnonzero(self._unfinished()))


def training_variants(corpus: Corpus, training: TrainingParams) -> dict[str, list[str]]:
    """Return the names of the corrupted variants that a training uses, by modality.

    Raises
    ------
    ConsilienceError
        If a kind that is held out does not exist.
    """
    of_modality = {name: kinds(corpus, name) for name in corpus.modalities}
    available = sorted({kind for of in of_modality.values() for kind in of} - {DESYNC})
    for kind in training.held_out:
        if kind not in available:
            raise ConsilienceError(
                f"no corruption of kind '{kind}' to hold out",
                "params.yaml: training.held_out",
                f"there are {', '.join(available) or 'none'}: see modalities",
            )
    if not training.corrupted:
        return {}
    return {
        name: [
            f"{kind}_{severity}"
            for kind, severities in of.items()
            if kind != DESYNC and kind not in training.held_out
            for severity in severities
        ]
        for name, of in of_modality.items()
    }


def flat_rows(values: Tensor, runs: Tensor, index: Tensor) -> Tensor:
    """Return the rows of values (R, N, ...), runs and windows flattened, at positions (R', B)."""
    return runs[:, None] * values.shape[1] + index


def take_rows(values: Tensor, runs: Tensor, index: Tensor) -> Tensor:
    """Return the values (R, N, ...) of some runs (R',) at their positions (R', B)."""
    return values.flatten(0, 1)[flat_rows(values, runs, index)]


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
