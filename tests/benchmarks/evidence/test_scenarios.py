from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from benchmarks.evidence.loaded import LoadedCorpus, fields_of
from benchmarks.evidence.scenarios import (
    NoisyLabels,
    Scenario,
    by_random_split,
    instance_chances,
    transition,
    with_mismatches,
)
from consilience.core.errors import ConsilienceError
from consilience.schema.params.windows import SplitParams
from consilience.training.augmentation import Run
from tests.benchmarks.evidence.conftest import WINDOWS

NOISY = [
    Scenario(noise="symmetric", rate=0.4),
    Scenario(noise="pair", rate=0.3),
    Scenario(noise="instance_dependent", rate=0.3),
    Scenario(noise="votes"),
    Scenario(noise="shuffled"),
]
names = pytest.mark.parametrize("scenario", NOISY, ids=lambda scenario: scenario.noise)


def test_without_noise_the_labels_are_the_truth(corpus):
    target, affect = NoisyLabels(corpus, Scenario())(Run(0, 0))
    np.testing.assert_array_equal(target, corpus.target)
    np.testing.assert_array_equal(affect, corpus.affect)
    assert not NoisyLabels(corpus, Scenario()).wrong(Run(0, 0)).any()


@names
def test_all_windows_of_a_trial_are_wrong_alike(corpus, scenario):
    labels = NoisyLabels(corpus, scenario)
    target, wrong = labels(Run(0, 1))[0].argmax(1), labels.wrong(Run(0, 1))
    for values in (target, wrong):
        grouped = values.reshape(-1, WINDOWS)
        assert (grouped == grouped[:, :1]).all()
    assert wrong.any()


@names
def test_mistakes_depend_on_the_seed_alone(corpus, scenario):
    first = NoisyLabels(corpus, scenario)(Run(0, 1))[0]
    np.testing.assert_array_equal(first, NoisyLabels(corpus, scenario)(Run(3, 1))[0])
    assert (first != NoisyLabels(corpus, scenario)(Run(0, 2))[0]).any()


@names
def test_a_soft_label_stays_as_soft_as_it_was(corpus, scenario):
    target = NoisyLabels(corpus, scenario)(Run(0, 0))[0]
    assert target.dtype == np.float32
    np.testing.assert_allclose(np.sort(target), np.sort(corpus.target), rtol=1e-6)


@names
def test_affect_does_not_give_the_class_away(corpus, scenario):
    assert np.isnan(NoisyLabels(corpus, scenario)(Run(0, 0))[1]).all()


@pytest.mark.parametrize("noise", ["symmetric", "pair", "instance_dependent"])
def test_the_rate_is_the_share_of_wrong_labels(corpus, noise):
    labels = NoisyLabels(corpus, Scenario(noise=noise, rate=0.3))
    share = np.mean([labels.wrong(Run(0, seed)).mean() for seed in range(20)])
    assert share == pytest.approx(0.3, abs=0.02)


def test_more_symmetric_noise_leaves_the_wrong_ones_wrong(corpus):
    few = NoisyLabels(corpus, Scenario(noise="symmetric", rate=0.1)).wrong(Run(0, 0))
    many = NoisyLabels(corpus, Scenario(noise="symmetric", rate=0.5)).wrong(Run(0, 0))
    assert (few <= many).all()


def test_pair_noise_gives_the_next_class(corpus):
    labels = NoisyLabels(corpus, Scenario(noise="pair", rate=0.3))
    wrong = labels.wrong(Run(0, 0))
    truth, noisy = corpus.target.argmax(1), labels(Run(0, 0))[0].argmax(1)
    np.testing.assert_array_equal(noisy[wrong], (truth[wrong] + 1) % len(corpus.classes))


def test_transitions_are_probabilities():
    for noise in ("symmetric", "pair"):
        np.testing.assert_allclose(transition(noise, 0.4, 5).sum(1), 1)
        np.testing.assert_allclose(np.diag(transition(noise, 0.4, 5)), 0.6)


def test_instances_that_look_alike_are_mistaken_alike():
    features = np.repeat(np.random.default_rng(1).normal(size=(50, 6)), 2, axis=0)
    old = np.repeat(np.arange(50) % 4, 2)
    chances = instance_chances(features, old, 4, 0.3, 0)
    np.testing.assert_allclose(chances.sum(1), 1)
    wrong = chances * (np.arange(4) != old[:, None])
    share = wrong / wrong.sum(1, keepdims=True)
    np.testing.assert_allclose(share[::2], share[1::2])


def test_few_labelled_subjects_are_among_the_many(corpus):
    run = Run(1, 0)
    labelled_by_count = {
        n: np.isfinite(NoisyLabels(corpus, Scenario(labelled_subjects=n))(run)[0]).all(1)
        for n in (2, 4)
    }
    for n, labelled in labelled_by_count.items():
        own = corpus.members(1, "train")
        assert corpus.index["subject"].to_numpy()[own][labelled[own]].tolist()
        assert len(set(corpus.index["subject"].to_numpy()[own][labelled[own]])) == n
        assert labelled[corpus.members(1, "validation", "test")].all()
    assert (labelled_by_count[2] <= labelled_by_count[4]).all()


