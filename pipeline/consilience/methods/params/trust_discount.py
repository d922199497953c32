"""Parameters of trust discounting."""

from __future__ import annotations

from pydantic import Field

from consilience.methods.params.tmc import EvidentialParams


class Params(EvidentialParams):
    """Annealing of the evidential losses and weight of the referral's."""

    referral: float = Field(1.0, gt=0, description="weight of the loss of the referral trust")
