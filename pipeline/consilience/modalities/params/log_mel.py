"""Parameters of the spectrogram."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from consilience.modalities.params.audio import RESAMPLING_S, VoiceParams


class LogMelParams(VoiceParams):
    """Parameters of the spectrogram; of `audio`'s, those of its reader, frames and bands."""

    ENCODER: ClassVar[str] = "spectrogram"
    INPUTS: ClassVar[str] = "spectrogram"

    mel_bands: int = Field(40, ge=1)
    channels: int = Field(32, ge=1, description="maps of a convolution; 128 or more for a GPU")
    layers: int = Field(2, ge=1, description="convolutions; 4 or 5 for a GPU")

    @property
    def lookahead_s(self) -> float | None:
        """Half of a frame."""
        return self.window_s / 2 + RESAMPLING_S

    @property
    def encoding(self) -> dict[str, Any]:
        """Size of the network."""
        return {"channels": self.channels, "layers": self.layers}


Params = LogMelParams
