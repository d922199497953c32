"""Parameters of the demonstration corpus."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.base import Section


class SynthesisParams(Section):
    """Size and difficulty of the demonstration corpus."""

    KEY = "synthesis"

    subjects: int = Field(8, ge=1, description="simulated subjects")
    sessions: int = Field(2, ge=1, description="sessions per subject")
    trials: int = Field(8, ge=1, description="trials per session, each with one emotion")
    trial_s: float = Field(6.0, ge=1, description="length of a trial")
    missing_fraction: float = Field(0.1, ge=0, le=0.3, description="share of missing recordings")
    faulty_fraction: float = Field(
        0.1, ge=0, le=0.3, description="share of recordings with a fault"
    )
    max_offset_s: float = Field(2.0, ge=0, description="of a device's clock, in either direction")
    max_drift_ppm: float = Field(
        300.0, ge=0, description="of a device's clock, in either direction"
    )
