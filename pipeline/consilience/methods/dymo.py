"""Dynamic modality selection: each window is predicted from its most informative modality subset.

After the idea of Du et al. 2026, "Inference-time dynamic modality selection for incomplete
multimodal classification" (DyMo, ICLR; arXiv 2601.22853): the information that a set of modalities
carries about the class is estimated at prediction, by a proxy of the task loss, and modalities are
used only where they raise it.

Simplified: the network is the hybrid; the information of a subset is ``ln K - H(p_S)``, with the
entropy as the loss expected under the subset's own prediction. Its calibration, a temperature of
each subset that rises with unusual energy of a member's input, is in place of the paper's distances
from class prototypes. All subsets are compared instead of adding modalities one by one, and the
candidates are the recorded modalities, because none is reconstructed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from consilience.methods.base import inverse_temperature, plain_prediction
from consilience.methods.hybrid import Hybrid, agreement
from consilience.methods.params.dymo import Params as DymoParams
from consilience.model.modality_subsets import possible_subsets
from consilience.model.types import Prediction, Windows
from consilience.model.uncertainty import normalised_entropy


class SubsetsOutput(NamedTuple):
    """Output of the hybrid for every modality subset.

    Attributes
    ----------
    logits : Tensor, shape (B, S, K)
    unimodal : Tensor, shape (B, M, K)
        Logits of each modality alone.
    affect_mean, affect_log_variance : Tensor, shape (B, A)
        Of all available modalities.
    available, input_energy : Tensor, shape (B, M)
    """

    logits: Tensor
    unimodal: Tensor
    affect_mean: Tensor
    affect_log_variance: Tensor
    available: Tensor
    input_energy: Tensor


class Dymo(Hybrid):
    """The hybrid's network and loss, and the selection of a subset."""

    Params = DymoParams

    # The base class promises a `Prediction`; this is the input of `calibrated`.
    def forward(self, windows: Windows) -> SubsetsOutput:  # type: ignore[override]
        """Compute the logits of all modality subsets."""
        inputs, available = windows
        output = self.network(inputs, available)
        masks = self._masks[0].to(available.device)
        logits = self.network.subset_logits(output, masks * available[:, None])
        return SubsetsOutput(
            logits,
            output.unimodal,
            output.affect[0],
            output.affect[1],
            available,
            torch.zeros_like(available),
        )

    def _calibrated_logits(self, output: SubsetsOutput) -> Tensor:
        """Divide the logits of each subset by its temperature, which rises with unusual energy."""
        masks = self._masks[0].to(output.available.device)
        of_energy = self._energy_log_temperature(output.input_energy[:, None] * masks)
        of_subset = self.calibration["log_temperature"]
        return output.logits * inverse_temperature(of_subset + of_energy)[..., None]

    def calibrated(self, output: SubsetsOutput) -> Prediction:
        """Return the prediction of the subset with the most information."""
        logits = self._calibrated_logits(output)
        entropy = normalised_entropy(logits.softmax(-1))
        possible = self._possible(output.available)
        # The first of equals is the largest subset.
        chosen = torch.where(possible, entropy.detach(), torch.inf).argmin(-1)
        # Selection as a sum over a one-hot mask, which also works under vmap.
        counted = F.one_hot(chosen, entropy.shape[-1]).to(logits.dtype)
        prediction = plain_prediction(
            (counted[..., None] * logits).sum(1),
            (output.affect_mean, output.affect_log_variance),
            output.available,
            **agreement(output.unimodal.softmax(-1), output.available),
        )
        return prediction._replace(vacuity=normalised_entropy(prediction.logits.softmax(-1)))

    def _possible(self, available: Tensor) -> Tensor:
        return possible_subsets(available, self._masks[0].to(available.device))

    def calibration_loss(self, examples: tuple[Any, Tensor, Tensor]) -> Tensor:
        """Compute the mean cross-entropy of all possible subsets.

        Not of the chosen one: a subset that is chosen where it is overconfident would be calibrated
        on those windows alone.
        """
        output, target, _ = examples
        log_probability = self._calibrated_logits(output).log_softmax(-1)
        loss = -(target[:, None] * log_probability).sum(-1)
        possible = self._possible(output.available).to(loss.dtype)
        return (loss * possible).sum(-1) / possible.sum(-1) + self._shrinkage()


method = Dymo
