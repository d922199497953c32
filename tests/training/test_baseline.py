"""Baselines must follow the person, keep to their references, and shrink to the population."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Run
from consilience.training.baseline import (
    MOST_PRIOR,
    Centred,
    Population,
    References,
    RunningSums,
    fit_population,
    references,
    running_order,
    subtract_baseline,
)
from consilience.training.conditioned import conditioned_batches, load_windows
from consilience.training.data import Scaler, fit_scaler
from consilience.training.enrolment import without_enrolment
from consilience.training.fit import Fitted
from consilience.windows.conditions import MISMATCH, Condition, donors
from consilience.windows.store import Corpus, load_corpus

SENSOR = "audio"
N_PERSONS, PER_PERSON = 40, 12


@pytest.fixture
def corpus(windows_folder: Path) -> Corpus:
    return load_corpus(windows_folder)


def population(centre: float, prior_windows: float) -> Population:
    return Population(torch.full((1, 1, 1), centre), torch.full((1, 1, 1), prior_windows))


def centred(corpus: Corpus, kind: str, prior: Population) -> torch.Tensor:
    values = torch.from_numpy(corpus.windows(SENSOR))
    view = Centred(values, references(corpus, TrainingParams(baseline=kind))[SENSOR], prior)
    return view[np.arange(len(values))]


@pytest.mark.parametrize(("kind", "key"), [("recording", "session"), ("person", "subject")])
def test_the_baseline_is_the_shrunk_mean_of_the_recording_or_person(
    corpus: Corpus, kind: str, key: str
) -> None:
    values, has = corpus.windows(SENSOR), corpus.available[:, 0]
    groups = corpus.index[key].to_numpy()
    result = centred(corpus, kind, population(2.0, 3.0)).numpy()
    for row in (0, 5, 40):
        of_group = values[(groups == groups[row]) & has]
        baseline = (of_group.sum(0) + 3 * 2.0) / (len(of_group) + 3)
        np.testing.assert_allclose(result[row], values[row] - baseline, rtol=1e-4, atol=1e-5)


def test_a_running_baseline_uses_earlier_windows_of_the_person_and_the_window_itself(
    corpus: Corpus,
) -> None:
    values, has = corpus.windows(SENSOR), corpus.available[:, 0]
    subject = corpus.index["subject"].to_numpy()
    result = centred(corpus, "running", population(2.0, 3.0)).numpy()
    order = running_order(corpus)
    for place in (0, 9, 30):
        row = order[place]
        earlier = [r for r in order[:place] if subject[r] == subject[row] and has[r]]
        used = values[[*earlier, row]]
        baseline = (used.sum(0) + 3 * 2.0) / (len(used) + 3)
        np.testing.assert_allclose(result[row], values[row] - baseline, rtol=1e-4, atol=1e-5)


def test_clips_are_visited_in_an_order_that_their_names_do_not_give(corpus: Corpus) -> None:
    names = [f"clip-{number:03d}" for number in range(len(corpus.index))]
    clips = replace(corpus, index=corpus.index.with_columns(session=np.array(names)))
    order = running_order(clips)
    assert sorted(order) == list(range(len(names)))
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.4
    assert (running_order(corpus) == np.arange(len(names))).all()


def test_an_enrolment_uses_the_windows_of_its_trial_only(corpus: Corpus) -> None:
    training = TrainingParams(baseline="enrolment", enrolment="t12")
    enrolled = references(corpus, training)[SENSOR]
    assert enrolled.n.sum() == corpus.available[corpus.index["trial"] == "t12", 0].sum()


def simulated(between: float, within: float) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Return windows of normal persons, the persons, and their means."""
    rng = np.random.default_rng(0)
    means = 5 + between * rng.normal(size=N_PERSONS)
    subject = np.repeat(np.arange(N_PERSONS), PER_PERSON)
    values = means[subject] + within * rng.normal(size=len(subject))
    return torch.from_numpy(values[:, None]).float(), subject, means


