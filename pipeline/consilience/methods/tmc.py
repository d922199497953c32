"""Trusted multi-view classification: evidential views, combined by Dempster's rule.

Han et al. 2021, "Trusted multi-view classification" (arXiv 2102.02051). With the pseudo-view, a
further view over all encodings, it is ETMC; Han et al. 2022 (arXiv 2204.11423).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from consilience.methods.base import plain_prediction
from consilience.methods.late_fusion import UnimodalExperts, UnimodalOutput
from consilience.methods.params.tmc import Params as TmcParams
from consilience.model.evidence import dempster, expected_probability
from consilience.model.fusion import encode
from consilience.model.losses import evidential_loss, gaussian_nll
from consilience.model.types import Batch, Prediction, Windows
from consilience.model.uncertainty import (
    fuse_gaussians,
    pairwise_coherence,
    vacuity,
    window_coherence,
)


class Evidential(UnimodalExperts):
    """Views whose heads give evidence, ``softplus`` of their outputs; affect stays Gaussian."""

    def views(self, output: UnimodalOutput) -> Tensor:
        """Compute the evidence (B, M, K) of the modalities, 0 where not available."""
        return F.softplus(output.logits) * output.available[..., None]

    def evidential_prediction(
        self, evidence: Tensor, views: Tensor, output: UnimodalOutput
    ) -> Prediction:
        """Return the prediction of fused evidence, whose logits are ``log E[p]``.

        Parameters
        ----------
        evidence : Tensor, shape (B, K)
            Fused.
        views : Tensor, shape (B, M, K)
            Of each modality.
        output : UnimodalOutput
        """
        return plain_prediction(
            expected_probability(evidence).log(),
            fuse_gaussians(output.affect_mean, output.affect_log_variance, output.available),
            output.available,
            vacuity=vacuity(evidence),
            reliability=1 - vacuity(views),
            coherence=window_coherence(
                pairwise_coherence(expected_probability(views)), output.available
            ),
        )

    def view_losses(
        self, views: Tensor, output: UnimodalOutput, batch: Batch, progress: float
    ) -> Tensor:
        """Compute the sum of the modalities' evidential losses, each over its own windows."""
        return evidential_loss(views, batch.target, output.available, self.ramp(progress))

    def ramp(self, progress: float) -> float:
        """Return the weight ``lambda_t`` of the evidential loss's KL term.

        It grows from 0: at full weight from the start, the KL term suppresses evidence before
        there is any to keep.
        """
        annealing = self.params.annealing
        return min(1.0, progress / annealing) if annealing else 1.0


def affect_loss(output: UnimodalOutput, prediction: Prediction, batch: Batch) -> Tensor:
    """Compute the fused and each modality's negative log likelihood of the affect."""
    loss = gaussian_nll(prediction.affect_mean, prediction.affect_log_variance, batch.affect)
    unimodal = output.affect_mean, output.affect_log_variance
    return loss + gaussian_nll(*unimodal, batch.affect, output.available)


class Tmc(Evidential):
    """``L(Dempster's combination) + sum_v L(view v)``."""

    Params = TmcParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if self.params.pseudo_view:
            n_inputs = (self.width + 1) * len(self.encoders)
            self.pseudo = self.new_head(n_inputs, self.n_classes)

    def _all_views(
        self, inputs: dict[str, Tensor], available: Tensor
    ) -> tuple[UnimodalOutput, Tensor, Tensor | None]:
        """Compute the unimodal output, its evidence and that of the optional pseudo-view."""
        encodings = encode(self.encoders, inputs, available)
        output = self.heads_output(encodings, available)
        if not self.params.pseudo_view:
            return output, self.views(output), None
        # With a single modality the pseudo-view would count the same evidence twice.
        several = (available.sum(-1, keepdim=True) > 1).to(available.dtype)
        joint = self.pseudo(torch.cat([*encodings, available], -1))
        return output, self.views(output), F.softplus(joint) * several

    def forward(self, windows: Windows) -> Prediction:
        """Compute the prediction of the combined views."""
        output, views, pseudo = self._all_views(*windows)
        return self.evidential_prediction(_combined(views, pseudo), views, output)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the evidential losses of the combination and of every view."""
        output, views, pseudo = self._all_views(batch.inputs, batch.available)
        evidence = _combined(views, pseudo)
        has_input = batch.available.amax(-1)
        loss = evidential_loss(evidence, batch.target, has_input, self.ramp(progress))
        loss = loss + self.view_losses(views, output, batch, progress)
        if pseudo is not None:
            several = (batch.available.sum(-1) > 1).to(has_input.dtype)
            loss = loss + evidential_loss(pseudo, batch.target, several, self.ramp(progress))
        prediction = self.evidential_prediction(evidence, views, output)
        probability = prediction.logits.detach().softmax(-1)
        return loss + affect_loss(output, prediction, batch), probability


def _combined(views: Tensor, pseudo: Tensor | None) -> Tensor:
    return dempster(views if pseudo is None else torch.cat([views, pseudo[:, None]], 1))


method = Tmc
