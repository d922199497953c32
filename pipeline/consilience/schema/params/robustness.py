"""Parameters of the evaluation."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.base import Section


class RobustnessParams(Section):
    """Resampling and calibration bins of the evaluation."""

    KEY = "robustness"

    bootstrap: int = Field(
        2000, ge=100, description="resamples of subjects per confidence interval"
    )
    calibration_bins: int = Field(15, ge=2)
