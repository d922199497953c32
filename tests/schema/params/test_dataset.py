import pytest

from consilience.schema.params.dataset import DatasetParams


def test_the_policy_for_bad_recordings_is_quarantine_or_fail() -> None:
    assert DatasetParams().on_problem == "quarantine"
    assert DatasetParams(on_problem="fail").on_problem == "fail"
    with pytest.raises(ValueError, match="on_problem"):
        DatasetParams(on_problem="ignore")
