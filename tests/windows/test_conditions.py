from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.evaluation.predict import LoadedModel, predict
from consilience.training.conditioned import conditioned_batches
from consilience.windows.conditions import (
    MISSING_RATES,
    Condition,
    _thinned,
    apply_condition,
    conditions,
    donors,
    kinds,
)
from tests.evaluation.conftest import RUNS, Oracle, build_corpus, numbered, plain_scaler

CORPUS = build_corpus()
SUBJECT = CORPUS.index["subject"].to_numpy()
TRUTH = CORPUS.target.argmax(1)


def test_every_subset_and_variant_is_asked_once_and_the_full_subset_first() -> None:
    asked = conditions(CORPUS)
    assert len(asked) == len(set(asked))
    assert asked[0] == Condition("subset", ("eeg", "audio", "video"))
    assert len([c for c in asked if c.kind == "subset"]) == 7
    variants = {(c.modalities[0], f"{c.kind}_{c.severity}") for c in asked if c.severity}
    for name in CORPUS.modalities:
        assert {(name, variant) for variant in CORPUS.variants[name]} <= variants
    assert [c.modalities for c in asked if c.kind == "mismatch"] == [
        (m,) for m in CORPUS.modalities
    ]
    assert [c.severity for c in asked if c.kind == "missing"] == [1, 2, 3, 4, 5]
    assert asked[-1] == Condition("everything", CORPUS.modalities, 5)


def test_a_single_sensor_has_neither_mismatches_nor_missing_rates() -> None:
    asked = conditions(build_corpus(("eeg",)))
    assert {c.kind for c in asked} == {"subset", "noise", "hum", "desync", "everything"}


def test_severities_are_those_found() -> None:
    assert kinds(CORPUS, "eeg") == {"noise": (1, 3, 5), "hum": (1, 5), "desync": (2,)}


def test_donors_are_of_the_same_role_and_of_another_person_and_class() -> None:
    for fold, name in [(0, "eeg"), (1, "audio"), (2, "video")]:
        result = donors(CORPUS, fold, name)
        column = CORPUS.modalities.index(name)
        for role in ("validation", "test"):
            rows = CORPUS.members(fold, role)
            several = CORPUS.available[rows, column] & (CORPUS.available[rows].sum(1) > 1)
            assert ((result[rows] >= 0) == several).all()
            own, lent = rows[several], result[rows[several]]
            assert np.isin(lent, rows).all()
            assert CORPUS.available[lent, column].all()
            assert (SUBJECT[own] != SUBJECT[lent]).all()
            assert (TRUTH[own] != TRUTH[lent]).all()
        assert (result[CORPUS.members(fold, "train")] == -1).all()
        np.testing.assert_array_equal(result, donors(CORPUS, fold, name))


def test_folds_that_test_the_same_subjects_take_the_same_donors() -> None:
    """As with new recordings, whose subjects every fold of a bundle tests."""
    tested = CORPUS.splits.with_columns(role=pl.lit("test"))
    everyone = replace(CORPUS, splits=tested)
    first, *others = (donors(everyone, fold, "audio") for fold in everyone.folds)
    assert others
    assert (first >= 0).any()
    for other in others:
        np.testing.assert_array_equal(other, first)
    # Windows do not all take the same few donors.
    taken = first[first >= 0]
    assert len(np.unique(taken)) > len(taken) / 3


def test_a_subject_of_some_folds_lends_nothing_to_one_that_all_folds_test() -> None:
    """As with new recordings among which is a subject of the training."""
    seen = pl.col("subject") == "p0"
    role = pl.when(seen & (pl.col("fold") != 0)).then(pl.lit("train")).otherwise(pl.lit("test"))
    partly = replace(CORPUS, splits=CORPUS.splits.with_columns(role=role))
    first, *others = (donors(partly, fold, "audio") for fold in partly.folds)
    new = SUBJECT != "p0"
    for other in others:
        np.testing.assert_array_equal(other[new], first[new])
    assert not np.isin(first[new], np.flatnonzero(~new)).any()
    assert (first[~new] >= 0).any()  # new subjects lend to it in the fold that tests it


