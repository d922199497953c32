"""Parameters of alignment."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.base import Section


class AlignmentParams(Section):
    """How clocks are matched, and when a recording counts as aligned."""

    KEY = "alignment"

    max_offset_s: float = Field(5.0, gt=0, description="largest offset between two clocks")
    max_drift_ppm: float = Field(500.0, gt=0, description="largest drift between two clocks")
    match_tolerance_ms: float = Field(
        60.0, gt=0, description="a pulse this near to a scheduled one can be it"
    )
    tolerance_ms: float = Field(20.0, gt=0, description="a clock may be wrong by: half a frame")
    min_confidence: float = Field(
        0.99, gt=0, lt=1, description="aligned if the clock is this surely within the tolerance"
    )
    min_anchors: int = Field(
        3, ge=2, description="fewer matched pulses leave a recording unaligned"
    )
    sound_window_s: float = Field(
        8.0, gt=0, description="of two sound tracks, compared at a time to find their delay"
    )

    def sample_tolerance_ms(self, rate_hz: float | None) -> float:
        """Return the tolerance, or half a sample where that is more."""
        return max(self.tolerance_ms, 500 / rate_hz) if rate_hz else self.tolerance_ms
