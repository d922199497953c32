"""Evidence about the windows of a project, from networks that were trained on other people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from consilience.core.seeds import seed_from
from consilience.evaluation.predict import LoadedModel, Predictions, load_bundle, predict
from consilience.evaluation.scorer import as_one_model
from consilience.evaluation.tables import sharpness_of_sensors, training_frequencies
from consilience.query.evidence import Array, QueryEvidence
from consilience.training.augmentation import Run
from consilience.training.conditioned import Prepared, load_windows
from consilience.training.probes import flat_inputs
from consilience.training.recording_coherence import sharpened
from consilience.windows.conditions import SUBSET, Condition
from consilience.windows.store import Corpus

DRAWS = 8  # predictions with dropout, where a single seed was trained
MAX_INPUT = 10.0  # standard deviations; limits the influence of outliers
COMPONENTS = 16  # of the latent space
WIDEST = 2048  # numbers of one sensor's input in the latent space


def project_evidence(corpus: Corpus, bundle: Path) -> QueryEvidence:
    """Predict every window by the runs whose fold tests its person.

    Parameters
    ----------
    corpus : Corpus
    bundle : Path
        Folder of the trained method.

    Raises
    ------
    ConsilienceError
        If the model is missing or does not match the windows.
    """
    full = Condition(SUBSET, corpus.modalities)
    prepared = load_windows(corpus, [full])
    model = load_bundle(bundle, prepared)
    predictions = predict([model], corpus, prepared, full)
    pooled = as_one_model(predictions)
    prior = training_frequencies(corpus, model.training)
    return QueryEvidence(
        probability=_by_seed(model, corpus, prepared, predictions),
        sensors=_sensors(model, corpus, prepared, prior),
        reliability=pooled.reliability[0],
        available=corpus.available,
        vacuity=pooled.vacuity[0],
        latent=latent_space(
            {name: latent_inputs(corpus.windows(name)) for name in corpus.modalities},
            corpus.available,
            corpus.index["subject"].to_numpy(),
        ),
        target=corpus.target.astype(np.float64),
        prior=prior,
    )


def _sensors(model: LoadedModel, corpus: Corpus, prepared: Prepared, prior: Array) -> Array:
    """Return the calibrated class probabilities (N, M, K) by each sensor alone."""
    alone = {
        name: as_one_model(
            predict([model], corpus, prepared, Condition(SUBSET, (name,)))
        ).probability[0]
        for name in corpus.modalities
    }
    sharpness = sharpness_of_sensors(alone, prior, corpus)
    return np.stack([sharpened(alone[name], sharpness[name]) for name in corpus.modalities], 1)


def _by_seed(
    model: LoadedModel, corpus: Corpus, prepared: Prepared, predictions: Predictions
) -> Array:
    """Return class probabilities (Z, N, K), one for each seed.

    With a single seed, of several predictions with dropout (Gal and Ghahramani 2016).
    """
    if len({run.seed for run in model.runs}) > 1:
        return seed_means(predictions.logits, model.runs)
    model.stack.train()
    full = Condition(SUBSET, corpus.modalities)
    drawn = []
    for draw in range(DRAWS):
        for number, generator in enumerate(model.stack.generators):
            generator.manual_seed(seed_from("query dropout", draw, number))
        logits = predict([model], corpus, prepared, full).logits
        drawn.append(seed_means(logits, model.runs)[0])
    model.stack.eval()
    return np.stack(drawn)


def seed_means(logits: NDArray[np.float32], runs: Sequence[Run]) -> Array:
    """Average the probabilities of each seed's runs that predict a window.

    Parameters
    ----------
    logits : ndarray, shape (R, N, K)
        NaN where a run does not predict.
    runs : sequence of Run

    Returns
    -------
    ndarray, shape (Z, N, K)
        NaN where no run predicts.
    """
    probability = softmax(logits.astype(np.float64), -1)
    seeds = np.array([run.seed for run in runs])
    averages = []
    for seed in np.unique(seeds):
        of_seed = probability[seeds == seed]
        finite = np.isfinite(of_seed)
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: not predicted
            averages.append(np.where(finite, of_seed, 0.0).sum(0) / finite.sum(0))
    return np.stack(averages)


def latent_inputs(values: NDArray[np.float32]) -> Array:
    """Return windows (N, ...) as rows (N, F) of at most `WIDEST` numbers."""
    return np.asarray(flat_inputs(torch.from_numpy(values))[:, :WIDEST].double())


def latent_space(
    inputs: Mapping[str, Array],
    available: NDArray[np.bool_],
    subject: NDArray[np.generic],
    components: int = COMPONENTS,
) -> Array:
    """Place all windows in one space: principal components of the sensors' inputs.

    Encodings of networks that were trained on different people are not comparable. The components
    use no label, so that they can be of all people. Each person's mean is subtracted, and each
    sensor has the same weight.

    Parameters
    ----------
    inputs : mapping of str to ndarray, shape (N, F)
        By modality, in the order of `available`.
    available : ndarray of bool, shape (N, M)
    subject : ndarray, shape (N,)
    components : int
        Largest number of coordinates.

    Returns
    -------
    ndarray, shape (N, D)
        A sensor that is not available is at its mean.
    """
    _, person = np.unique(subject, return_inverse=True)
    parts = []
    for number, values in enumerate(inputs.values()):
        has = available[:, number]
        centred = np.where(has[:, None], np.nan_to_num(values), 0.0)
        count = np.bincount(person, has).clip(min=1)
        sums = np.zeros((len(count), values.shape[1]))
        np.add.at(sums, person, centred)
        centred = np.where(has[:, None], centred - (sums / count[:, None])[person], 0.0)
        spread = np.sqrt(np.square(centred).sum(0) / max(1, has.sum()))
        scaled = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9)
        parts.append(np.clip(scaled, -MAX_INPUT, MAX_INPUT) / np.sqrt(values.shape[1]))
    joint = np.concatenate(parts, 1)
    _, vectors = np.linalg.eigh(joint.T @ joint)
    axes = vectors[:, ::-1][:, :components]
    # The sign of a component is arbitrary; distances do not depend on it.
    return np.asarray(joint @ axes)
