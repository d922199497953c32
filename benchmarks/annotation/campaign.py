"""Simulated annotation campaigns: ``python -m benchmarks.annotation.campaign CORPUS ...``.

CORPUS is ``NAME=WINDOWS`` or ``NAME=WINDOWS:SENSOR,SENSOR``; WINDOWS is a project's folder
``data/windows``. Writes ``docs/campaign.md`` and a figure for each corpus.

Labels of people in training are replaced by wrong ones, or hidden. A strategy orders windows, an
annotator without errors names their classes, and linear models are trained again, until the budget
is used up. The accuracy is that on people who are in no way part of the training.

All strategies have the same models, budgets, batches, corrupted labels and seeds. The models are
ridge regressions of each sensor's principal components, combined by a product of experts; several
are fitted to resampled people, so that BALD has something to compare.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from benchmarks.annotation.page import write_page
from consilience.core.seeds import generator
from consilience.query.evidence import Array, QueryEvidence, entropy
from consilience.query.predictions import latent_inputs, latent_space
from consilience.query.run import layout_of
from consilience.query.selection import Layout, select
from consilience.schema.params.query import QueryParams, Strategy
from consilience.training.recording_coherence import cross_fitted_sharpness, sharpened
from consilience.windows.store import Corpus, load_corpus

STRATEGIES: tuple[str, ...] = get_args(Strategy)
SEEDS = (0, 1, 2, 3, 4)
FOLDS = 4  # of people; each is tested once
GROUPS = 4  # of training people, for predictions of windows by models without their person
MODELS = 3  # fitted to resampled people
ROUNDS = 10  # batches; the last one uses up the budget
WRONG = 0.4  # share of wrong labels
LABELLED = 0.1  # share of labels that are not hidden
COMPONENTS = 48  # of each sensor
RIDGE = 10.0
SCENARIOS = ("wrong", "hidden")
WITHOUT_PREDICTIONS = ("random", "coreset")

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Data:
    """Windows of a corpus.

    Attributes
    ----------
    inputs : dict of str to ndarray, shape (N, F)
        Components of each sensor's model inputs, of unit variance.
    available : ndarray of bool, shape (N, M)
    truth : ndarray of int, shape (N,)
    n_classes : int
    person : ndarray of int, shape (N,)
    layout : Layout
    unit : ndarray of int, shape (N,)
        What one answer is about: windows of one trial have one class.
    latent : ndarray, shape (N, D)
    """

    inputs: dict[str, Array]
    available: NDArray[np.bool_]
    truth: NDArray[np.int64]
    n_classes: int
    person: NDArray[np.int64]
    layout: Layout
    unit: NDArray[np.int64]
    latent: Array

    def rows(self, chosen: NDArray[np.bool_]) -> Data:
        """Return some windows."""
        layout = self.layout
        return replace(
            self,
            inputs={name: values[chosen] for name, values in self.inputs.items()},
            available=self.available[chosen],
            truth=self.truth[chosen],
            person=self.person[chosen],
            layout=Layout(layout.session[chosen], layout.start_s[chosen], layout.end_s[chosen]),
            unit=np.unique(self.unit[chosen], return_inverse=True)[1],
            latent=self.latent[chosen],
        )


class Curve(NamedTuple):
    """Accuracy of a strategy in a scenario.

    Attributes
    ----------
    budget : ndarray, shape (ROUNDS + 1,)
        Share of the training trials that were annotated.
    accuracy : ndarray, shape (n_seeds, ROUNDS + 1)
        Balanced accuracy on people held out, pooled over the folds.
    """

    budget: Array
    accuracy: Array


class Campaigns(NamedTuple):
    """Results of one corpus.

    Attributes
    ----------
    name : str
    n_windows, n_trials, n_people : int
    clean : ndarray, shape (n_seeds,)
        Accuracy with all labels right.
    curves : dict of (scenario, strategy) to Curve
    """

    name: str
    n_windows: int
    n_trials: int
    n_people: int
    clean: Array
    curves: dict[tuple[str, str], Curve]


def load(windows: Path, sensors: Sequence[str] = ()) -> Data:
    """Read the windows of a project whose labels have a most probable class.

    Parameters
    ----------
    windows : Path
    sensors : sequence of str
        Modalities to use; none for all.
    """
    corpus = load_corpus(windows)
    chosen = [name for name in corpus.modalities if not sensors or name in sensors]
    flat = {name: latent_inputs(corpus.windows(name)) for name in chosen}
    available = corpus.available[:, [corpus.modalities.index(name) for name in chosen]]
    subject = corpus.index["subject"].to_numpy()
    usable = np.asarray(np.isfinite(corpus.target).all(1) & available.any(1))
    return _data(corpus, flat, available, subject).rows(usable)


def _data(
    corpus: Corpus,
    flat: Mapping[str, Array],
    available: NDArray[np.bool_],
    subject: NDArray[np.generic],
) -> Data:
    inputs = {}
    for number, (name, values) in enumerate(flat.items()):
        components = latent_space({name: values}, available[:, [number]], subject, COMPONENTS)
        inputs[name] = components / (components.std() or 1.0)
    trials = corpus.index["session"] + "\x1f" + corpus.index["trial"]
    return Data(
        inputs,
        available,
        np.nan_to_num(corpus.target).argmax(1),
        len(corpus.classes),
        np.unique(subject, return_inverse=True)[1],
        layout_of(corpus.index),
        np.unique(trials.to_numpy(), return_inverse=True)[1],
        latent_space(flat, available, subject),
    )


class Experts(NamedTuple):
    """Ridge regressions of the classes, one for each sensor.

    Attributes
    ----------
    weight : list of ndarray, shape (F + 1, K)
    log_prior : ndarray, shape (K,)
    """

    weight: list[Array]
    log_prior: Array

    def scores(self, data: Data) -> Array:
        """Return the class scores (N, M, K) of each sensor; 0 where it is not available."""
        scores = [
            np.concatenate([values, np.ones((len(values), 1))], 1) @ weight
            for values, weight in zip(data.inputs.values(), self.weight, strict=True)
        ]
        return np.stack(scores, 1) * data.available[..., None]


def fit(data: Data, target: Array, weight: Array) -> Experts:
    """Fit the experts to windows with a label.

    Parameters
    ----------
    data : Data
    target : ndarray, shape (N, K)
        NaN without a label.
    weight : ndarray, shape (N,)
        How often a window counts.
    """
    labelled = np.asarray(np.isfinite(target).all(1))
    weight = np.where(labelled, weight, 0.0)
    y = np.where(labelled[:, None], target, 0.0)
    total = max(weight.sum(), 1e-9)
    prior = (weight @ y + 1) / (total + data.n_classes)
    centred = np.where(labelled[:, None], y - prior, 0.0)
    weights = []
    for number, values in enumerate(data.inputs.values()):
        x = np.concatenate([values, np.ones((len(values), 1))], 1)
        weighted = (x * (weight * data.available[:, number])[:, None]).T
        weights.append(
            np.linalg.solve(weighted @ x + RIDGE * np.eye(x.shape[1]), weighted @ centred)
        )
    return Experts(weights, np.log(prior))


def posteriors(experts: Experts, data: Data, sharpness: float = 6.0) -> tuple[Array, Array]:
    """Return the class probabilities of all sensors together (N, K), and of each (N, M, K)."""
    scores = sharpness * experts.scores(data)
    alone = softmax(experts.log_prior + scores, -1)
    return softmax(experts.log_prior + scores.sum(1), -1), alone


def held_out_evidence(data: Data, target: Array, seed: tuple[object, ...]) -> QueryEvidence:
    """Predict every window by experts that were fitted to other people.

    Parameters
    ----------
    data : Data
        Of the people in training.
    target : ndarray, shape (N, K)
        Labels so far; NaN without one.
    seed : tuple
        Names of the draws.
    """
    group = data.person % GROUPS if len(np.unique(data.person)) >= GROUPS else data.person
    n, n_sensors, k = len(data.truth), data.available.shape[1], data.n_classes
    together = np.zeros((MODELS, n, k))
    alone = np.zeros((MODELS, n, n_sensors, k))
    prior = np.zeros((n, k))
    for number in np.unique(group):
        rows = group == number
        tested = data.rows(rows)
        for model in range(MODELS):
            rng = generator("campaign", "people", model, number, *seed)
            people = np.unique(data.person[~rows])
            drawn = np.bincount(rng.choice(people, len(people)), minlength=data.person.max() + 1)
            counts = drawn[data.person] if model else np.ones(n)  # the first one to all people
            experts = fit(data, target, counts * ~rows)
            together[model, rows], alone[model, rows] = posteriors(experts, tested)
            if not model:
                prior[rows] = np.exp(experts.log_prior)
    # The first model's temperature serves all: they differ by chance alone.
    sharpness = cross_fitted_sharpness(together[0], target, prior, group)
    together = np.stack([sharpened(p, sharpness) for p in together])
    sensors = np.stack(
        [_calibrated(alone[0, :, m], target, prior, group) for m in range(n_sensors)], 1
    )
    return QueryEvidence(
        probability=together,
        sensors=sensors,
        reliability=np.full(data.available.shape, np.nan),
        available=data.available,
        vacuity=entropy(together.mean(0)) / np.log(k),
        latent=data.latent,
        target=target,
        prior=prior,
    )


def _calibrated(p: Array, target: Array, prior: Array, group: Rows) -> Array:
    """Return probabilities at the temperature of the other groups' labels."""
    return sharpened(p, cross_fitted_sharpness(p, target, prior, group))


