"""Parameters of self-training."""

from __future__ import annotations

from pydantic import Field

from consilience.methods.params import hybrid


class Params(hybrid.Params):
    """Threshold and weight of the pseudo-labels.

    The paper's threshold is 0.95; networks this small, with this much dropout, are seldom as
    certain, and 0.6 did best on RAVDESS's validation actors.
    """

    threshold: float = Field(0.6, ge=0, le=1, description="tau: least probability of a label")
    unlabelled: float = Field(1.0, ge=0, description="weight of the unlabelled windows")
    ramp: float = Field(
        0.3, ge=0, le=1, description="share of the training in which that weight grows"
    )
