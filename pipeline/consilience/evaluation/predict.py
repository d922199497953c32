"""Predictions of trained runs for windows under a test condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilience.core.errors import ConsilienceError
from consilience.core.wording import counted
from consilience.model.stack import Stack
from consilience.model.types import Prediction
from consilience.schema.constants import CLEAN
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Run
from consilience.training.baseline import References, references
from consilience.training.bundle import load_model
from consilience.training.conditioned import Prepared, conditioned_batches
from consilience.training.data import Scaler
from consilience.training.devices import use_cores
from consilience.training.enrolment import without_enrolment
from consilience.training.reference import Reference
from consilience.windows.conditions import Condition
from consilience.windows.store import Corpus


class TrainedModel(Protocol):
    """The runs of a method with their weights; `Fitted` and `LoadedModel` are such."""

    @property
    def stack(self) -> Stack:
        """Weights of all runs."""

    @property
    def scaler(self) -> Scaler:
        """Standardisation of inputs and affect, one per run."""

    @property
    def runs(self) -> Sequence[Run]:
        """Fold and seed of each run, in the order of the stack."""

    @property
    def training(self) -> TrainingParams:
        """Parameters of the training, which determine the baseline."""


class LoadedModel(NamedTuple):
    """A model read from its bundle.

    Attributes
    ----------
    stack : Stack
    scaler : Scaler
    runs : list of Run
    card : dict
        Content of ``card.json``.
    references : mapping of str to Reference
        Summaries of the training's recordings, by modality.
    """

    stack: Stack
    scaler: Scaler
    runs: list[Run]
    card: dict[str, Any]
    references: Mapping[str, Reference] = MappingProxyType({})

    @property
    def training(self) -> TrainingParams:
        """Parameters of the training."""
        return TrainingParams(**self.card["training"])


@dataclass(frozen=True)
class Predictions:
    """Predictions of R runs for the N windows of a corpus under one condition.

    Each array of float32 has shape (R, N, ...). NaN marks windows outside the requested roles of
    a run, and windows to which the condition does not apply. Valence and arousal are in the
    units of the labels; their intervals are the mean plus and minus `affect_half_width`. A
    prediction set has the classes whose `coverage.class_scores` do not exceed `set_threshold`.
    """

    logits: NDArray[np.float32]
    affect_mean: NDArray[np.float32]
    affect_std: NDArray[np.float32]
    affect_half_width: NDArray[np.float32]
    set_threshold: NDArray[np.float32]
    vacuity: NDArray[np.float32]
    reliability: NDArray[np.float32]
    coherence: NDArray[np.float32]


def load_bundle(folder: Path, prepared: Prepared | None = None) -> LoadedModel:
    """Load a trained model, and let torch use the available cores for it.

    Parameters
    ----------
    folder : Path
        Bundle with ``model.safetensors`` and ``card.json``, of a project or exported.
    prepared : mapping, optional
        What `conditioned.load_windows` returned: the windows that it will predict.

    Raises
    ------
    ConsilienceError
        If the model is missing, damaged or of a newer schema, its weights do not match its card, a
        plug-in that it names is unknown, or it was trained for other modalities.
    """
    model = LoadedModel(*load_model(folder))
    if prepared is not None:
        _check_inputs(model.card, prepared, folder)
    use_cores(len(model.runs))
    return model


def _check_inputs(card: Mapping[str, Any], prepared: Prepared, folder: Path) -> None:
    """Raise if windows have other modalities, or inputs of another shape, than a model."""
    expected: dict[str, list[int]] = card["inputs"]
    if list(expected) != list(prepared):
        what = f"trained for {', '.join(expected)}, not {', '.join(prepared)}"
        raise ConsilienceError(what, str(folder), "run 'dvc repro'")
    for name, variants in prepared.items():
        shape = list(variants[CLEAN].shape[1:])
        if shape != expected[name]:
            what = f"trained for {name} of shape {expected[name]}, not {shape}"
            raise ConsilienceError(what, str(folder), "run 'dvc repro'")


def predict(
    models: Sequence[TrainedModel],
    corpus: Corpus,
    prepared: Prepared,
    condition: Condition,
    roles: Sequence[str] = ("test",),
    baselines: Mapping[str, References] | None = None,
) -> Predictions:
    """Predict the windows of each run's subjects that have one of the roles.

    Parameters
    ----------
    models : sequence of TrainedModel
        Their runs are concatenated in this order.
    corpus : Corpus
    prepared : mapping of str to (mapping of str to Tensor)
        What `conditioned.load_windows` returned.
    condition : Condition
    roles : sequence of str
        ``"validation"``, ``"test"`` or both.
    baselines : mapping of str to References, optional
        Reference windows by modality; by default, those of the corpus.

    Raises
    ------
    ConsilienceError
        If a run has no finite prediction for a window.
    """
    by_model = [
        _predict_model(model, corpus, prepared, condition, roles, baselines) for model in models
    ]
    return Predictions(
        **{name: np.concatenate([output[name] for output in by_model]) for name in by_model[0]}
    )


def _predict_model(
    model: TrainedModel,
    corpus: Corpus,
    prepared: Prepared,
    condition: Condition,
    roles: Sequence[str],
    baselines: Mapping[str, References] | None,
) -> dict[str, NDArray[np.float32]]:
    shape = (len(model.runs), len(corpus.index))
    arrays: dict[str, NDArray[np.float32]] = {}
    if baselines is None:
        corpus = without_enrolment(corpus, model.training)
        baselines = references(corpus, model.training)
    for batch in conditioned_batches(
        model.scaler, model.runs, corpus, prepared, baselines, condition, roles
    ):
        with torch.no_grad():
            prediction = model.stack("predict", (batch.inputs, batch.available))
            thresholds = model.stack("thresholds", batch.available)
        _check_predicted(prediction.logits, batch.counted, model.runs)
        # Runs have different numbers of windows; padding rows must not overwrite real ones.
        is_tested = batch.counted.numpy()
        where = (np.nonzero(is_tested)[0], batch.rows.numpy()[is_tested])
        for name, values in _in_label_units(prediction, thresholds, model.scaler).items():
            array = arrays.setdefault(
                name, np.full(shape + values.shape[2:], np.nan, dtype=np.float32)
            )
            array[where] = values.float().numpy()[is_tested]
    return arrays


def _check_predicted(logits: Tensor, is_tested: Tensor, runs: Sequence[Run]) -> None:
    """Raise if a run has no prediction for a window: the scores would leave the window out."""
    lacking = is_tested & logits.softmax(-1).isnan().any(-1)
    if lacking.any():
        run = runs[int(lacking.any(1).nonzero()[0])]
        raise ConsilienceError(
            f"no finite prediction for {counted(int(lacking.sum()), 'window')}",
            f"model of fold {run.fold}, seed {run.seed}",
            "its weights are invalid: train the method again, 'dvc repro -f train@METHOD'",
        )


def _in_label_units(
    prediction: Prediction, thresholds: Tensor, scaler: Scaler
) -> dict[str, Tensor]:
    """Return the outputs by name, with affect scaled back from standardised values."""
    # The model predicts a log variance: half of it is the log of the standard deviation.
    affect_std = torch.exp(prediction.affect_log_variance / 2) * scaler.affect_std
    return {
        "logits": prediction.logits,
        "affect_mean": prediction.affect_mean * scaler.affect_std + scaler.affect_mean,
        "affect_std": affect_std,
        "affect_half_width": thresholds[..., 1:] * affect_std,
        "set_threshold": thresholds[..., 0],
        "vacuity": prediction.vacuity,
        "reliability": prediction.reliability,
        "coherence": prediction.coherence,
    }
