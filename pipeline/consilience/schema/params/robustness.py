"""Parameters of the evaluation."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.base import Section


class RobustnessParams(Section):
    """Resampling and calibration bins of the evaluation, and its check of recordings."""

    KEY = "robustness"

    bootstrap: int = Field(
        2000, ge=100, description="resamples of subjects per confidence interval"
    )
    calibration_bins: int = Field(15, ge=2)
    mismatch_prior: float = Field(
        0.05, gt=0, lt=1, description="probability that a recording has a mismatched sensor"
    )
    shift_prior: float = Field(
        0.33, gt=0, lt=1, description="probability that a sensor of a recording is shifted"
    )
    max_shift_s: float = Field(8.0, ge=0, description="largest shift that is tried")
