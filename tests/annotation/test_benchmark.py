"""Consensus against plain means and majorities, on simulated annotators who are known."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.annotation import benchmark
from pipeline.annotation.benchmark import RUNS, Run, nearer


@pytest.mark.slow
def test_lags_are_recovered_and_the_consensus_is_nearer_than_the_mean() -> None:
    runs = [benchmark.traces(number) for number in range(RUNS)]
    for rival in runs[0].plain:
        assert nearer(runs, rival) >= 0.95
    errors_s = np.abs([error for run in runs for error in run.lag_errors_s])
    assert np.quantile(errors_s, 0.95) <= 0.25


@pytest.mark.slow
@pytest.mark.parametrize(
    ("simulate", "share"), [(benchmark.classes, 0.95), (benchmark.ratings, 0.85)]
)
def test_the_consensus_is_nearer_than_votes_and_median(
    simulate: Callable[[int], Run], share: float
) -> None:
    runs = [simulate(number) for number in range(RUNS)]
    for rival in runs[0].plain:
        assert nearer(runs, rival) >= share


def test_a_run_depends_on_its_number_alone() -> None:
    first, again, other = (benchmark.classes(number) for number in (3, 3, 4))
    assert first == again
    assert first != other