def balanced_accuracy(predicted: Rows, truth: Rows, n_classes: int) -> float:
    """Return the mean recall over the classes that occur."""
    recalls = [
        float(np.mean(predicted[truth == k] == k)) for k in range(n_classes) if (truth == k).any()
    ]
    return float(np.mean(recalls))


def corrupted_labels(data: Data, scenario: str, seed: tuple[object, ...]) -> Array:
    """Return the labels (N, K) at the start of a campaign; NaN where hidden.

    All windows of a trial have the same label.
    """
    rng = generator("campaign", scenario, *seed)
    n_units = data.unit.max() + 1
    truth = np.zeros(n_units, np.int64)
    truth[data.unit] = data.truth
    if scenario == "wrong":
        wrong = rng.permutation(n_units) < round(WRONG * n_units)
        shift = rng.integers(1, data.n_classes, n_units)
        label = np.where(wrong, (truth + shift) % data.n_classes, truth)
        return np.asarray(np.eye(data.n_classes)[label[data.unit]])
    hidden = rng.permutation(n_units) >= round(LABELLED * n_units)
    target = np.eye(data.n_classes)[data.truth]
    target[hidden[data.unit]] = np.nan
    return target


def campaign(
    train: Data, test: Data, strategy: str, scenario: str, seed: tuple[object, ...]
) -> list[Rows]:
    """Annotate batch by batch; return the predictions for the test windows after each.

    Returns
    -------
    list of ndarray, shape (n_test,)
        Before the first batch and after each.
    """
    target = corrupted_labels(train, scenario, seed)
    right = np.eye(train.n_classes)[train.truth]
    answered = np.zeros(len(train.truth), bool)
    if scenario == "hidden":
        answered |= np.isfinite(target).all(1)
    predictions = [_predicted(train, test, target)]
    n_units = len(np.unique(train.unit[~answered]))
    borders = np.round(np.linspace(0, n_units, ROUNDS + 1)).astype(int)
    limits = {"strategy": strategy, "max_per_recording": len(train.truth)}
    params = QueryParams.model_validate(limits)
    for number in range(ROUNDS):
        batch = int(borders[number + 1] - borders[number])
        if strategy in WITHOUT_PREDICTIONS:
            evidence = _without_predictions(train, target)
        else:
            evidence = held_out_evidence(train, target, (scenario, *seed))
        rng = generator("campaign", strategy, number, *seed)
        chosen = select(
            evidence,
            train.layout,
            params.model_copy(update={"budget": max(1, batch)}),
            ~answered,
            answered,
            rng,
        )
        units = np.isin(train.unit, train.unit[chosen[:batch]])
        answered |= units
        target = np.where(units[:, None], right, target)
        predictions.append(_predicted(train, test, target))
    return predictions


