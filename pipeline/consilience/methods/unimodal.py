"""Dedicated models: each window is read from one modality alone, the one most sure of itself.

Where a single modality is available this is the model dedicated to it, trained on nothing else.
Which of several to believe is not learned: after calibration, each by a temperature of its own,
the one with the least entropy speaks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from consilience.methods.base import plain_prediction
from consilience.methods.hybrid import agreement
from consilience.methods.late_fusion import Alone, Experts
from consilience.methods.params.unimodal import Params as UnimodalParams
from consilience.model.types import Prediction
from consilience.model.uncertainty import normalised_entropy


class Unimodal(Experts):
    """A model per modality, none of which knows of the others."""

    Params = UnimodalParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.calibration["log_temperature"] = nn.Parameter(torch.zeros(len(self.encoders)))

    def forward(self, given: tuple[dict[str, Tensor], Tensor]) -> Alone:
        """Return what each modality says for itself."""
        return self.alone(*given)

    def calibrated(self, observed: Alone) -> Prediction:
        """Return the reading of the most certain modality."""
        cooled = torch.exp(-self.calibration["log_temperature"])[:, None]
        logits = observed.logits * cooled
        doubt = normalised_entropy(logits.softmax(-1)).detach()
        doubt = torch.where(observed.available > 0, doubt, torch.inf)
        chosen = nn.functional.one_hot(doubt.argmin(-1), doubt.shape[-1])[..., None]
        known = observed.available.amax(-1, keepdim=True)
        reading = plain_prediction(
            (chosen * logits).sum(1),
            (
                known * (chosen * observed.affect_mean).sum(1),
                known * (chosen * observed.affect_log_variance).sum(1),
            ),
            observed.available,
            **agreement(logits.softmax(-1), observed.available),
        )
        return reading._replace(vacuity=normalised_entropy(reading.logits.softmax(-1)))


method = Unimodal
