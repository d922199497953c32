"""Parameters of MMANet."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.plugins import MethodParams


class Params(MethodParams):
    """Weights of the authors' experiments on CASIA-SURF, except the first.

    Theirs is 30, which costs 3 points on RAVDESS's validation actors.
    """

    margin: float = Field(1.0, ge=0, description="alpha: weight of the margin-aware distillation")
    regularisation: float = Field(0.5, ge=0, description="beta: weight of the weak combinations")
    begin: float = Field(
        0.05, ge=0, le=1, description="share of the training before both start; 5 of 100 epochs"
    )
