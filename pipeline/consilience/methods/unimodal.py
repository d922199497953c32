"""Dedicated models: each window is predicted from a single modality, the most certain one.

Where one modality is available this is the model dedicated to it, trained on nothing else. The
choice between several is not learned: after calibration with one temperature per modality, the
modality of least entropy is used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from consilience.methods.base import plain_prediction
from consilience.methods.hybrid import agreement
from consilience.methods.late_fusion import UnimodalExperts
from consilience.methods.params.unimodal import Params as UnimodalParams
from consilience.model.types import Prediction, Windows
from consilience.model.uncertainty import normalised_entropy


class DedicatedOutput(NamedTuple):
    """Output of each modality's model, as in `UnimodalOutput`, and the energy of its input.

    Attributes
    ----------
    logits : Tensor, shape (B, M, K)
    affect_mean, affect_log_variance : Tensor, shape (B, M, A)
    available, input_energy : Tensor, shape (B, M)
    """

    logits: Tensor
    affect_mean: Tensor
    affect_log_variance: Tensor
    available: Tensor
    input_energy: Tensor


class Unimodal(UnimodalExperts):
    """An independent model per modality."""

    Params = UnimodalParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.calibration["log_expert_temperature"] = nn.Parameter(torch.zeros(len(self.encoders)))

    def forward(self, windows: Windows) -> DedicatedOutput:
        """Compute the output of each modality's model."""
        output = self.unimodal_output(*windows)
        return DedicatedOutput(*output, torch.zeros_like(output.available))

    def calibrated(self, output: DedicatedOutput) -> Prediction:
        """Return the calibrated prediction of the most certain modality."""
        inverse_temperature = torch.exp(-self.calibration["log_expert_temperature"])[:, None]
        logits = output.logits * inverse_temperature
        # Detached: the choice has no useful gradient for the temperatures.
        entropy = normalised_entropy(logits.softmax(-1)).detach()
        entropy = torch.where(output.available > 0, entropy, torch.inf)
        # Selection as a sum over a one-hot mask, which also works under vmap.
        chosen = nn.functional.one_hot(entropy.argmin(-1), entropy.shape[-1])[..., None]
        has_input = output.available.amax(-1, keepdim=True)
        prediction = plain_prediction(
            (chosen * logits).sum(1),
            (
                has_input * (chosen * output.affect_mean).sum(1),
                has_input * (chosen * output.affect_log_variance).sum(1),
            ),
            output.available,
            **agreement(logits.softmax(-1), output.available),
            input_energy=output.input_energy,
        )
        # The most certain of several is overconfident, however well each is calibrated.
        return super().calibrated(prediction)


method = Unimodal
