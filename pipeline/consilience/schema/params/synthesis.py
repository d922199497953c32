"""Parameters of the demonstration corpus."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.base import Section


class SynthesisParams(Section):
    """Size and difficulty of the demonstration corpus."""

    KEY = "synthesis"

    subjects: int = Field(8, ge=1, description="simulated people")
    sessions: int = Field(2, ge=1, description="of each subject")
    trials: int = Field(8, ge=1, description="emotional episodes of a session")
    trial_s: float = Field(6.0, ge=1, description="length of a trial")
    missing_fraction: float = Field(0.1, ge=0, le=0.3, description="recordings never made")
    faulty_fraction: float = Field(0.1, ge=0, le=0.3, description="recordings with a fault")
    max_offset_s: float = Field(2.0, ge=0, description="of a device's clock, either way")
    max_drift_ppm: float = Field(300.0, ge=0, description="of a device's clock, either way")
