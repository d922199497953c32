"""Parameters of DivideMix."""

from __future__ import annotations

from pydantic import Field

from consilience.methods.params import hybrid


class Params(hybrid.Params):
    """Threshold, sharpening and weight are those of the paper's experiments."""

    warm_up: float = Field(
        0.2, ge=0, le=1, description="share of the training on the labels as they are"
    )
    threshold: float = Field(0.5, ge=0, le=1, description="least probability of a clean label")
    temperature: float = Field(0.5, gt=0, description="of the refined labels; below 1: sharper")
    unlabelled: float = Field(
        25.0, ge=0, description="weight of the loss of windows without a clean label"
    )
