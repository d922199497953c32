"""Parameters of the generalised cross-entropy."""

from __future__ import annotations

from pydantic import Field

from consilience.methods.params import hybrid


class Params(hybrid.Params):
    """Exponent of the loss: 0 is the cross-entropy, 1 the mean absolute error."""

    q: float = Field(0.7, gt=0, le=1, description="exponent of the loss")
