"""Parameters of the voice's embedding."""

from __future__ import annotations

from typing import ClassVar

from pydantic import model_validator

from consilience.modalities.params.audio import VoiceParams

NETWORK_RATE_HZ = 16000  # `consilience.pretrained.speaker.RATE_HZ`, whose module loads torch


class VoiceEmbeddingParams(VoiceParams):
    """Parameters of the embedding; of `audio`'s, those of its reader and of speech."""

    INPUTS: ClassVar[str] = "moments"

    hop_s: float = 0.2

    @model_validator(mode="after")
    def _rate_of_the_network(self) -> VoiceEmbeddingParams:
        if self.rate_hz != NETWORK_RATE_HZ:
            raise ValueError(f"rate_hz must be {NETWORK_RATE_HZ}, as the network was trained")
        return self


Params = VoiceEmbeddingParams
