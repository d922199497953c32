"""Parameters of the transcripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from consilience.schema.params.plugins import (
    Corruption,
    ModalityParams,
    Severities,
    default_corruptions,
)

CORRUPTIONS: Mapping[str, Corruption] = {
    "noise": Corruption("share of characters wrong", (0.02, 0.05, 0.1, 0.2, 0.4), (0, 1)),
    "word_loss": Corruption("share of words lost", (0.1, 0.2, 0.4, 0.6, 0.8), (0, 1)),
    "confusion": Corruption("share of words misheard as others", (0.1, 0.2, 0.4, 0.6, 0.9), (0, 1)),
    "utterance_loss": Corruption("share of utterances lost", (0.1, 0.2, 0.4, 0.6, 0.8), (0, 1)),
}


class TextParams(ModalityParams):
    """Parameters of the transcripts."""

    INPUTS: ClassVar[str] = "moments"

    hop_s: float = Field(0.2, ge=0.05, description="from one frame to the next")
    CORRUPTION_KINDS: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS
    corruptions: dict[str, Severities] = default_corruptions(CORRUPTIONS)

    @property
    def frame_rate_hz(self) -> float:
        """Feature frames per second."""
        return 1 / self.hop_s


Params = TextParams
