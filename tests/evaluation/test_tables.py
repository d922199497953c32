from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from consilience.evaluation.recording_shifts import Shift
from consilience.evaluation.scorer import Evaluated, resample, score
from consilience.evaluation.tables import (
    accuracy_table,
    kind_table,
    noise_table,
    recording_table,
    reliability_table,
    score_table,
    sensor_table,
    training_frequencies,
    window_table,
)
from consilience.schema.params.training import TrainingParams
from consilience.schema.tables import SensorPredictions
from consilience.windows.conditions import SUBSET, Condition
from tests.evaluation.conftest import SENSORS
from tests.evaluation.test_scorer import ASKED, CORPUS, MODEL, PREPARED

USUAL = np.zeros(CORPUS.available.shape, bool)


@pytest.fixture(scope="module")
def oracle() -> Evaluated:
    return score([MODEL], CORPUS, PREPARED, ASKED, 10, keep=ASKED[:1])


def test_every_test_window_has_a_row(oracle: Evaluated) -> None:
    windows = window_table(oracle.predictions[ASKED[0]], CORPUS, USUAL)
    assert windows["window"].to_list() == CORPUS.index["window"].to_list()
    assert (windows["actual"] == windows["predicted"]).all()
    assert windows["reliability_eeg"].null_count() == (~CORPUS.available[:, 0]).sum()
    # The oracle's thresholds: the leading class, and 1.5 standard deviations of 1 around 0.
    assert (windows["prediction_set"] == windows["actual"]).all()
    assert set(windows["predicted_valence_low"]) == {-1.5}
    assert set(windows["predicted_valence_high"]) == {1.5}


def test_a_prediction_set_names_its_classes(oracle: Evaluated) -> None:
    full = oracle.predictions[ASKED[0]]
    wide = full._replace(set_threshold=np.ones_like(full.set_threshold))
    assert set(window_table(wide, CORPUS, USUAL)["prediction_set"]) == {"|".join(CORPUS.classes)}


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
        ((0.9, 0.49, 0.8), 0.9, "contradicting sensor: audio"),
        ((0.2, 0.4, 0.8), 0.9, "contradicting sensor: eeg"),
        ((0.9, 0.5, 0.8), 0.9, "clear"),
        ((0.9, 0.5, 0.8), 0.49, "ambiguous state"),
        ((0.9, 0.1, 0.8), 0.4, "contradicting sensor: audio"),
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
    verdicts = window_table(predictions, CORPUS, USUAL).filter(complete)["verdict"]
    assert set(verdicts) == {verdict}


def test_a_bad_sensor_fails_if_its_input_is_unusual(oracle: Evaluated) -> None:
    full = oracle.predictions[ASKED[0]]
    predictions = full._replace(
        reliability=np.broadcast_to((0.9, 0.1, 0.8), full.reliability.shape)
    )
    alone = CORPUS.available & [False, True, False]
    corpus = replace(CORPUS, available=np.where(np.arange(len(alone))[:, None] < 8, alone, True))
    unusual = USUAL.copy()
    unusual[-8:, 1] = True
    verdicts = window_table(predictions, corpus, unusual)["verdict"]
    assert set(verdicts.head(8)) == {"bad sensor: audio"}
    assert set(verdicts[8:-8]) == {"contradicting sensor: audio"}
    assert set(verdicts.tail(8)) == {"failing sensor: audio"}


def test_curves_start_at_the_clean_condition(oracle: Evaluated) -> None:
    table = noise_table(accuracy_table({"oracle": resample(oracle, 100)}))
    assert table.columns[:4] == ["method", "kind", "modality", "severity"]
    curve = table.filter(modality="eeg", kind="noise")
    assert curve["severity"].to_list() == [0, 1, 3, 5]
    assert set(table.filter(severity=0)["balanced_accuracy"]) == {1.0}
    kinds = kind_table({"oracle": resample(oracle, 100)})
    assert kinds.height == table.filter(severity=0).height


@pytest.fixture(scope="module")
def alone() -> dict[str, NDArray[np.float64]]:
    conditions = {name: Condition(SUBSET, (name,)) for name in SENSORS}
    keep = [ASKED[0], *conditions.values()]
    predictions = score([MODEL], CORPUS, PREPARED, keep, 10, keep=keep).predictions
    return {name: predictions[alone].probability.mean(0) for name, alone in conditions.items()}


MISMATCH_PRIOR = 0.05
PRIOR = np.full(CORPUS.target.shape, 1 / 3)


