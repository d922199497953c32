"""Parameters of decoupled knowledge distillation."""

from __future__ import annotations

from pydantic import Field

from consilience.methods.params import kd


class Params(kd.Params):
    """Weights of the two parts; the paper's ramp is 20 of 240 epochs.

    The paper uses beta 8 and temperature 4 on CIFAR-100, 0.5 and 1 on ImageNet; the defaults lie
    between and did best on RAVDESS's validation actors.
    """

    transfer: float = Field(1.0, ge=0, description="weight of both parts")
    temperature: float = Field(2.0, gt=0, description="of the distillation")
    ramp: float = Field(
        0.083, ge=0, le=1, description="share of the training in which the distillation grows"
    )
    alpha: float = Field(1.0, ge=0, description="weight of the target class's part")
    beta: float = Field(1.0, ge=0, description="weight of the other classes' part")
