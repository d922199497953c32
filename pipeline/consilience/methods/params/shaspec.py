"""Parameters of shared and specific features."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.plugins import MethodParams


class Params(MethodParams):
    """Weights of the paper."""

    alignment: float = Field(
        0.1, ge=0, description="alpha: weight of the shared features' distance"
    )
    domain: float = Field(0.02, ge=0, description="beta: weight of the modality classification")
