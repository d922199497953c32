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
# The right class leads, and the one before it comes second.
RIGHT = np.eye(3)[CORPUS.target.argmax(1)]
PROBABILITY = 0.6 * RIGHT + 0.3 * np.roll(RIGHT, -1, -1) + 0.1 * np.roll(RIGHT, 1, -1)


def test_a_set_has_the_classes_up_to_the_threshold() -> None:
    probability = np.array([[0.5, 0.3, 0.2]] * 4)
    threshold = np.array([0.0, 0.4, 0.5, 0.8])
    expected = [[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]
    np.testing.assert_array_equal(set_members(probability, threshold), expected)
    unpredicted = set_members(np.full((4, 3), np.nan), threshold)
    assert not unpredicted.any()


def measures(corpus: Corpus = CORPUS, **fields: Array) -> dict[str, Array]:
    """Return the measures of sets with the right class alone, with other fields."""
    zeros = np.zeros((1, N))
    pooled = PooledPredictions(
        PROBABILITY[None],
        np.zeros((1, N, 2)),
        np.ones((1, N, 2)),
        np.full((1, N, 2), 0.5),
        zeros,
        zeros,
        zeros,
        np.zeros((1, N, 3)),
    )._replace(**fields)
    return dict(zip(COVERAGE, coverage_measures(pooled, 0, corpus), strict=True))


def test_coverage_and_size_of_sets() -> None:
    leading = measures()
    assert (leading["set_coverage"] == 1).all()
    assert (leading["set_size"] == 1).all()
    others = measures(probability=np.roll(PROBABILITY, 1, -1)[None])
    assert (others["set_coverage"] == 0).all()
    # One of the others has .6 above it, the other one .9.
    assert (measures(set_threshold=np.full((1, N), 0.6))["set_size"] == 2).all()
    everything = measures(set_threshold=np.full((1, N), 0.9))
    assert (everything["set_coverage"] == 1).all()
    assert (everything["set_size"] == 3).all()
    nothing = measures(set_threshold=np.full((1, N), np.nan))
    assert (nothing["set_size"] == 0).all()
    assert (nothing["set_coverage"] == 0).all()


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
