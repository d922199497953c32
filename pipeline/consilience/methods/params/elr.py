"""Parameters of early-learning regularisation."""

from __future__ import annotations

from pydantic import Field

from consilience.methods.params import hybrid


class Params(hybrid.Params):
    """The default is the paper's for CIFAR-10."""

    regularisation: float = Field(3.0, ge=0, description="lambda")
