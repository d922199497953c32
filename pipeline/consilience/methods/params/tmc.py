"""Parameters of trusted multi-view classification."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.plugins import MethodParams


class EvidentialParams(MethodParams):
    """Parameters common to the evidential methods."""

    annealing: float = Field(
        0.1,
        ge=0,
        description="share of the training in which the KL term grows; above 1 it stays partial",
    )


class Params(EvidentialParams):
    """The paper anneals over 50 of 500 epochs."""

    pseudo_view: bool = Field(False, description="true: ETMC")