def test_a_fold_with_one_test_subject_takes_donors_from_validation_never_the_reverse() -> None:
    corpus = build_corpus(roles=["test", "validation", "validation", "train", "train"])
    result = donors(corpus, 0, "audio")
    tested = corpus.members(0, "test")
    assert (result[tested] >= 0).all()
    assert np.isin(result[tested], corpus.members(0, "validation")).all()
    lone = build_corpus(roles=["test", "test", "validation", "train", "train", "train"])
    assert (donors(lone, 0, "audio")[lone.members(0, "validation")] == -1).all()


@given(st.integers(0, 200), st.sampled_from(MISSING_RATES), st.integers(2, 4))
@settings(max_examples=60)
def test_missing_removes_its_rate_and_leaves_every_window_one_sensor(seed, rate, n_sensors) -> None:
    present = np.random.default_rng(seed).random((50, n_sensors)) < 0.8
    left = _thinned(present, rate)
    assert not (left & ~present).any()
    np.testing.assert_array_equal(left.any(1), present.any(1))
    removable = present.sum() - present.any(1).sum()
    assert present.sum() - left.sum() == min(round(rate * present.sum()), removable)


def test_what_is_missing_at_a_low_rate_is_missing_at_every_higher_one() -> None:
    rates = [Condition("missing", CORPUS.modalities, severity) for severity in range(1, 6)]
    windows = [apply_condition(condition, CORPUS, 0) for condition in rates]
    for milder, worse in pairwise(windows):
        assert not (worse.available & ~milder.available).any()


def inputs(condition: Condition) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Return fold 0's test windows: positions, (window, variant) by modality, availability."""
    parts = list(
        conditioned_batches(
            plain_scaler(CORPUS, 1), RUNS[:1], CORPUS, numbered(CORPUS), {}, condition, ("test",), 7
        )
    )
    rows = np.concatenate([part.rows[0][part.counted[0]] for part in parts])
    available = np.concatenate([part.available[0][part.counted[0]] for part in parts])
    values = {
        name: 1000 * np.concatenate([part.inputs[name][0][part.counted[0]] for part in parts])
        for name in CORPUS.modalities
    }
    return rows, values, available > 0


def test_a_corruption_changes_one_modality_and_removes_none() -> None:
    rows, values, available = inputs(Condition("hum", ("eeg",), 5))
    np.testing.assert_array_equal(rows, CORPUS.members(0, "test"))
    np.testing.assert_array_equal(available, CORPUS.available[rows])
    place = 1 + CORPUS.variants["eeg"].index("hum_5")
    assert (values["eeg"][available[:, 0], 1].round() == place).all()
    assert (values["audio"][:, 1] == 0).all()


def test_a_mismatch_takes_one_sensor_from_the_donor_and_keeps_the_others() -> None:
    rows, values, available = inputs(Condition("mismatch", ("audio",)))
    result = donors(CORPUS, 0, "audio")[rows]
    assert (result >= 0).all()
    np.testing.assert_array_equal(values["audio"][:, 0].round(), result)
    there = available[:, 0]
    np.testing.assert_array_equal(values["eeg"][there, 0].round(), rows[there])


def test_everything_corrupts_all_sensors_at_the_highest_severity_in_several_ways() -> None:
    _, values, available = inputs(Condition("everything", CORPUS.modalities, 5))
    for column, name in enumerate(CORPUS.modalities):
        worst = {1 + i for i, v in enumerate(CORPUS.variants[name]) if v.endswith("_5")}
        assert set(values[name][available[:, column], 1].round()) == worst


@pytest.mark.parametrize("condition", conditions(CORPUS)[:2] + conditions(CORPUS)[-8:])
def test_every_run_predicts_its_own_test_windows_and_no_others(condition: Condition) -> None:
    scaler = plain_scaler(CORPUS, len(RUNS))
    model = LoadedModel(Oracle(3), scaler, RUNS, {"training": {}})  # type: ignore[arg-type]
    predictions = predict([model], CORPUS, numbered(CORPUS), condition)
    for number, run in enumerate(RUNS):
        finite = np.isfinite(predictions.logits[number]).all(1)
        expected = np.zeros(len(finite), bool)
        expected[CORPUS.members(run.fold, "test")] = True
        np.testing.assert_array_equal(
            finite, expected & apply_condition(condition, CORPUS, run.fold).available.any(1)
        )
        if condition.kind == "subset":
            np.testing.assert_array_equal(
                predictions.logits[number, finite].argmax(1), TRUTH[finite]
            )