def test_every_sensor_of_a_session_agrees_with_the_others(
    alone: dict[str, NDArray[np.float64]],
) -> None:
    table = recording_table(alone, PRIOR, CORPUS, MISMATCH_PRIOR, {})
    assert table.height == 6 * 3
    of_session = table.filter(session="s0")
    # Of 12 windows, two lack the EEG and two the video; each keeps two sensors.
    assert of_session["windows"].to_list() == [10, 12, 10]
    assert (table["llr"] > 0).all()
    assert not table["named"].any()
    assert (table["probability"] < MISMATCH_PRIOR / 3).all()


def test_a_sensor_swapped_throughout_a_session_is_named(
    alone: dict[str, NDArray[np.float64]],
) -> None:
    probability = alone["audio"].copy()
    probability[:12] = np.roll(probability[:12], 1, axis=-1)  # another class throughout
    swapped = {**alone, "audio": probability}
    table = recording_table(swapped, PRIOR, CORPUS, MISMATCH_PRIOR, {})
    named = table.filter("named").select("session", "sensor").rows()
    assert named == [("s0", "audio")]
    two = replace(CORPUS, modalities=("eeg", "audio"), available=CORPUS.available[:, :2])
    undecided = recording_table(swapped, PRIOR, two, MISMATCH_PRIOR, {}).filter(session="s0")
    assert not undecided["named"].any()
    assert undecided["probability"].sum() > 0.9


def test_a_session_without_a_second_sensor_has_no_row(
    alone: dict[str, NDArray[np.float64]],
) -> None:
    available = CORPUS.available.copy()
    available[:12, 1:] = False
    table = recording_table(alone, PRIOR, replace(CORPUS, available=available), MISMATCH_PRIOR, {})
    assert "s0" not in table["session"].to_list()
    assert table["session"].n_unique() == 5


def test_windows_that_no_fold_tests_have_no_row(alone: dict[str, NDArray[np.float64]]) -> None:
    first = np.arange(len(CORPUS.index))[:, None] < 12
    untested = {name: np.where(first, np.nan, values) for name, values in alone.items()}
    assert (
        "s0"
        not in recording_table(untested, PRIOR, CORPUS, MISMATCH_PRIOR, {})["session"].to_list()
    )


def test_shifts_are_those_of_the_session_and_sensor(
    alone: dict[str, NDArray[np.float64]],
) -> None:
    shifts = {"s1": {"audio": Shift(-2.5, 9.0)}, "elsewhere": {"eeg": Shift(1.0, 8.0)}}
    table = recording_table(alone, PRIOR, CORPUS, MISMATCH_PRIOR, shifts).drop_nulls("shift_s")
    columns = table.select("session", "sensor", "shift_s", "shift_gain")
    assert columns.rows() == [("s1", "audio", -2.5, 9.0)]


def test_class_frequencies_are_those_of_the_training() -> None:
    target = CORPUS.target.copy()
    trained, validated = (CORPUS.members(0, role) for role in ("train", "validation"))
    target[trained] = (0.0, 0.25, 0.75)
    target[trained[0]] = np.nan
    target[validated] = (1.0, 0.0, 0.0)
    corpus, tested = replace(CORPUS, target=target), CORPUS.members(0, "test")

    def frequencies(**params: bool) -> NDArray[np.float64]:
        rows: NDArray[np.float64] = training_frequencies(corpus, TrainingParams(**params))[tested]  # type: ignore[arg-type]
        assert (rows == rows[0]).all()
        return rows[0]

    np.testing.assert_allclose(frequencies(refit=False), (0.0, 0.25, 0.75))
    n_trained, n_validated = len(trained) - 1, len(validated)
    both = (n_trained * np.array([0.0, 0.25, 0.75]) + n_validated * np.eye(3)[0]) / (
        n_trained + n_validated
    )
    np.testing.assert_allclose(frequencies(refit=True), both)
    np.testing.assert_allclose(frequencies(balance_classes=True), 1 / 3)


def test_every_sensor_predicts_the_tested_windows_that_it_covers(
    alone: dict[str, NDArray[np.float64]],
) -> None:
    first = np.arange(len(CORPUS.index))[:, None] < 12
    untested = {name: np.where(first, np.nan, values) for name, values in alone.items()}
    table = SensorPredictions.validate(sensor_table(untested, CORPUS))
    of_eeg = table.filter(sensor="eeg")
    covered = CORPUS.index.filter(CORPUS.available[:, 0])["window"]
    assert of_eeg["window"].to_list() == [name for name in covered if int(name[1:]) >= 12]
    leading = np.array(of_eeg["probability"].to_list()).argmax(1)
    assert [CORPUS.classes[k] for k in leading] == [
        CORPUS.classes[int(name[1:]) % 3] for name in of_eeg["window"]
    ]
