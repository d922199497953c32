"""Parameters of alignment."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.base import Section


class AlignmentParams(Section):
    """Search range of clocks, and the accuracy that an aligned recording needs."""

    KEY = "alignment"

    max_offset_s: float = Field(5.0, gt=0, description="largest offset between two clocks")
    max_drift_ppm: float = Field(500.0, gt=0, description="largest drift between two clocks")
    match_tolerance_ms: float = Field(60.0, gt=0, description="largest distance of matching pulses")
    tolerance_ms: float = Field(20.0, gt=0, description="largest error of an aligned clock")
    min_confidence: float = Field(
        0.99, gt=0, lt=1, description="least probability of an error within the tolerance"
    )
    min_anchors: int = Field(3, ge=2, description="least number of anchors, such as matched pulses")
    sound_window_s: float = Field(
        8.0, gt=0, description="length of the windows whose delay is estimated"
    )

    def sample_tolerance_ms(self, rate_hz: float | None) -> float:
        """Return the tolerance in ms, or half a sample if that is longer.

        A slow sensor cannot be aligned more accurately than its samples are spaced.
        """
        return max(self.tolerance_ms, 500 / rate_hz) if rate_hz else self.tolerance_ms