@pytest.mark.parametrize(("between", "within"), [(1.0, 2.0), (2.0, 1.0)])
def test_the_prior_is_the_ratio_of_the_variances_within_and_between_persons(
    between: float, within: float
) -> None:
    values, subject, _ = simulated(between, within)
    prior = fit_population(values, np.arange(len(values)), subject)
    assert_close(
        prior.centre.squeeze(), torch.tensor(5.0), atol=3 * between / N_PERSONS**0.5, rtol=0
    )
    ratio = float(prior.prior_windows) / (within**2 / between**2)
    assert 0.5 < ratio < 2


def test_the_prior_of_an_enrolment_is_that_of_its_windows(corpus: Corpus) -> None:
    """A rest that hardly varies and differs by person is taken as it is, whatever follows."""
    place = np.arange(corpus.index.height) % 12
    index = corpus.index.with_columns(trial=np.where(place < 3, "rest", "film"))
    corpus = replace(corpus, index=index)
    rng = np.random.default_rng(1)
    person = corpus.index["subject"].str.strip_prefix("p").cast(int).to_numpy()
    values = 3.0 * rng.normal(size=6)[person] + np.where(place < 3, 0.1, 5.0) * rng.normal(
        size=len(person)
    )
    values = {SENSOR: torch.from_numpy(values[:, None]).float()}
    enrolling = TrainingParams(baseline="enrolment", enrolment="rest")
    corpus.available[:] = True
    rows = [without_enrolment(corpus, enrolling).members(0, "train")]
    priors = {}
    for training in (enrolling, TrainingParams(baseline="person")):
        baselines = references(corpus, training)
        scaler = fit_scaler(corpus, values, rows, corpus.affect[None], baselines)
        priors[training.baseline] = scaler.populations[SENSOR]
    assert float(priors["enrolment"].prior_windows) < 0.02
    assert float(priors["person"].prior_windows) > 0.5
    of_rest = [
        values[SENSOR][(person == p) & (place < 3)].mean() for p in np.unique(person[rows[0]])
    ]
    assert_close(priors["enrolment"].centre.squeeze(), torch.stack(of_rest).mean())


def test_one_enrolment_window_per_person_leaves_the_prior_to_all_windows(corpus: Corpus) -> None:
    index = corpus.index.with_columns(
        trial=np.where(np.arange(corpus.index.height) % 12 == 0, "rest", "film")
    )
    corpus = replace(corpus, index=index)
    training = TrainingParams(baseline="enrolment", enrolment="rest")
    values = {name: torch.from_numpy(corpus.windows(name)) for name in corpus.modalities}
    rows = [without_enrolment(corpus, training).members(0, "train")]
    scaler = fit_scaler(corpus, values, rows, corpus.affect[None], references(corpus, training))
    subject = corpus.index["subject"].to_numpy()
    has = rows[0][corpus.available[rows[0], 0]]
    expected = fit_population(values[SENSOR], has, subject)
    assert_close(scaler.populations[SENSOR].prior_windows, expected.prior_windows)


def test_shrinkage_is_nearer_to_the_persons_means_than_their_averages_or_the_population() -> None:
    values, subject, means = simulated(1.0, 2.0)
    prior = fit_population(values, np.arange(len(values)), subject)
    averages = values.reshape(N_PERSONS, PER_PERSON)[:, :3].mean(1).numpy()  # of three windows
    k = float(prior.prior_windows)
    shrunk = (3 * averages + k * float(prior.centre)) / (3 + k)
    errors = [np.square(e - means).mean() for e in (shrunk, averages, np.full_like(means, 5.0))]
    assert errors[0] < min(errors[1:])


def test_of_a_single_person_no_baseline_is_taken() -> None:
    values, subject, _ = simulated(1.0, 2.0)
    prior = fit_population(values, np.arange(PER_PERSON), subject)
    assert float(prior.prior_windows) == MOST_PRIOR