def test_unlabelled_windows_have_no_affect_either(corpus):
    target, affect = NoisyLabels(corpus, Scenario(labelled_subjects=2))(Run(0, 0))
    np.testing.assert_array_equal(np.isnan(target).all(1), np.isnan(affect).all(1))


def test_more_labelled_subjects_than_there_are_is_an_error(corpus):
    with pytest.raises(ConsilienceError, match="training subjects in fold 0"):
        NoisyLabels(corpus, Scenario(labelled_subjects=99))(Run(0, 0))


def test_windows_without_a_label_get_none(corpus):
    target = corpus.target.copy()
    target[:WINDOWS] = np.nan
    for scenario in NOISY:
        labels = NoisyLabels(replace(corpus, target=target), scenario)(Run(0, 0))[0]
        assert np.isnan(labels[:WINDOWS]).all()
        assert np.isfinite(labels[WINDOWS:]).all()


def test_a_random_split_deals_windows(corpus):
    dealt = by_random_split(corpus, SplitParams(folds=4, validation_subjects=1))
    trials = corpus.index["trial"].to_numpy()
    for fold in dealt.folds:
        train, test = dealt.members(fold, "train"), dealt.members(fold, "test")
        assert not set(train) & set(test)
        assert set(trials[train]) & set(trials[test])
    tested = np.concatenate([dealt.members(fold, "test") for fold in dealt.folds])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(corpus.index)))


@pytest.mark.parametrize("wrong", [{"rate": 0.3}, {"noise": "symmetric"}, {"nois": "pair"}])
def test_a_scenario_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        Scenario(**wrong)


def mismatched(corpus, run, **scenario):
    """Return the corpus of a run with mismatches, and the corpus as it is, with two sensors."""
    audio = corpus.windows("audio")
    values = {"audio": {"clean": torch.from_numpy(audio)}}
    values["video"] = {"clean": torch.from_numpy(audio + 100)}
    two = replace(
        corpus,
        modalities=("audio", "video"),
        features={"audio": ["a"], "video": ["v"]},
        variants={"audio": (), "video": ()},
        available=np.ones((len(corpus.index), 2), bool),
    )
    labels = NoisyLabels(two, Scenario(labelled_subjects=2, mismatched=0.5, **scenario))
    loaded = LoadedCorpus(**fields_of(two), prepared=values)
    return with_mismatches(labels, run, loaded), labels, values


def test_a_share_of_the_unlabelled_recordings_shows_one_sensor_of_another_subject(corpus):
    run = Run(1, 0)
    with_faults, labels, values = mismatched(corpus, run)
    subject = corpus.index["subject"].to_numpy()
    training = corpus.members(1, "train")
    unlabelled = set(subject[training[~labels.labelled(run)[training]]])
    faulty = {}
    for number, name in enumerate(("audio", "video")):
        clean = values[name]["clean"].numpy()
        shown = with_faults.windows(name)
        source = with_faults.source[:, number]
        np.testing.assert_array_equal(shown, clean[source])
        for person in set(subject[source != np.arange(len(source))]):
            wearer = subject == person
            assert person not in faulty
            faulty[person] = name
            donor = set(subject[source[wearer]])
            assert len(donor) == 1
            assert donor <= unlabelled - {person}
            # In the order of time, which the index has within a session.
            assert (np.diff(source[wearer]) == 1).all()
    assert set(faulty) <= unlabelled
    assert len(faulty) == round(0.5 * len(unlabelled)) > 0
    assert with_faults.available.all()


def test_an_oracle_leaves_mismatched_sensors_out(corpus):
    run = Run(1, 0)
    with_faults, *_ = mismatched(corpus, run)
    hidden, _, _ = mismatched(corpus, run, oracle=True)
    np.testing.assert_array_equal(hidden.source, with_faults.source)
    wrong = hidden.source != np.arange(len(hidden.source))[:, None]
    np.testing.assert_array_equal(hidden.available, ~wrong)
    for number, name in enumerate(hidden.modalities):
        shown = hidden.windows(name)
        assert (shown[wrong[:, number]] == 0).all()
        np.testing.assert_array_equal(
            shown[~wrong[:, number]], with_faults.windows(name)[~wrong[:, number]]
        )


def test_mismatches_are_drawn_for_each_run(corpus):
    sources = [mismatched(corpus, run)[0].source for run in (Run(0, 0), Run(1, 0), Run(1, 1))]
    assert all((sources[0] != other).any() for other in sources[1:])
    assert (sources[1] != sources[2]).any()
    np.testing.assert_array_equal(sources[2], mismatched(corpus, Run(1, 1))[0].source)


@pytest.mark.parametrize("fields", [{"mismatched": 0.4}, {"labelled_subjects": 2, "oracle": True}])
def test_mismatches_need_unlabelled_subjects_and_an_oracle_mismatches(fields):
    with pytest.raises(ValidationError, match="requires"):
        Scenario(**fields)


def test_a_mismatch_needs_two_unlabelled_subjects(corpus):
    labels = NoisyLabels(corpus, Scenario(labelled_subjects=4, mismatched=0.5))
    with pytest.raises(ConsilienceError, match="fewer than two training subjects"):
        with_mismatches(labels, Run(0, 0), LoadedCorpus(**fields_of(corpus), prepared={}))
