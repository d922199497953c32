"""Hybrid with an energy gate: a mixture over modality subsets, weighted by input energy alone.

The network is the hybrid's. What differs is the prediction: each modality's log input energy and
its square decide the weights of the mixture over all modality subsets
(`consilience.model.modality_subsets`), fitted after the training like those of coherence transfer.
The difference between the two methods is what coherence adds to such a gate.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from consilience.methods.base import SHRINKAGE, Method, plain_prediction
from consilience.methods.hybrid import Hybrid, agreement
from consilience.methods.params.gated_hybrid import Params as GatedHybridParams
from consilience.model.fusion import log_input_energy
from consilience.model.modality_subsets import mixture, subset_log_weights
from consilience.model.types import Prediction, Windows
from consilience.model.uncertainty import normalised_entropy

PRIOR_LOG_ODDS = 3.0  # before calibration: a modality is valid with a probability of .95
MAX_LOG_POWER = 2.0  # limit of the log of the power that a prediction is raised to


class SubsetGate(Method):
    """Weights of the mixture over modality subsets, calibrated on features of each modality.

    `forward` returns a tuple with at least ``reliability_features`` (B, M, `N_FEATURES`),
    ``available`` (B, M), and the input of `_subset_logits`. A linear function of the features, the
    log odds that a modality is intact, is fitted on modalities that are corrupted or swapped and by
    the cross-entropy of the prediction.
    """

    N_FEATURES: ClassVar[int]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        n_modalities = len(self.encoders)
        if "energy_weight" in self.calibration:
            del self.calibration["energy_weight"]  # the gate has the energy among its features
        self.calibration["sharpness"] = nn.Parameter(torch.zeros(2))
        self.calibration["gate"] = nn.Parameter(torch.zeros(n_modalities, self.N_FEATURES))
        self.calibration["gate_prior"] = nn.Parameter(torch.full((n_modalities,), PRIOR_LOG_ODDS))

    def _subset_logits(self, output: Any) -> Tensor:
        """Compute the calibrated logits (B, S, K) of every modality subset.

        By default those of `output`, divided by a temperature for each subset.
        """
        logits: Tensor = output.logits / self.calibration["log_temperature"].exp()[:, None]
        return logits

    def _mixture(self, output: Any, log_odds: Tensor) -> Tensor:
        """Compute the subsets' mixture, raised to a power that depends on its entropy.

        A mixture of subsets that agree is underconfident, because their evidence adds up and the
        mixture only averages it.
        """
        masks = self._masks[0].to(output.available.device)
        log_weights = subset_log_weights(log_odds, output.available, masks)
        logits = mixture(log_weights, self._subset_logits(output))
        offset, slope = self.calibration["sharpness"]
        log_power = offset + slope * normalised_entropy(logits.softmax(-1))
        return logits * log_power.clamp(-MAX_LOG_POWER, MAX_LOG_POWER).exp()[:, None]

    def _log_odds(self, output: Any) -> Tensor:
        """Compute the log odds (B, M) that each modality is intact."""
        weighted = (output.reliability_features * self.calibration["gate"]).sum(-1)
        return self.calibration["gate_prior"] + weighted

    def calibration_loss(self, examples: tuple[Any, Tensor, Tensor]) -> Tensor:
        """Compute the cross-entropy of the mixture plus that of detecting faulty sensors."""
        output, target, faulty = examples
        log_odds = self._log_odds(output)
        labelled = faulty.isfinite() & (output.available > 0)
        intact = torch.where(labelled, 1 - faulty, 0.0)
        detection = F.binary_cross_entropy_with_logits(log_odds, intact, reduction="none")
        # A few validation subjects would not determine all weights without a penalty.
        shrinkage = sum(self.calibration[name].square().sum() for name in ("gate", "sharpness"))
        loss = -(target * self._mixture(output, log_odds).log_softmax(-1)).sum(-1)
        return loss + torch.where(labelled, detection, 0.0).sum(-1) + SHRINKAGE * shrinkage


class GatedOutput(NamedTuple):
    """Output of the hybrid before calibration.

    Attributes
    ----------
    logits : Tensor, shape (B, S, K)
        Of every modality subset.
    reliability_features : Tensor, shape (B, M, 2)
    unimodal : Tensor, shape (B, M, K)
        Logits of each modality alone.
    affect_mean, affect_log_variance : Tensor, shape (B, A)
    available : Tensor, shape (B, M)
    """

    logits: Tensor
    reliability_features: Tensor
    unimodal: Tensor
    affect_mean: Tensor
    affect_log_variance: Tensor
    available: Tensor


class GatedHybrid(SubsetGate, Hybrid):
    """The hybrid's network and loss, and the gate."""

    Params = GatedHybridParams
    N_FEATURES = 2  # log energy of the input and its square

    # The base class promises a `Prediction`; this is the input of `calibrated`.
    def forward(self, windows: Windows) -> GatedOutput:  # type: ignore[override]
        """Compute the logits of all modality subsets and the energies."""
        inputs, available = windows
        output = self.network(inputs, available)
        masks = self._masks[0].to(available.device)
        energy = log_input_energy(inputs, available, list(self.encoders))
        # The square: both silence and noise are unreliable.
        features = torch.stack([energy, energy.square()], -1) * available[..., None]
        return GatedOutput(
            self.network.subset_logits(output, masks * available[:, None]),
            features,
            output.unimodal,
            output.affect[0],
            output.affect[1],
            available,
        )

    def calibrated(self, output: GatedOutput) -> Prediction:
        """Compute the mixture over the modality subsets, and each modality's reliability."""
        log_odds = self._log_odds(output)
        logits = self._mixture(output, log_odds)
        estimates = agreement(output.unimodal.softmax(-1), output.available)
        return plain_prediction(
            logits,
            (output.affect_mean, output.affect_log_variance),
            output.available,
            vacuity=normalised_entropy(logits.softmax(-1)),
            reliability=log_odds.sigmoid() * output.available,
            coherence=estimates["coherence"],
        )


method = GatedHybrid
