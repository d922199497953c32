"""Parameters of knowledge distillation."""

from __future__ import annotations

from pydantic import Field

from consilience.methods.params import hybrid


class Params(hybrid.Params):
    """Weights and temperature of the distillation."""

    transfer: float = Field(2.0, ge=0, description="weight of the distillation")
    temperature: float = Field(2.0, gt=0, description="of the distillation")
    unimodal_transfer: float = Field(
        0.5, ge=0, description="share of each unimodal head in the distillation"
    )
    ramp: float = Field(
        0.3, ge=0, le=1, description="share of the training in which the distillation grows"
    )