def _without_predictions(data: Data, target: Array) -> QueryEvidence:
    """Return evidence for strategies that use the latent space alone."""
    n, n_sensors = data.available.shape
    unknown = np.full((n, n_sensors, data.n_classes), np.nan)
    empty = np.full(n, np.nan)
    return QueryEvidence(
        unknown[None, :, 0],
        unknown,
        unknown[..., 0],
        data.available,
        empty,
        data.latent,
        target,
        unknown[:, 0],
    )


def _predicted(train: Data, test: Data, target: Array) -> Rows:
    experts = fit(train, target, np.ones(len(target)))
    return np.asarray(posteriors(experts, test)[0].argmax(1))


def run_corpus(name: str, data: Data, seeds: Sequence[int] = SEEDS) -> Campaigns:
    """Run every strategy in every scenario."""
    clean = np.array([_clean(data, seed) for seed in seeds])
    curves = {}
    for scenario in SCENARIOS:
        for strategy in STRATEGIES:
            accuracy = np.array([_accuracies(data, strategy, scenario, s) for s in seeds])
            curves[scenario, strategy] = Curve(np.linspace(0, 1, ROUNDS + 1), accuracy)
            print(name, scenario, strategy, np.round(accuracy.mean(0), 3), flush=True)
    n_people = len(np.unique(data.person))
    return Campaigns(name, len(data.truth), int(data.unit.max()) + 1, n_people, clean, curves)


