"""Parameters of the electrodermal activity."""

from __future__ import annotations

from pydantic import Field

from consilience.modalities.params.single_channel import SingleChannelParams


class GsrParams(SingleChannelParams):
    """Parameters of the electrodermal activity."""

    window_s: float = Field(10.0, gt=0, description="length of the signal behind a frame")
    response: float = Field(
        0.1, gt=0, lt=1, description="least rise of a response, relative to the largest"
    )
    is_resistance: bool = Field(False, description="the recorder gives ohms: use the reciprocal")


Params = GsrParams
