"""Evaluation of several methods, with stand-ins for trained models."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from consilience.core.errors import ConsilienceError
from consilience.evaluation import run
from consilience.evaluation.predict import LoadedModel
from consilience.evaluation.run import Evaluation, evaluate_models
from consilience.model.types import Prediction
from consilience.schema.params.plugins import DEFAULT_METHOD
from consilience.schema.params.robustness import RobustnessParams
from consilience.schema.tables import (
    Deviations,
    RecordingCoherence,
    Scores,
    SensorPredictions,
    read_table,
)
from tests.evaluation.conftest import RUNS, Oracle, build_corpus, numbered, plain_scaler

CORPUS = build_corpus()
PARAMS = RobustnessParams(bootstrap=100, calibration_bins=10)


class Guess:
    """Predicts the class after the true one for every third window."""

    def __call__(self, function: str, arguments: Any) -> Any:
        output = Oracle(3)(function, arguments)
        if not isinstance(output, Prediction):
            return output
        logits = output.logits.clone()
        logits[:, ::3] = logits[:, ::3].roll(1, -1)
        return output._replace(logits=logits)


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Evaluation]:
    def load(folder: Path, prepared: object) -> LoadedModel:
        stack: Any = Oracle(3) if folder.name == "good" else Guess()
        return LoadedModel(stack, plain_scaler(CORPUS, len(RUNS)), RUNS, {"training": {}})

    monkeypatch.setattr(run, "load_windows", lambda corpus, conditions: numbered(corpus))
    monkeypatch.setattr(run, "load_bundle", load)
    return lambda **bundles: evaluate_models(
        CORPUS, {method: Path(name) for method, name in bundles.items()}, PARAMS, {}
    )


def test_without_a_labelled_test_window_there_is_an_error(
    evaluated: Callable[..., Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    unlabelled = replace(CORPUS, target=np.full_like(CORPUS.target, np.nan))
    monkeypatch.setattr(f"{__name__}.CORPUS", unlabelled)
    with pytest.raises(ConsilienceError, match="no score of method 'concat'"):
        evaluated(concat="good")


def test_a_condition_without_test_windows_is_named(evaluated: Callable[..., Evaluation]) -> None:
    scores = evaluated(concat="good").scores
    assert run._without_score(scores) == []
    lost = (pl.col("condition") == "mismatch") & (pl.col("modalities") == CORPUS.modalities[0])
    cut = scores.with_columns(value=pl.when(lost).then(None).otherwise("value"))
    (line,) = run._without_score(cut)
    assert f"under 1 conditions, such as mismatch {CORPUS.modalities[0]}" in line


def test_every_method_has_its_metrics_scores_and_curves(
    evaluated: Callable[..., Evaluation],
) -> None:
    evaluation = evaluated(concat="bad", hybrid="good")
    assert evaluation.default == "concat"  # the first, as the default method was not trained
    assert evaluation.metrics["hybrid"]["all"] == pytest.approx(1)
    assert evaluation.metrics["concat"]["all"] == pytest.approx(2 / 3, abs=0.02)
    for values in evaluation.metrics.values():
        assert {"noise", "noise_low", "noise_high", "ece"} <= set(values)
    assert set(evaluation.scores["method"]) == {"concat", "hybrid"}
    assert set(evaluation.plots["noise"]["method"]) == {"concat", "hybrid"}
    assert set(evaluation.plots["mismatches"]["modality"]) == set(CORPUS.modalities)


def test_errors_are_relative_to_the_reference_method(evaluated: Callable[..., Evaluation]) -> None:
    evaluation = evaluated(concat="bad", hybrid="good")
    assert evaluation.metrics["concat"]["corruption_error"] == pytest.approx(1)
    assert evaluation.metrics["hybrid"]["corruption_error"] == pytest.approx(0, abs=1e-12)
    assert "corruption_error" not in evaluated(hybrid="good").metrics["hybrid"]


def test_recordings_are_checked_by_the_default_method(
    evaluated: Callable[..., Evaluation],
) -> None:
    good = evaluated(**{"concat": "bad", DEFAULT_METHOD: "good"}).recordings
    assert good.equals(evaluated(**{DEFAULT_METHOD: "good"}).recordings)
    bad = evaluated(**{"concat": "good", DEFAULT_METHOD: "bad"}).recordings
    # Predictions that are often wrong are trusted less, however confident they are.
    assert (good["llr"] > 1.5 * bad["llr"]).all()
    assert (bad["llr"] > 0).all()


def test_the_default_method_has_its_lead_over_every_other(
    evaluated: Callable[..., Evaluation],
) -> None:
    evaluation = evaluated(**{"concat": "bad", DEFAULT_METHOD: "good"})
    assert evaluation.default == DEFAULT_METHOD
    metrics = evaluation.metrics[DEFAULT_METHOD]
    lead = metrics["all"] - evaluation.metrics["concat"]["all"]
    assert metrics["all_over_concat"] == pytest.approx(lead)
    assert 0 < metrics["all_over_concat_low"] < lead
    assert "all_over_concat" not in evaluation.metrics["concat"]


def test_what_is_written_can_be_read_again(
    evaluated: Callable[..., Evaluation], tmp_path: Path
) -> None:
    evaluation = evaluated(concat="bad", hybrid="good")
    evaluation.write(tmp_path / "evaluation")
    stored = json.loads((tmp_path / "evaluation/metrics.json").read_text())
    assert stored["concat"]["all"] == evaluation.metrics["concat"]["all"]
    assert read_table(tmp_path / "evaluation/scores.parquet", Scores).equals(evaluation.scores)
    windows = pl.read_parquet(tmp_path / "evaluation/windows.parquet")
    assert windows.equals(evaluation.windows)
    recordings = read_table(tmp_path / "evaluation/recordings.parquet", RecordingCoherence)
    assert recordings.equals(evaluation.recordings)
    assert set(recordings["sensor"]) == set(CORPUS.modalities)
    sensors = read_table(tmp_path / "evaluation/sensors.parquet", SensorPredictions)
    assert sensors.equals(evaluation.sensors)
    assert read_table(tmp_path / "evaluation/deviations.parquet", Deviations).is_empty()
    for name, table in evaluation.plots.items():
        assert pl.read_csv(tmp_path / f"evaluation/plots/{name}.csv").height == table.height
