from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.evaluation.aggregate import (
    Figures,
    by_kind,
    by_sample_and_subject,
    compare,
    corruption_error,
    resample_and_single_subjects,
    summary,
)
from consilience.evaluation.predict import LoadedModel, Predictions, predict
from consilience.evaluation.resampling import subject_weights
from consilience.evaluation.scorer import Evaluated, resampled, score, score_predictions
from consilience.windows.conditions import Condition, conditions
from tests.evaluation import by_hand
from tests.evaluation.conftest import RUNS, Oracle, build_corpus, numbered, plain_scaler

CORPUS = build_corpus()
ASKED = conditions(CORPUS)
WEIGHTS = subject_weights(6, 200)


def figures_of(evaluated: Evaluated, n_resamples: int) -> Figures:
    scores = resample_and_single_subjects(evaluated, n_resamples)
    return by_sample_and_subject(summary(scores), scores.n_subjects)


MODEL = LoadedModel(
    Oracle(3),  # type: ignore[arg-type]
    plain_scaler(CORPUS, len(RUNS)),
    RUNS,
    {"training": {}},
)
PREPARED = numbered(CORPUS)
PREDICTOR = partial(predict, [MODEL], CORPUS, PREPARED)


def softened(condition: Condition, roles: Sequence[str] = ("test",)) -> Predictions:
    """Predict as the oracle does, but another class for every fifth window."""
    predictions = PREDICTOR(condition, roles)
    predictions.logits[:, ::5] = np.roll(predictions.logits[:, ::5], 1, axis=-1)
    return predictions


@pytest.fixture(scope="module")
def oracle() -> Evaluated:
    return score([MODEL], CORPUS, PREPARED, ASKED, 10, keep=ASKED[:1])


@pytest.fixture(scope="module")
def worse() -> Evaluated:
    return score_predictions(softened, RUNS, CORPUS, ASKED, 10)


def estimate(evaluated: Evaluated) -> dict[str, float]:
    return {n: v[0] for n, v in summary(resampled(evaluated, np.ones((1, 6)))).items()}


def test_an_oracle_is_always_right_except_under_mismatch(
    oracle: Evaluated,
) -> None:
    result = estimate(oracle)
    alike = ("all", "without_eeg", "only_video", "noise", "missing", "everything", "severe")
    for name in (*alike, "relative_robustness", "retained", "subsets_worst"):
        assert result[name] == pytest.approx(1), name
    assert 0.5 < result["mismatch"] < 1  # a window with two sensors is one vote against one
    assert result["grid"] == pytest.approx((7 + 3 + 3 * result["mismatch"]) / 13)
    assert result["grid"] == result["grid_balanced_accuracy"]
    assert result["aurc"] == 0
    assert result["grid_aurc"] < 0.1


def test_mismatched_sensors_and_windows_are_detected(oracle: Evaluated) -> None:
    result = estimate(oracle)
    # Where three sensors are there the mismatched one agrees with none; of two, both disagree.
    assert result["mismatched_sensor_auroc"] > 0.95
    assert 0.8 < result["mismatched_sensor_accuracy"] < 1
    assert result["mismatch_auroc"] == 1
    assert result["corrupted_sensor_auroc"] == 0.5  # a corrupted sensor still votes right
    assert result["overconfidence_under_mismatch"] == 0
    assert result["vacuity_spearman"] == pytest.approx(1)
    assert result["out_of_distribution_auroc"] == 1


def test_every_test_window_is_counted_once_a_seed(oracle: Evaluated) -> None:
    counts = oracle.sums["confusion"].sum((-1, -2))
    assert counts.shape == (len(ASKED), 2, 6)
    per_condition = counts.sum(2)
    assert (per_condition[0] == len(CORPUS.index)).all()
    for number, condition in enumerate(ASKED):
        if condition.kind == "mismatch":
            column = CORPUS.modalities.index(condition.modalities[0])
            several = CORPUS.available[:, column] & (CORPUS.available.sum(1) > 1)
            assert (per_condition[number] == several.sum()).all()


