from __future__ import annotations

import numpy as np
import pytest

from consilience.evaluation.scorer import Evaluated, resample, score
from consilience.evaluation.tables import (
    accuracy_table,
    kind_table,
    noise_table,
    reliability_table,
    score_table,
    window_table,
)
from tests.evaluation.test_scorer import ASKED, CORPUS, MODEL, PREPARED


@pytest.fixture(scope="module")
def oracle() -> Evaluated:
    return score([MODEL], CORPUS, PREPARED, ASKED, 10, keep=ASKED[:1])


def test_every_test_window_has_a_row(oracle: Evaluated) -> None:
    windows = window_table(oracle.predictions[ASKED[0]], CORPUS)
    assert windows["window"].to_list() == CORPUS.index["window"].to_list()
    assert (windows["actual"] == windows["predicted"]).all()
    assert windows["reliability_eeg"].null_count() == (~CORPUS.available[:, 0]).sum()


def test_every_metric_has_a_row_per_condition_seed_and_subject(oracle: Evaluated) -> None:
    scores = score_table("oracle", oracle, CORPUS)
    metrics = scores["metric"].n_unique()
    assert scores.height == len(ASKED) * 2 * 6 * metrics
    accuracies = scores.filter(metric="balanced_accuracy", condition="subset", subject="p3")
    assert accuracies["value"].to_list() == [1.0] * accuracies.height


def test_every_prediction_is_in_a_confidence_bin(oracle: Evaluated) -> None:
    bins = reliability_table(oracle)
    assert bins["predictions"].sum() == 2 * len(CORPUS.index)
    assert (bins["from"] <= bins["confidence"]).all()
    assert (bins["confidence"] <= bins["to"]).all()


@pytest.mark.parametrize(
    ("reliability", "confidence", "verdict"),
    [
        ((0.9, 0.49, 0.8), 0.9, "bad sensor: audio"),
        ((0.2, 0.4, 0.8), 0.9, "bad sensor: eeg"),
        ((0.9, 0.5, 0.8), 0.9, "clear"),
        ((0.9, 0.5, 0.8), 0.49, "ambiguous state"),
        ((0.9, 0.1, 0.8), 0.4, "bad sensor: audio"),
        ((np.nan, np.nan, np.nan), 0.9, None),
    ],
)
def test_a_verdict_names_the_least_reliable_sensor_before_an_ambiguous_state(
    oracle: Evaluated, reliability: tuple[float, ...], confidence: float, verdict: str | None
) -> None:
    full = oracle.predictions[ASKED[0]]
    rest = (1 - confidence) / 2
    predictions = full._replace(
        reliability=np.broadcast_to(reliability, full.reliability.shape),
        probability=np.broadcast_to((confidence, rest, rest), full.probability.shape),
    )
    complete = CORPUS.available.all(1)
    verdicts = window_table(predictions, CORPUS).filter(complete)["verdict"]
    assert set(verdicts) == {verdict}


def test_curves_start_at_the_clean_condition(oracle: Evaluated) -> None:
    table = noise_table(accuracy_table({"oracle": resample(oracle, 100)}))
    assert table.columns[:4] == ["method", "kind", "modality", "severity"]
    curve = table.filter(modality="eeg", kind="noise")
    assert curve["severity"].to_list() == [0, 1, 3, 5]
    assert set(table.filter(severity=0)["balanced_accuracy"]) == {1.0}
    kinds = kind_table({"oracle": resample(oracle, 100)})
    assert kinds.height == table.filter(severity=0).height