def test_a_mismatched_window_is_taken_relative_to_the_wearers_baseline(corpus: Corpus) -> None:
    baselines = references(corpus, TrainingParams(baseline="person"))
    condition = Condition(MISMATCH, (SENSOR,))
    prepared = load_windows(corpus, [condition])
    rows = corpus.members(0, "train")
    clean = {name: variants["clean"] for name, variants in prepared.items()}
    scaler = fit_scaler(corpus, clean, [rows], corpus.affect[None], baselines)
    (batch,) = conditioned_batches(
        scaler, [Run(0, 0)], corpus, prepared, baselines, condition, ("test",)
    )
    lent = donors(corpus, 0, SENSOR)
    place = int(np.flatnonzero(batch.counted[0].numpy())[0])
    row = int(batch.rows[0, place])
    view = scaler.centred(0, clean, baselines)[SENSOR]
    own, value = view[np.array([row])], clean[SENSOR][lent[row]]
    baseline = clean[SENSOR][row] - own[0]
    expected = (value - baseline - scaler.mean[SENSOR][0, 0]) / scaler.std[SENSOR][0, 0]
    assert_close(batch.inputs[SENSOR][0, place], expected.clamp(-5, 5), atol=1e-5, rtol=1e-5)


def test_the_prior_is_stored_with_the_model(corpus: Corpus) -> None:
    baselines = references(corpus, TrainingParams(baseline="person"))
    values = {name: torch.from_numpy(corpus.windows(name)) for name in corpus.modalities}
    rows = [corpus.members(fold, "train") for fold in (0, 1)]
    scaler = fit_scaler(corpus, values, rows, np.stack([corpus.affect] * 2), baselines)
    again = Scaler.from_tensors(scaler.tensors(), corpus.modalities)
    assert set(again.populations) == set(corpus.modalities)
    for name, prior in again.populations.items():
        assert prior.centre.shape[0] == 2
        assert_close(prior.prior_windows, scaler.populations[name].prior_windows)


@pytest.mark.parametrize("method", ["hybrid", "coherence_transfer"])
def test_methods_learn_from_inputs_relative_to_the_person(
    train: Callable[..., Fitted], budget: TrainingParams, method: str
) -> None:
    fitted = train(method, budget.model_copy(update={"baseline": "running"}))
    assert set(fitted.scaler.populations) == {"audio", "face_au"}
    assert fitted.history["validation_balanced_accuracy"].max() > 0.5


def test_the_prior_does_not_depend_on_the_unit() -> None:
    generator = torch.Generator().manual_seed(0)
    subject = np.repeat(np.arange(8), 10)
    persons = torch.randn(8, 3, generator=generator).repeat_interleave(10, 0)
    values = persons + torch.randn(80, 3, generator=generator)
    expected = fit_population(values, np.arange(80), subject).prior_windows
    for unit in (1e-15, 1e9):
        again = fit_population(values * unit, np.arange(80), subject).prior_windows
        assert_close(again, expected, rtol=1e-3, atol=0)


def test_sums_over_windows_one_by_one_are_the_running_references() -> None:
    rng = np.random.default_rng(0)
    n = 6
    values = rng.normal(size=(n, 3)).astype(np.float32)
    prior = fit_population(torch.from_numpy(values), np.arange(n), np.arange(n) % 2)
    total = np.cumsum(values, 0) - values
    whole = References(
        torch.from_numpy(total),
        torch.arange(n).float(),
        torch.arange(n),
        True,
        torch.ones(n, dtype=torch.bool),
    )
    sums = RunningSums()
    for number in range(n):
        window = {"eeg": values[number : number + 1]}
        row = torch.tensor([[number]])
        expected = subtract_baseline(torch.from_numpy(values)[row], whole, prior, row)
        alone = subtract_baseline(
            torch.from_numpy(window["eeg"])[None],
            sums.references(window)["eeg"],
            prior,
            torch.zeros(1, 1, dtype=torch.int64),
        )
        assert_close(alone, expected)
        sums = sums.plus(window)
