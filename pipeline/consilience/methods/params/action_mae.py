"""Parameters of ActionMAE."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.plugins import MethodParams


class Params(MethodParams):
    """Weight of the reconstruction and depth of the transformer (the paper uses 2 blocks)."""

    reconstruction: float = Field(1.0, ge=0, description="weight of the reconstruction loss")
    depth: int = Field(1, ge=1, description="blocks of the encoder and of the decoder")
