"""Only stages that failed by an absent drive or cluster are repeated."""

import pytest

from consilience.flows.stages import is_passing


@pytest.mark.parametrize(
    ("message", "passing"),
    [
        ("error: /mnt/lab/a.edf: Input/output error (exited with 1)", True),
        ("error: data/windows: Stale file handle (exited with 1)", True),
        ("CONSILIENCE_EXECUTOR: dask://a:1 does not answer: TimeoutError (start it)", True),
        ("dask://a:1: the cluster failed: CommClosedError (its log has the reason)", True),
        ("dask://a:1: the cluster has had no worker for 600 s (start one)", True),
        ("CONSILIENCE_EXECUTOR: invalid executor: 'dask'", False),
        ("error: data: No space left on device (exited with 1)", False),
        ("error: params.yaml: unknown parameter 'trials' (exited with 1)", False),
        ("took longer than 60 s", False),
    ],
)
def test_a_failure_that_may_pass_is_repeated_and_a_mistake_is_not(
    message: str, passing: bool
) -> None:
    assert is_passing(message) == passing
