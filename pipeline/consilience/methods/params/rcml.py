"""Parameters of reliable conflictive multi-view learning."""

from __future__ import annotations

from pydantic import Field

from consilience.methods.params.tmc import EvidentialParams


class Params(EvidentialParams):
    """The authors anneal over 50 of 200 epochs."""

    annealing: float = Field(
        0.25,
        ge=0,
        description="share of the training in which the KL term grows; above 1 it stays partial",
    )
    gamma: float = Field(1.0, ge=0, description="weight of the conflict")
