"""Parameters that one-channel sensors share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import Field, model_validator

from consilience.schema.params.plugins import (
    Corruption,
    ModalityParams,
    Severities,
    default_corruptions,
)

CORRUPTIONS: Mapping[str, Corruption] = {
    "noise": Corruption("signal-to-noise ratio in dB", (20.0, 10.0, 3.0, -3.0, -10.0), (-60, 60)),
    "wander": Corruption(
        "amplitude in the signal's own spread", (0.5, 1.5, 4.0, 10.0, 25.0), (0, 1000)
    ),
    "movement": Corruption(
        "amplitude in the signal's own spread", (0.5, 1.5, 4.0, 10.0, 25.0), (0, 1000)
    ),
    "dropout": Corruption("share of the time lost", (0.1, 0.2, 0.35, 0.5, 0.7), (0, 1)),
}


class SingleChannelParams(ModalityParams):
    """Parameters of `consilience.modalities.single_channel.SingleChannel`."""

    channel: str = Field("", description="its name; empty: the first with a usual name")
    window_s: float = Field(8.0, gt=0, description="length of the signal behind a frame")
    hop_s: float = Field(0.5, gt=0)
    sync_code: int | None = Field(
        None, ge=1, le=65535, description="of synchronisation markers; empty: the most frequent"
    )
    CORRUPTION_KINDS: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS
    corruptions: dict[str, Severities] = default_corruptions(CORRUPTIONS)

    @model_validator(mode="after")
    def _overlapping(self) -> Self:
        if self.hop_s > self.window_s:
            raise ValueError("hop_s must not be longer than window_s")
        return self

    @property
    def frame_rate_hz(self) -> float:
        """Feature frames per second."""
        return 1 / self.hop_s


Params = SingleChannelParams
