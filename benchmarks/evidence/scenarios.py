"""Training data of the experiments: labels with errors or of few subjects, mismatched recordings.

A scenario changes the labels of training and validation, and windows of the training; the
evaluation uses the corpus's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from benchmarks.evidence import votes
from benchmarks.evidence.loaded import LoadedCorpus, MismatchedCorpus, fields_of
from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.schema.params.base import Section
from consilience.schema.params.windows import SplitParams
from consilience.training.augmentation import Run
from consilience.training.baseline import running_order
from consilience.windows.layout import recording_names
from consilience.windows.splits import split
from consilience.windows.store import Corpus

Noise = Literal["none", "symmetric", "pair", "instance_dependent", "votes", "shuffled"]
RATED = ("symmetric", "pair", "instance_dependent")
RATE_SPREAD = 0.1  # standard deviation of the instances' own flip rates, Xia et al. 2020


class Scenario(Section):
    """Changes to the training labels; the defaults change nothing."""

    noise: Noise = Field("none", description=", ".join(get_args(Noise)))
    rate: float = Field(
        0.0, ge=0, lt=1, description="share of wrong labels; votes have a fixed one"
    )
    voters: Literal["voice", "face", "both"] = Field(
        "both", description="what the voters heard or saw"
    )
    labelled_subjects: int | None = Field(
        None, ge=1, description="training subjects with labels; null: all"
    )
    mismatched: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the unlabelled training recordings in which one sensor is that of "
        "another subject throughout",
    )
    oracle: bool = Field(
        False, description="mismatched sensors are missing, as if an oracle named them"
    )
    random_split: bool = Field(
        False, description="windows, not subjects, are assigned to the folds"
    )

    @model_validator(mode="after")
    def _rate_where_it_counts(self) -> Self:
        if (self.rate > 0) != (self.noise in RATED):
            raise ValueError(f"rate must be positive for {', '.join(RATED)}, and 0 otherwise")
        return self

    @model_validator(mode="after")
    def _mismatches_where_unlabelled(self) -> Self:
        if self.mismatched and self.labelled_subjects is None:
            raise ValueError("mismatched requires labelled_subjects: labelled recordings match")
        if self.oracle and not self.mismatched:
            raise ValueError("oracle requires a share of mismatched recordings")
        return self


@dataclass(frozen=True)
class NoisyLabels:
    """Labels of a corpus under a scenario, by run; callable as `training.fit` requires.

    Errors are drawn per trial, so that all its windows get the same wrong class, and from the
    seed alone, so that all folds of a seed share them. The probabilities of the wrong and the
    right class are exchanged, which keeps a label's softness. The true class is never drawn, so
    the rate is the share of wrong labels. Under symmetric noise the trials that are wrong at a
    low rate are also wrong at a higher one. Valence and arousal would reveal the right class, so
    they are NaN for all windows of a scenario with noise.
    """

    corpus: Corpus
    scenario: Scenario

    def __call__(self, run: Run) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the class probabilities (N, K) and affect (N, 2) for a run."""
        target, affect = self._target(run.seed), self.corpus.affect
        if self.scenario.noise != "none":
            affect = np.full_like(affect, np.nan)
        if self.scenario.labelled_subjects is None:
            return target, affect
        labelled = self.labelled(run)[:, None]
        missing = np.float32(np.nan)
        return np.where(labelled, target, missing), np.where(labelled, affect, missing)

    def wrong(self, run: Run) -> NDArray[np.bool_]:
        """Return which windows, shape (N,), have another leading class than the true one."""
        target, truth = self(run)[0], self.corpus.target
        labelled = np.isfinite(target).all(1) & np.isfinite(truth).all(1)
        differs = np.nan_to_num(target).argmax(1) != np.nan_to_num(truth).argmax(1)
        return np.asarray(labelled & differs)

    @cached_property
    def _trials(self) -> NDArray[np.int64]:
        """The trial of every window, as a number."""
        trial = self.corpus.index.select(pl.struct("session", "trial").rank("dense") - 1)
        return trial.to_series().to_numpy().astype(np.int64)

    @cached_property
    def _mean_targets(self) -> NDArray[np.float64]:
        """Each trial's mean soft label (J, K); NaN without any."""
        return _group_means(self.corpus.target.astype(float), self._trials)

    def _target(self, seed: int) -> NDArray[np.float32]:
        noise, truth = self.scenario.noise, self._mean_targets
        if noise == "none":
            return self.corpus.target
        labelled = np.flatnonzero(np.isfinite(truth).all(1))
        if noise == "shuffled":
            shuffled = truth.copy()
            shuffled[labelled] = truth[generator("shuffled labels", seed).permutation(labelled)]
            return shuffled[self._trials].astype(np.float32)
        old = np.nan_to_num(truth).argmax(1)
        new = old.copy()
        new[labelled] = _draw_classes(
            old[labelled], self._chances(old, seed)[labelled], noise, seed
        )
        return _exchanged(self.corpus.target, old[self._trials], new[self._trials])

    def _chances(self, old: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
        """Return the probability (J, K) that each trial gets each class as its label."""
        scenario, classes = self.scenario, self.corpus.classes
        if scenario.noise == "instance_dependent":
            return instance_chances(self._features, old, len(classes), scenario.rate, seed)
        if scenario.noise == "votes":
            return votes.confusion(classes, scenario.voters)[old]
        return transition(scenario.noise, scenario.rate, len(classes))[old]

    @cached_property
    def _features(self) -> NDArray[np.float64]:
        """All modalities' clean inputs, mean over a trial, standardised; 0 where unknown."""
        features = []
        for position, name in enumerate(self.corpus.modalities):
            inputs = self.corpus.windows(name).reshape(len(self._trials), -1).astype(np.float64)
            inputs[~self.corpus.available[:, position]] = np.nan
            features.append(_group_means(inputs, self._trials))
        values = np.concatenate(features, 1)
        centre = _mean(values)
        spread = np.sqrt(_mean((values - centre) ** 2))
        return np.nan_to_num((values - centre) / np.where(spread > 0, spread, 1.0))

    def labelled(self, run: Run) -> NDArray[np.bool_]:
        """Return which windows keep their labels: all but those of some training subjects.

        The labelled subjects are the first of an order drawn for the run, so that a larger number
        always includes a smaller one.
        """
        training = sorted(set(self.corpus.index["subject"][self.corpus.members(run.fold, "train")]))
        n_labelled = self.scenario.labelled_subjects
        if n_labelled is None or n_labelled > len(training):
            raise ConsilienceError(
                f"{len(training)} training subjects in fold {run.fold}",
                f"labelled_subjects = {n_labelled}",
                "choose a smaller number",
            )
        order = generator("labelled subjects", *run).permutation(len(training))
        unlabelled = [training[number] for number in order[n_labelled:]]
        return ~self.corpus.index["subject"].is_in(unlabelled).to_numpy()


def transition(noise: str, rate: float, n_classes: int) -> NDArray[np.float64]:
    """Return the transition matrix (K, K) of noise that depends on the class alone.

    Rows are true classes, columns labels. Symmetric: ``rate / (K - 1)`` for each other class;
    pair: `rate` for the next class in order.
    """
    stay = np.eye(n_classes)
    if noise == "pair":
        return (1 - rate) * stay + rate * np.roll(stay, 1, axis=1)
    return (1 - rate) * stay + rate * (1 - stay) / (n_classes - 1)


def instance_chances(
    features: NDArray[np.float64], old: NDArray[np.int64], n_classes: int, rate: float, seed: int
) -> NDArray[np.float64]:
    """Return the probability of every label for every instance, which depends on its features.

    Xia et al. 2020, "Part-dependent label noise", algorithm 2: each instance has its own flip
    rate from a normal distribution around `rate`, truncated to 0..1. The softmax of its features
    under a random projection, one per true class, divides the rate among the wrong classes.

    Parameters
    ----------
    features : ndarray, shape (J, S)
        Standardised.
    old : ndarray of int, shape (J,)
        True classes.

    Returns
    -------
    ndarray, shape (J, K)
    """
    rng = generator("instance-dependent labels", seed)
    projection = rng.standard_normal((n_classes, features.shape[1], n_classes))
    rates = _truncated_normal(rng, rate, len(features))
    logits = np.einsum("js,jsk->jk", features, projection[old])
    is_true = np.arange(n_classes) == old[:, None]
    logits = np.where(is_true, -np.inf, logits)
    share = np.exp(logits - logits.max(1, keepdims=True))  # the maximum avoids overflow
    share /= share.sum(1, keepdims=True)
    return np.where(is_true, 1 - rates[:, None], rates[:, None] * share)


def with_mismatches(labels: NoisyLabels, run: Run, corpus: LoadedCorpus) -> MismatchedCorpus:
    """Return the corpus of a run's training, with sensors of other subjects' recordings.

    The recordings of subjects without labels are put in an order drawn for the run. In each of the
    first ones, one sensor, drawn too, shows the next recording of another subject, window by
    window in the order of time; the clips of a subject are a recording in the order in which a
    running baseline visits them. Only training subjects are involved.

    Parameters
    ----------
    labels : NoisyLabels
    run : Run
    corpus : LoadedCorpus
        That of `labels`, with its windows.

    Raises
    ------
    ConsilienceError
        If fewer than two training subjects have no labels.
    """
    scenario = labels.scenario
    rng = generator("mismatched recordings", *run)
    members = corpus.members(run.fold, "train")
    in_order = running_order(corpus)
    unlabelled = in_order[np.isin(in_order, members[~labels.labelled(run)[members]])]
    recording, subject = recording_names(corpus.index), corpus.index["subject"].to_numpy()
    if len(np.unique(subject[unlabelled])) < 2:
        raise ConsilienceError(
            f"fewer than two training subjects without labels in fold {run.fold}",
            f"mismatched = {scenario.mismatched}",
            "set fewer labelled_subjects",
        )
    names = rng.permutation(np.unique(recording[unlabelled]))
    rows = [unlabelled[recording[unlabelled] == name] for name in names]
    source = np.arange(len(recording))[:, None].repeat(len(corpus.modalities), 1)
    available = corpus.available.copy()
    for place in range(round(scenario.mismatched * len(names))):
        sensor, wearer = int(rng.integers(len(corpus.modalities))), rows[place]
        following = rows[place + 1 :] + rows[:place]
        donor = next(of for of in following if subject[of[0]] != subject[wearer[0]])
        source[wearer, sensor] = np.resize(donor, len(wearer))
        lent = corpus.available[source[wearer, sensor], sensor]
        available[wearer, sensor] = lent & (not scenario.oracle)
    changed = fields_of(corpus) | {"available": available}
    return MismatchedCorpus(**changed, prepared=corpus.prepared, source=source)


def by_random_split(corpus: Corpus, params: SplitParams) -> Corpus:
    """Return a corpus whose windows, not subjects, are assigned to folds: a control that leaks.

    Each window gets an artificial subject, of which there are as many as real ones, and the folds
    are made of those; nothing else changes.
    """
    n_subjects = corpus.index["subject"].n_unique()
    order = generator("random split").permutation(len(corpus.index)) % n_subjects
    subjects = [f"part-{number:03d}" for number in order]
    index = corpus.index.with_columns(pl.Series("subject", subjects))
    return replace(corpus, index=index, splits=split(subjects, params))


def _draw_classes(
    old: NDArray[np.int64], chances: NDArray[np.float64], noise: str, seed: int
) -> NDArray[np.int64]:
    """Draw the label of each trial from its class probabilities.

    Two draws per trial, whether it is wrong and which class it gets, so that a higher rate keeps
    the trials that are wrong at a lower one.
    """
    rng = generator("label noise", noise, seed)
    whether, which = rng.random(len(old)), rng.random(len(old))
    is_true = np.arange(chances.shape[1]) == old[:, None]
    others = np.where(is_true, 0.0, chances)
    cumulative = np.cumsum(others, 1)
    drawn = (cumulative <= which[:, None] * cumulative[:, -1:]).sum(1)
    flipped = whether < cumulative[:, -1]
    return np.where(flipped, drawn, old)


def _exchanged(
    target: NDArray[np.float32], old: NDArray[np.int64], new: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Exchange two classes' probabilities in every window's soft label."""
    rows, exchanged = np.arange(len(target)), target.copy()
    exchanged[rows, old], exchanged[rows, new] = target[rows, new], target[rows, old]
    return exchanged


def _truncated_normal(rng: np.random.Generator, mean: float, n: int) -> NDArray[np.float64]:
    """Draw from a normal distribution around `mean`; values outside 0..1 are drawn again."""
    drawn = rng.normal(mean, RATE_SPREAD, n)
    while (outside := (drawn < 0) | (drawn > 1)).any():
        drawn[outside] = rng.normal(mean, RATE_SPREAD, int(outside.sum()))
    return drawn


def _group_means(values: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean over the finite values of each group: (N, F) to (J, F)."""
    finite = np.isfinite(values)
    shape = (group.max() + 1, values.shape[1])
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, group, np.where(finite, values, 0.0))
    np.add.at(count, group, finite)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _mean(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of the finite values along the first axis; NaN without any."""
    finite = np.isfinite(values)
    count = finite.sum(0)
    total = np.where(finite, values, 0.0).sum(0, dtype=float)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
