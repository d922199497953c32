from __future__ import annotations

import numpy as np
import pytest

from consilience.evaluation.detection import (
    PooledPredictions,
    Scores,
    count_by_subject,
    detection_tasks,
    is_bad_sensor,
    is_used,
)
from consilience.evaluation.metrics import auroc
from consilience.windows.conditions import Condition
from tests.evaluation.conftest import build_corpus

CORPUS = build_corpus()
N = len(CORPUS.index)
FULL = Condition("subset", CORPUS.modalities)
MISMATCH = Condition("mismatch", ("audio",))
CORRUPTED = Condition("noise", ("video",), 5)
EVERYTHING = Condition("everything", CORPUS.modalities, 5)


def predictions(
    reliability: tuple[float, float, float], coherence: float = 1.0, vacuity: float = 0.0
) -> PooledPredictions:
    one_seed = np.ones((1, N))
    return PooledPredictions(
        np.full((1, N, 3), 1 / 3),
        np.zeros((1, N, 2)),
        np.ones((1, N, 2)),
        np.ones((1, N, 2)),
        np.ones((1, N, 3)),
        vacuity * one_seed,
        coherence * one_seed,
        np.broadcast_to(reliability, (1, N, 3)),
    )


def areas(under_test: dict[Condition, PooledPredictions]) -> dict[str, float]:
    clean = predictions((0.8, 0.8, 0.8))
    tasks = detection_tasks({FULL: clean, **under_test}, FULL, CORPUS)
    owner = np.zeros(N, int)
    return {
        name: float(auroc(count_by_subject(scores, owner, 1))[0, 0])
        for name, scores in tasks.items()
    }


@pytest.mark.parametrize(
    ("kind", "severity", "bad", "used"),
    [
        ("mismatch", 0, True, True),
        ("noise", 5, True, True),
        ("noise", 4, False, False),
        ("desync", 5, False, False),
        ("missing", 5, False, False),
        ("everything", 5, False, True),
        ("subset", 0, False, False),
    ],
)
def test_a_bad_sensor_is_mismatched_or_corrupted_at_the_highest_severity(
    kind: str, severity: int, bad: bool, used: bool
) -> None:
    condition = Condition(kind, ("audio",), severity)
    assert (is_bad_sensor(condition), is_used(condition)) == (bad, used)


def test_the_mismatched_sensor_is_the_positive_of_its_task() -> None:
    assert areas({MISMATCH: predictions((0.8, 0.1, 0.8))})["mismatched_sensor"] == 1
    assert areas({MISMATCH: predictions((0.1, 0.9, 0.1))})["mismatched_sensor"] == 0
    assert areas({MISMATCH: predictions((0.8, 0.8, 0.8))})["mismatched_sensor"] == 0.5
    assert areas({MISMATCH: predictions((0.8, 0.1, 0.8))})["mismatched_sensor_audio"] == 1


def test_corrupted_sensors_have_tasks_of_their_own() -> None:
    found = areas({CORRUPTED: predictions((0.8, 0.8, 0.1))})
    assert found == {"corrupted_sensor": 1, "corrupted_sensor_video": 1}


def test_low_coherence_detects_a_mismatch_and_high_vacuity_a_corruption_of_all() -> None:
    found = areas(
        {
            MISMATCH: predictions((0.8, 0.8, 0.8), coherence=0.2),
            EVERYTHING: predictions((0.8, 0.8, 0.8), vacuity=0.9),
        }
    )
    assert found["mismatch"] == found["out_of_distribution"] == 1


def test_windows_without_the_sensor_or_with_it_alone_are_left_out() -> None:
    tasks = detection_tasks(
        {FULL: predictions((0.8, 0.8, 0.8)), MISMATCH: predictions((0.8, 0.1, 0.8))}, FULL, CORPUS
    )
    rows = np.concatenate([scores.rows for scores in tasks["mismatched_sensor"]])
    usable = CORPUS.available[:, 1] & (CORPUS.available.sum(1) > 1)
    np.testing.assert_array_equal(np.unique(rows), np.flatnonzero(usable))
    positives = [scores for scores in tasks["mismatched_sensor"] if scores.positive]
    assert [len(scores.rows) for scores in positives] == [usable.sum()]


def test_counts_are_by_subject_and_without_undefined_scores() -> None:
    values = np.array([[0.9, 0.1, np.nan, 0.5]])
    rows = np.arange(4)
    scores = [Scores(values[:, :2], True, rows[:2]), Scores(values[:, 2:], False, rows[2:])]
    counts = count_by_subject(scores, np.array([0, 1, 1, 1]), 2)
    assert counts.shape[:2] == (1, 2)
    np.testing.assert_array_equal(counts.sum(2), [[[1, 1], [2, 1]]])
