"""Parameters of the gate between a trained model and the accepted one."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.base import Section


class GateParams(Section):
    """Tolerated losses against the accepted model, and the certainty with which one blocks."""

    KEY = "gate"

    accuracy_margin: float = Field(
        0.02, ge=0, lt=1, description="tolerated loss of balanced accuracy"
    )
    ece_margin: float = Field(0.03, ge=0, lt=1, description="tolerated rise of calibration error")
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="of the paired interval that a margin is compared with"
    )
    resamples: int = Field(2000, ge=100, description="resamples of people per interval")
    min_people: int = Field(
        4, ge=2, description="people in both trainings below which nothing is compared"
    )
