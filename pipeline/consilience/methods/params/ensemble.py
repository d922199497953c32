"""Parameters of the ensemble."""

from __future__ import annotations

from pydantic import Field

from consilience.methods.params import hybrid


class Params(hybrid.Params):
    """Those of the hybrid, and the number of networks."""

    members: int = Field(3, ge=1, description="number of networks")
