import pytest

from consilience.schema.params.windows import SplitParams, WindowParams


@pytest.mark.parametrize(
    "delays_s",
    [(0.1, 0.1, 0.5, 1, 2), (0, 0.1, 0.5, 1, 2), (0.1, 0.5, 1, 2), (2, 1, 0.5, 0.2, 0.1)],
)
def test_clock_errors_rise_from_above_zero(delays_s: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="desync_s"):
        WindowParams(desync_s=delays_s)


def test_a_window_is_a_trial_or_has_a_positive_length() -> None:
    assert WindowParams(length_s=None).length_s is None
    with pytest.raises(ValueError, match="length_s"):
        WindowParams(length_s=0)


def test_a_fold_needs_another_one_to_train_on() -> None:
    with pytest.raises(ValueError, match="folds"):
        SplitParams(folds=1)
