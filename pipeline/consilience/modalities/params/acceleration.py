"""Parameters of the acceleration."""

from __future__ import annotations

from pydantic import Field

from consilience.modalities.params.single_channel import SingleChannelParams


class AccelerationParams(SingleChannelParams):
    """Parameters of the acceleration."""

    channel: str = Field(
        "", description="its three axes, with commas; empty: those with usual names"
    )
    window_s: float = Field(4.0, gt=0, description="length of the signal behind a frame")


Params = AccelerationParams
