"""Parameters of quality-aware multimodal fusion."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.plugins import MethodParams


class Params(MethodParams):
    """Scale of the energy weights and weight of their regulariser."""

    scale: float = Field(0.1, gt=0, description="of the negative energy")
    rank: float = Field(0.1, ge=0, description="weight of the ranking regulariser")
