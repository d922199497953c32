"""Parameters of the hybrid."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.plugins import MethodParams


class Params(MethodParams):
    """Weight of the unimodal losses beside the fused one."""

    unimodal: float = Field(1.0, ge=0, description="weight of the unimodal losses")
