"""Parameters of the EEG as a signal."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from consilience.modalities.params.eeg import EegParams

SPLINE_S = 0.05
FRAMES_PER_SAMPLE = 2  # windows interpolate linearly, which would lose half of 45 Hz at 128 Hz


class EegSignalParams(EegParams):
    """Parameters of the signal; of `eeg`'s, those of reading and cleaning."""

    ENCODER: ClassVar[str] = "signal_networks"
    INPUTS: ClassVar[str] = "samples"

    rate_hz: float = Field(128.0, gt=0, description="samples a second in a window")
    network: Literal["EEGNet", "ShallowFBCSPNet", "Deep4Net", "EEGConformer"] = Field(
        "EEGNet", description="or larger, of braindecode: ShallowFBCSPNet, Deep4Net, EEGConformer"
    )

    @model_validator(mode="after")
    def _fast_enough(self) -> EegSignalParams:
        if self.rate_hz < 2.2 * max(high for _, high in self.bands_hz.values()):
            raise ValueError("rate_hz must be 2.2 times the highest of bands_hz or more")
        return self

    @property
    def least_rate_hz(self) -> float:
        """Sampling rate to which recordings are decimated, or somewhat above."""
        return max(super().least_rate_hz, FRAMES_PER_SAMPLE * self.rate_hz)

    @property
    def frame_rate_hz(self) -> float:
        """Samples per second of a window."""
        return self.rate_hz

    @property
    def lookahead_s(self) -> float | None:
        """Reach of the spline through the samples."""
        return SPLINE_S

    @property
    def encoding(self) -> dict[str, Any]:
        """Name of the network, and the rate its filters are designed for."""
        return {"network": self.network, "rate_hz": self.rate_hz}


Params = EegSignalParams