def _folds(data: Data, seed: int) -> list[NDArray[np.bool_]]:
    """Return which windows each fold tests; people are dealt anew for every seed."""
    people = np.unique(data.person)
    order = generator("campaign", "folds", seed).permutation(len(people))
    fold = order[np.searchsorted(people, data.person)] % min(FOLDS, len(people))
    return [fold == number for number in range(min(FOLDS, len(people)))]


def _clean(data: Data, seed: int) -> float:
    predicted = np.zeros_like(data.truth)
    for tested in _folds(data, seed):
        train = data.rows(~tested)
        right = np.eye(data.n_classes)[train.truth]
        predicted[tested] = _predicted(train, data.rows(tested), right)
    return balanced_accuracy(predicted, data.truth, data.n_classes)


def _accuracies(data: Data, strategy: str, scenario: str, seed: int) -> list[float]:
    predicted = np.zeros((ROUNDS + 1, len(data.truth)), np.int64)
    for number, tested in enumerate(_folds(data, seed)):
        train, test = data.rows(~tested), data.rows(tested)
        predicted[:, tested] = campaign(train, test, strategy, scenario, (seed, number))
    return [balanced_accuracy(row, data.truth, data.n_classes) for row in predicted]


def main(*corpora: str) -> None:
    """Run the campaigns on each ``NAME=WINDOWS`` and write the page."""
    results = []
    for corpus in corpora:
        name, _, place = corpus.partition("=")
        windows, _, sensors = place.partition(":")
        data = load(Path(windows), sensors.split(",") if sensors else ())
        results.append(run_corpus(name, data))
    write_page(results, Path("docs"))


if __name__ == "__main__":
    main(*sys.argv[1:])
