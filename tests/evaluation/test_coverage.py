from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from consilience.evaluation.coverage import COVERAGE, coverage_measures, set_members
from consilience.evaluation.detection import PooledPredictions
from consilience.evaluation.metrics import Array
from consilience.windows.store import Corpus
from tests.evaluation.conftest import build_corpus

CORPUS = build_corpus()
N = len(CORPUS.index)


def test_a_set_has_the_classes_up_to_the_threshold() -> None:
    probability = np.array([[0.5, 0.3, 0.2]] * 4)
    threshold = np.array([0.0, 0.4, 0.5, 0.8])
    expected = [[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]
    np.testing.assert_array_equal(set_members(probability, threshold), expected)
    unpredicted = set_members(np.full((4, 3), np.nan), threshold)
    assert np.isnan(unpredicted).all()


def measures(corpus: Corpus = CORPUS, **fields: Array) -> dict[str, Array]:
    """Return the measures of sets with the right class alone, with other fields."""
    zeros = np.zeros((1, N))
    pooled = PooledPredictions(
        np.full((1, N, 3), 1 / 3),
        np.zeros((1, N, 2)),
        np.ones((1, N, 2)),
        np.full((1, N, 2), 0.5),
        np.eye(3)[CORPUS.target.argmax(1)][None],
        zeros,
        zeros,
        np.zeros((1, N, 3)),
    )._replace(**fields)
    return dict(zip(COVERAGE, coverage_measures(pooled, 0, corpus), strict=True))


def test_coverage_and_size_of_sets() -> None:
    alone = measures()
    assert (alone["set_coverage"] == 1).all()
    assert (alone["set_size"] == 1).all()
    wrong = np.roll(np.eye(3)[CORPUS.target.argmax(1)][None], 1, -1)
    assert (measures(set_votes=wrong)["set_coverage"] == 0).all()
    everything = measures(set_votes=np.ones((1, N, 3)))
    assert (everything["set_coverage"] == 1).all()
    assert (everything["set_size"] == 3).all()
    nothing = measures(set_votes=np.zeros((1, N, 3)))
    assert (nothing["set_size"] == 0).all()
    assert (nothing["set_coverage"] == 0).all()


def test_half_of_the_runs_are_enough_for_a_class() -> None:
    votes = np.broadcast_to([0.5, 0.4, 0.6], (1, N, 3))
    result = measures(set_votes=votes)
    assert (result["set_size"] == 2).all()
    np.testing.assert_array_equal(result["set_coverage"], CORPUS.target.argmax(1) != 1)


def test_intervals_contain_their_ends() -> None:
    # Valence is -1, 0 or 1 by class; the mean is 0.
    assert measures()["valence_coverage"].mean() == pytest.approx(1 / 3)
    wide = measures(affect_half_width=np.ones((1, N, 2)))
    assert (wide["valence_coverage"] == 1).all()
    assert (wide["valence_width"] == 2).all()


def test_without_a_label_there_is_no_coverage() -> None:
    assert np.isnan(measures()["arousal_coverage"]).all()
    unbounded = measures(affect_half_width=np.full((1, N, 2), np.inf))
    assert (unbounded["valence_coverage"] == 1).all()
    assert np.isinf(unbounded["valence_width"]).all()
    target = CORPUS.target.copy()
    target[:5] = np.nan
    result = measures(replace(CORPUS, target=target))
    np.testing.assert_array_equal(np.isnan(result["set_coverage"]), np.arange(N) < 5)
    assert np.isfinite(result["set_size"]).all()
