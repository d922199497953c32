"""Parameters of the dominant-modality correction."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.plugins import MethodParams


class Params(MethodParams):
    """Weights of the two auxiliary losses."""

    completeness: float = Field(1.0, ge=0, description="weight of the completeness loss")
    proxy: float = Field(0.5, ge=0, description="weight of the proxies' reconstruction loss")
