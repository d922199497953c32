"""Predictions without labels, window by window."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pytest

from consilience.evaluation.predict import LoadedModel, predict
from consilience.evaluation.scorer import score_predictions
from consilience.prediction.run import NO_SENSOR, WHEN, predict_windows, with_all_windows
from consilience.windows.conditions import SUBSET, Condition
from consilience.windows.store import Corpus
from tests.evaluation.conftest import RUNS, Oracle, build_corpus, numbered, plain_scaler

CORPUS = build_corpus()
PREPARED = numbered(CORPUS)
CARD: dict[str, Any] = {"training": {"baseline": "none"}, "classes": list(CORPUS.classes)}
MODEL = LoadedModel(Oracle(3), plain_scaler(CORPUS, len(RUNS)), RUNS, {"training": {}})  # type: ignore[arg-type]


def unlabelled(corpus: Corpus) -> Corpus:
    return replace(
        corpus,
        target=np.full_like(corpus.target, np.nan),
        affect=np.full_like(corpus.affect, np.nan),
    )


def test_predictions_are_those_of_the_evaluation() -> None:
    full = Condition(SUBSET, CORPUS.modalities)
    predictor = partial(predict, [MODEL], CORPUS, PREPARED)
    scored = score_predictions(predictor, RUNS, CORPUS, [full], 15, [full], ensemble=True)
    expected = scored.predictions[full]
    table = predict_windows(MODEL, unlabelled(CORPUS), PREPARED)
    classes = [f"p_{name}" for name in CORPUS.classes]
    np.testing.assert_allclose(
        table.select(classes).to_numpy(), expected.probability[0], atol=1e-12
    )
    np.testing.assert_allclose(table["vacuity"], expected.vacuity[0])
    for m, name in enumerate(CORPUS.modalities):
        reliability = table[f"reliability_{name}"]
        assert (reliability.is_null().to_numpy() == ~CORPUS.available[:, m]).all()


def test_intervals_are_listed_where_the_training_had_labels() -> None:
    table = predict_windows(MODEL, unlabelled(CORPUS), PREPARED)
    assert {"predicted_valence_low", "predicted_valence_high"} <= set(table.columns)


def test_a_sensor_without_recordings_is_left_out() -> None:
    absent = replace(
        unlabelled(CORPUS),
        available=CORPUS.available & [True, True, False],
        absent={"video": (2,)},
    )
    without = {name: PREPARED[name] for name in ("eeg", "audio")}
    zeros = {"clean": PREPARED["video"]["clean"] * 0}
    table = predict_windows(MODEL, absent, {**without, "video": zeros})
    again = predict_windows(MODEL, absent, PREPARED)
    assert table.equals(again)
    assert table["reliability_video"].is_null().all()
    assert (absent.windows("video") == 0).all()


@pytest.fixture
def covered() -> pl.DataFrame:
    return predict_windows(MODEL, unlabelled(CORPUS), PREPARED)


def test_a_window_that_no_recording_covers_has_a_vacuity_of_1(covered: pl.DataFrame) -> None:
    laid = covered.select(WHEN)
    table = with_all_windows(covered.tail(-2), laid, CARD)
    assert table["window"].to_list() == laid["window"].to_list()
    empty = table.head(2)
    assert empty["vacuity"].to_list() == [1.0, 1.0]
    assert empty["verdict"].to_list() == [NO_SENSOR, NO_SENSOR]
    assert empty["predicted"].to_list() == [None, None]
    assert empty["prediction_set"][0].split("|") == list(CORPUS.classes)
    assert empty.select(f"p_{name}" for name in CORPUS.classes).row(0) == pytest.approx([1 / 3] * 3)
    assert table.tail(-2).select(covered.columns).equals(covered.tail(-2))


def test_an_enrolment_has_no_prediction(covered: pl.DataFrame) -> None:
    without = covered.with_columns(
        confidence=pl.when(pl.col("window") != "w1").then(pl.col("confidence"))
    )
    card = {**CARD, "training": {"baseline": "enrolment"}}
    table = with_all_windows(without, covered.select(WHEN), card)
    enrolled = table.filter(window="w1")
    assert enrolled["verdict"].item() == "enrolment"
    assert enrolled["predicted"].item() is None
