"""Parameters of co-teaching."""

from __future__ import annotations

from pydantic import Field

from consilience.methods.params import hybrid


class Params(hybrid.Params):
    """Those of Han et al. 2018; the paper's ramp is 10 of 200 epochs."""

    forget: float = Field(
        0.2, ge=0, lt=1, description="tau: share of windows dropped; the noise rate, if known"
    )
    ramp: float = Field(0.05, ge=0, le=1, description="T_k as a share of the training")