def test_stored_scores_give_the_same_metrics(oracle: Evaluated, tmp_path: Path) -> None:
    oracle.save(tmp_path)
    again = Evaluated.load(tmp_path)
    assert (again.conditions, again.modalities) == (oracle.conditions, oracle.modalities)
    assert (again.subjects, again.seeds) == (oracle.subjects, oracle.seeds)
    first, second = figures_of(oracle, 100), figures_of(again, 100)
    for name, values in first.sample.items():
        np.testing.assert_array_equal(values, second.sample[name])
    with pytest.raises(ConsilienceError, match="missing evaluation file"):
        Evaluated.load(tmp_path / "elsewhere")


def test_methods_are_compared_on_the_same_draws(oracle: Evaluated, worse: Evaluated) -> None:
    first, second = figures_of(oracle, 200), figures_of(worse, 200)
    result = compare(first, second)
    assert result["all"].difference == pytest.approx(
        first.sample["all"][0] - second.sample["all"][0]
    )
    assert result["all"].low > 0.1
    assert result["all"].p_value == pytest.approx(2 / 2**6)
    assert result["all"].n_subjects == 6
    own = compare(first, first)
    assert own["grid"] == (0, 0, 0, 1, 6)


def test_corruption_error_is_one_against_oneself_and_zero_without_errors(
    oracle: Evaluated, worse: Evaluated
) -> None:
    flawless, flawed = resampled(oracle, WEIGHTS), resampled(worse, WEIGHTS)
    np.testing.assert_allclose(corruption_error(flawed, flawed), 1)
    np.testing.assert_allclose(corruption_error(flawless, flawed), 0, atol=1e-12)


def test_kinds_are_scored_separately(oracle: Evaluated) -> None:
    result = by_kind(resampled(oracle, WEIGHTS))
    assert set(result) == {
        *(("eeg", kind) for kind in ("noise", "hum", "desync")),
        *(("audio", kind) for kind in ("noise", "babble")),
        ("video", "noise"),
    }
    assert all(len(v) == len(WEIGHTS) for kind in result.values() for v in kind.values())


def test_an_ensemble_is_the_geometric_mean_of_all_runs() -> None:
    def doubtful(condition: Condition, roles: Sequence[str] = ("test",)) -> Predictions:
        predictions = PREDICTOR(condition, roles)
        predictions.logits[1::2] *= 0  # the second seed predicts nothing
        return predictions

    whole = score_predictions(doubtful, RUNS, CORPUS, ASKED[:4], 10, keep=ASKED[:1], ensemble=True)
    apart = score_predictions(doubtful, RUNS, CORPUS, ASKED[:4], 10, keep=ASKED[:1])
    assert (whole.seeds, apart.seeds) == ([0], [0, 1])
    probability = whole.predictions[ASKED[0]].probability
    assert probability.shape == (1, len(CORPUS.index), 3)
    product = np.sqrt(apart.predictions[ASKED[0]].probability.prod(0))
    np.testing.assert_allclose(probability[0], product / product.sum(1, keepdims=True))


@pytest.mark.parametrize("everywhere", [True, False], ids=["new subjects", "cross-validation"])
def test_every_figure_of_averaged_runs_equals_a_computation_by_hand(everywhere: bool) -> None:
    role = pl.lit("test") if everywhere else pl.col("role")
    corpus = replace(CORPUS, splits=CORPUS.splits.with_columns(role=role))

    def noisy(condition: Condition, roles: Sequence[str] = ("test",)) -> Predictions:
        predictions = predict([MODEL], corpus, PREPARED, condition, roles)
        rng = generator("noise", condition.kind, *condition.modalities, condition.severity)
        for name, values in vars(predictions).items():
            scale = {"logits": 4.0, "affect_mean": 0.5, "affect_half_width": 0.0}.get(name, 0.1)
            values += scale * rng.normal(size=values.shape).astype(np.float32)
        return predictions

    evaluated = score_predictions(noisy, RUNS, corpus, ASKED, 15, ensemble=True)
    figures = {name: value for name, value in estimate(evaluated).items() if np.isfinite(value)}
    expected = by_hand.figures(by_hand.Hand(corpus, RUNS, ASKED, noisy, 15))
    assert set(figures) == set(expected)
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, abs=1e-9), name
