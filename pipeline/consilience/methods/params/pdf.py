"""Parameters of predictive dynamic fusion."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.plugins import MethodParams


class Params(MethodParams):
    """Weights of the losses beside the fused one; both are 1 in the paper."""

    unimodal: float = Field(1.0, ge=0, description="weight of the unimodal losses")
    confidence: float = Field(1.0, ge=0, description="weight of the confidence heads' loss")
