"""Figures of two models on the same windows, and when one is worse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from consilience.evaluation.resampling import subject_weights
from consilience.model_registry.comparison import (
    ALL,
    ECE,
    NOT_WORSE,
    QUARTER,
    SUBSET,
    UNCERTAIN,
    WORSE,
    Pair,
    PairedWindows,
    compare_windows,
    samples,
    verdict,
)
from consilience.schema.params.gate import GateParams

K, PEOPLE, EACH = 3, 5, 6
N = PEOPLE * EACH
FEW = GateParams(resamples=100)


def paired(candidate: np.ndarray, accepted: np.ndarray) -> PairedWindows:
    """Return windows of which each model has predictions (Z, N, K), with one subset of sensors."""
    return PairedWindows(
        Pair(candidate, accepted),
        {"eeg": Pair(candidate, accepted)},
        np.eye(K)[np.arange(N) % K],
        np.arange(N) // EACH,
        PEOPLE,
    )


def right_until(person: int) -> np.ndarray:
    """Return certain predictions that are right for people before this one."""
    truth = np.arange(N) % K
    wrong = np.arange(N) // EACH >= person
    return np.eye(K)[(truth + wrong) % K][None]


def test_figures_are_those_counted_by_hand() -> None:
    windows = paired(right_until(4), right_until(5))
    sample = samples(windows, 0, subject_weights(PEOPLE, 100), 10).people
    assert sample[ALL][0] == pytest.approx(0.8)
    assert sample[SUBSET][0] == pytest.approx(0.8)
    # A quarter of five people: the one with all errors, and a quarter of the next.
    assert sample[QUARTER][0] == pytest.approx(0.25 / 1.25)
    assert sample[ECE][0] == pytest.approx(0.2)
    assert samples(windows, 1, subject_weights(PEOPLE, 100), 10).people[ALL] == pytest.approx(1.0)


def test_the_worst_subset_is_each_models_and_a_subset_without_windows_is_left_out() -> None:
    windows = paired(right_until(5), right_until(5))
    nothing = np.full((1, N, K), np.nan)
    windows = replace(
        windows,
        subsets={
            "eeg": Pair(right_until(2), right_until(4)),
            "audio": Pair(right_until(5), right_until(3)),
            "video": Pair(nothing, nothing),
        },
    )
    weights = subject_weights(PEOPLE, 100)
    assert samples(windows, 0, weights, 10).people[SUBSET][0] == pytest.approx(0.4)
    assert samples(windows, 1, weights, 10).people[SUBSET][0] == pytest.approx(0.6)


@given(
    arrays(np.float64, (2, N, K), elements=st.floats(0.01, 1)),
    st.floats(0, 0.5),
    st.floats(0.51, 0.999),
)
def test_equal_predictions_are_never_worse(
    values: np.ndarray, margin: float, confidence: float
) -> None:
    probability = values / values.sum(-1, keepdims=True)
    strict = GateParams(
        accuracy_margin=margin, ece_margin=margin, confidence=confidence, resamples=100
    )
    rows = compare_windows(paired(probability, probability), strict, 10)
    assert WORSE not in {row.verdict for row in rows}
    assert all(row.low <= row.difference == 0 <= row.high for row in rows)


@given(arrays(np.float64, (2, 2, N, K), elements=st.floats(0.01, 1)))
def test_of_two_models_at_most_one_is_worse_and_differences_are_opposite(
    values: np.ndarray,
) -> None:
    first, second = values / values.sum(-1, keepdims=True)
    forth = compare_windows(paired(first, second), FEW, 10)
    back = compare_windows(paired(second, first), FEW, 10)
    for there, here in zip(forth, back, strict=True):
        assert there.difference == pytest.approx(-here.difference)
        assert WORSE not in (there.verdict, here.verdict) or there.verdict != here.verdict


def test_a_larger_margin_never_blocks_more() -> None:
    windows = paired(right_until(2), right_until(5))
    strict = {row.figure: row.verdict for row in compare_windows(windows, FEW, 10)}
    lenient = GateParams(accuracy_margin=0.9, ece_margin=0.9, resamples=100)
    assert strict[QUARTER] == WORSE
    assert all(row.verdict != WORSE for row in compare_windows(windows, lenient, 10))


@pytest.mark.parametrize(
    ("low", "high", "higher_is_worse", "expected"),
    [
        (-0.10, -0.03, False, WORSE),
        (-0.10, -0.02, False, UNCERTAIN),  # ends at the margin
        (-0.02, 0.10, False, NOT_WORSE),
        (-0.03, 0.10, False, UNCERTAIN),
        (0.03, 0.10, True, WORSE),
        (-0.10, 0.02, True, NOT_WORSE),
        (-0.10, 0.10, True, UNCERTAIN),
        (float("nan"), float("nan"), True, UNCERTAIN),
    ],
)
def test_a_verdict_needs_the_whole_interval(
    low: float, high: float, higher_is_worse: bool, expected: str
) -> None:
    assert verdict(low, high, 0.02, higher_is_worse=higher_is_worse) == expected
