"""Parameters of the skin temperature."""

from __future__ import annotations

from pydantic import Field

from consilience.modalities.params.single_channel import SingleChannelParams


class TemperatureParams(SingleChannelParams):
    """Parameters of the skin temperature."""

    window_s: float = Field(20.0, gt=0, description="length of the signal behind a frame")


Params = TemperatureParams
