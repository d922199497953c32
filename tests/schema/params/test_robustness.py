import pytest

from consilience.schema.params.robustness import RobustnessParams


def test_an_interval_needs_many_resamples_and_calibration_two_bins() -> None:
    for name, value in (("bootstrap", 99), ("calibration_bins", 1)):
        with pytest.raises(ValueError, match=name):
            RobustnessParams(**{name: value})


def test_priors_are_probabilities_that_leave_both_outcomes_possible() -> None:
    for name in ("mismatch_prior", "shift_prior"):
        for value in (0.0, 1.0):
            with pytest.raises(ValueError, match=name):
                RobustnessParams(**{name: value})
