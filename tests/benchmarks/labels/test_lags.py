"""Consensus against plain means and majorities, on simulated annotators."""

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.labels import lags
from benchmarks.labels.lags import Run, nearer

N = 60  # runs, of which all being nearer shows 95 % of any; docs/labels.md gives 200


@pytest.mark.slow
def test_lags_are_recovered_and_the_consensus_is_nearer_than_the_mean() -> None:
    runs = [lags.traces(number) for number in range(N)]
    for rival in runs[0].plain:
        assert nearer(runs, rival) >= 0.95
    errors_s = np.abs([error for run in runs for error in run.lag_errors_s])
    assert np.mean(errors_s <= 0.25) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("simulate", [lags.classes, lags.ratings])
def test_the_consensus_is_nearer_than_votes_and_mean(simulate: Callable[[int], Run]) -> None:
    runs = [simulate(number) for number in range(N)]
    for rival in runs[0].plain:
        assert nearer(runs, rival) >= 0.95


@pytest.mark.slow
def test_of_orders_alone_the_consensus_is_nearer_than_the_median() -> None:
    runs = [lags.orders(number) for number in range(N)]
    assert nearer(runs, "median of the ratings") >= 0.85


def test_a_run_depends_on_its_number_alone() -> None:
    first, again, other = (lags.classes(number) for number in (3, 3, 4))
    assert first == again
    assert first != other
