"""Predictions of people held out, stored, and windows of two studies that are the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consilience.core.errors import ConsilienceError
from consilience.core.files import DamagedFileError
from consilience.evaluation.predict import load_bundle, predict
from consilience.evaluation.scorer import score
from consilience.model_registry.predictions import (
    OutOfFold,
    matched,
    predict_out_of_fold,
    project_windows,
    sessions_of,
    window_keys,
)
from consilience.project import Project
from consilience.schema.tables import Recordings, read_table, write_table
from consilience.training.conditioned import load_windows
from consilience.windows.conditions import conditions
from tests.model_registry.small import METHOD, corpus_of, predictions, without_windows


def test_they_are_those_that_the_evaluation_scores(project: Project) -> None:
    corpus = project_windows(project)
    predicted = predict_out_of_fold(project, METHOD, corpus)
    assert predicted.subsets == (("audio", "face_au"), ("audio",), ("face_au",))
    assert predicted.probability.shape == (3, 2, len(corpus.index), 3)
    tested = conditions(corpus)[:3]
    prepared = load_windows(corpus, tested)
    model = load_bundle(project.model(METHOD), prepared)
    pooled = score([model], corpus, prepared, tested, 10, keep=tested).predictions
    for place, condition in enumerate(tested):
        expected = pooled[condition].probability
        np.testing.assert_allclose(predicted.probability[place], expected, atol=1e-6)


def test_no_person_is_predicted_by_a_network_of_the_own_training(project: Project) -> None:
    corpus = project_windows(project)
    model = load_bundle(project.model(METHOD))
    full = conditions(corpus)[0]
    runs = predict([model], corpus, load_windows(corpus, [full]), full).logits
    subjects = corpus.index["subject"].to_numpy()
    for number, run in enumerate(model.runs):
        predicted = set(subjects[np.isfinite(runs[number]).all(-1)])
        roles = corpus.splits.filter(pl.col("fold") == run.fold, pl.col("role") == "test")
        assert predicted == set(roles["subject"])


def test_what_is_stored_is_read_again_and_equal_predictions_are_equal_bytes(
    tmp_path: Path,
) -> None:
    of = predictions(corpus_of(), 1)
    for name in ("one.npz", "two.npz"):
        of.save(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    loaded = OutOfFold.load(tmp_path / "one.npz")
    assert (loaded.classes, loaded.subsets, loaded.sessions) == (
        of.classes,
        of.subsets,
        of.sessions,
    )
    np.testing.assert_array_equal(loaded.probability, of.probability)
    (tmp_path / "one.npz").write_bytes(b"cut")
    with pytest.raises(DamagedFileError):
        OutOfFold.load(tmp_path / "one.npz")


def test_a_window_is_the_same_by_its_recordings_and_times_not_by_names_or_order() -> None:
    of = predictions(corpus_of(), 1)
    order = np.random.default_rng(0).permutation(len(of.session))
    rows, places = matched(of, without_windows(of, order))
    np.testing.assert_array_equal(rows, np.arange(len(order)))
    np.testing.assert_array_equal(order[places], rows)


def test_windows_of_other_recordings_or_times_are_not_the_same() -> None:
    of = predictions(corpus_of(), 1)
    other = replace(of, sessions=({"eeg": "f" * 16}, *of.sessions[1:]))
    rows, _ = matched(of, other)
    assert set(of.session[rows]) == set(range(1, 16))
    moved = replace(of, start_s=of.start_s + 0.5)
    assert len(matched(of, moved)[0]) == 0


def test_a_further_sensor_of_one_study_does_not_matter_and_nothing_in_common_matches_nothing() -> (
    None
):
    of = predictions(corpus_of(), 1)
    with_ecg = replace(
        of,
        modalities=(*of.modalities, "ecg"),
        sessions=tuple({**session, "ecg": "1" * 16} for session in of.sessions),
    )
    assert len(matched(of, with_ecg)[0]) == len(of.session)
    without_recordings = replace(of, sessions=tuple({} for _ in of.sessions))
    assert window_keys(without_recordings, of.modalities) == [None] * len(of.session)
    assert len(matched(without_recordings, without_recordings)[0]) == 0


def test_sessions_are_recordings_that_are_usable(project: Project) -> None:
    table = project.recordings_table("audio")
    rows = read_table(table, Recordings)
    first = pl.col("session") == "s0"
    status = pl.when(first).then(pl.lit("quarantined")).otherwise(pl.col("status"))
    write_table(table, rows.with_columns(status=status), Recordings)
    sessions, codes = sessions_of(project, project_windows(project))
    assert sessions[0].keys() == {"face_au"}
    assert sessions[1].keys() == {"audio", "face_au"}
    assert all(len(digits) == 16 for session in sessions for digits in session.values())
    assert codes.tolist() == sorted(codes.tolist())


def test_a_model_of_other_windows_is_refused(project: Project) -> None:
    meta = project.windows / "meta.json"
    meta.write_text(meta.read_text() + " ")
    with pytest.raises(ConsilienceError, match="trained on other windows"):
        predict_out_of_fold(project, METHOD, project_windows(project))
