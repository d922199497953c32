"""Scores of windows by hand, and confident learning beside its reference implementation."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.query.scores import (
    bald,
    coherence,
    confident_issues,
    confident_learning,
    margin,
)
from consilience.schema.params.query import QueryParams
from tests.query.small import WRONG, K, N, evidence, unlabelled


def test_coherence_is_the_weighted_sum_of_its_terms() -> None:
    of = evidence()
    terms = coherence(of, QueryParams(disagreement=2.0, vacuity=3.0))
    np.testing.assert_allclose(terms.vacuity, 0.3)
    np.testing.assert_allclose(terms.total, terms.distrust + terms.disagreement + 0.3)
    assert set(np.argsort(-terms.distrust)[: len(WRONG)]) == set(WRONG)


def test_margin_is_the_lead_of_the_first_class() -> None:
    of = evidence(seeds=1)
    of.probability[0, 0] = [0.5, 0.3, 0.2]
    assert margin(of)[0] == pytest.approx(0.8)


def test_bald_is_the_information_that_seeds_disagree_on() -> None:
    of = evidence(seeds=2)
    of.probability[:, 0] = [[1, 0, 0], [0, 1, 0]]
    of.probability[:, 1] = [[0.5, 0.5, 0], [0.5, 0.5, 0]]
    assert bald(of)[:2] == pytest.approx([np.log(2), 0], abs=1e-9)
    assert bald(of).min() > -1e-9


def test_confident_issues_by_hand() -> None:
    label = np.array([0, 0, 1, 1])
    probability = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    # Thresholds: 0.55 for class 0 and 0.65 for class 1; the second window counts as class 1.
    assert confident_issues(probability, label).tolist() == [False, True, False, False]


def test_wrong_labels_are_the_first_of_confident_learning() -> None:
    order = np.argsort(-confident_learning(evidence()))
    assert set(WRONG) <= set(order[: len(WRONG) + 2])


def test_confident_learning_ranks_unlabelled_windows_by_least_confidence() -> None:
    of = unlabelled(evidence())
    np.testing.assert_allclose(confident_learning(of), 1 - of.mean.max(1))


def test_confident_issues_are_those_of_cleanlab() -> None:
    find_label_issues = pytest.importorskip("cleanlab.filter").find_label_issues
    for sharpness in (0.5, 1.0, 2.0):
        of = evidence(sharpness)
        label = of.target.argmax(1)
        expected = find_label_issues(
            label, of.mean, filter_by="confident_learning", min_examples_per_class=0, n_jobs=1
        )
        assert confident_issues(of.mean, label).tolist() == expected.tolist()
    assert len(label) == N
    assert of.mean.shape[1] == K
