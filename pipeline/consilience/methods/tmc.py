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
from consilience.methods.late_fusion import Alone, Experts
from consilience.methods.params.tmc import Params as TmcParams
from consilience.model.evidence import dempster, expected_probability
from consilience.model.fusion import encode
from consilience.model.losses import evidential_loss, gaussian_nll
from consilience.model.types import Batch, Prediction
from consilience.model.uncertainty import (
    fuse_gaussians,
    pairwise_coherence,
    vacuity,
    window_coherence,
)


class Evidential(Experts):
    """Views whose heads give evidence, ``softplus`` of their outputs; affect stays Gaussian."""

    def views(self, said: Alone) -> Tensor:
        """Return the evidence (B, M, K) of the modalities, 0 where not available."""
        return F.softplus(said.logits) * said.available[..., None]

    def reading(self, evidence: Tensor, views: Tensor, said: Alone) -> Prediction:
        """Return the reading of fused evidence (B, K), whose logits are ``log E[p]``."""
        return plain_prediction(
            expected_probability(evidence).log(),
            fuse_gaussians(said.affect_mean, said.affect_log_variance, said.available),
            said.available,
            vacuity=vacuity(evidence),
            reliability=1 - vacuity(views),
            coherence=window_coherence(
                pairwise_coherence(expected_probability(views)), said.available
            ),
        )

    def view_losses(
        self, views: Tensor, said: Alone, batch: Batch, progress: float
    ) -> list[Tensor]:
        """Return the evidential loss of each modality, over the windows that have it."""
        ramp = self.ramp(progress)
        return [
            evidential_loss(views[:, index], batch.target, said.available[:, index], ramp)
            for index in range(views.shape[1])
        ]

    def ramp(self, progress: float) -> float:
        """Return the weight ``lambda_t`` of the evidential loss's KL term."""
        annealing = self.params.annealing
        return min(1.0, progress / annealing) if annealing else 1.0


def affect_loss(said: Alone, reading: Prediction, batch: Batch) -> Tensor:
    """Return the fused and each modality's negative log likelihood of the affect."""
    loss = gaussian_nll(reading.affect_mean, reading.affect_log_variance, batch.affect)
    for index in range(said.available.shape[1]):
        mean, log_variance = said.affect_mean[:, index], said.affect_log_variance[:, index]
        loss = loss + gaussian_nll(mean, log_variance, batch.affect, said.available[:, index])
    return loss


class Tmc(Evidential):
    """``L(Dempster's combination) + sum_v L(view v)``."""

    Params = TmcParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if self.params.pseudo_view:
            n_inputs = (self.width + 1) * len(self.encoders)
            self.pseudo = self.new_head(n_inputs, self.n_classes)

    def _opinions(
        self, inputs: dict[str, Tensor], available: Tensor
    ) -> tuple[Alone, Tensor, Tensor | None]:
        encodings = encode(self.encoders, inputs, available)
        said = self.spoken(encodings, available)
        if not self.params.pseudo_view:
            return said, self.views(said), None
        several = (available.sum(-1, keepdim=True) > 1).to(available.dtype)
        joined = self.pseudo(torch.cat([*encodings, available], -1))
        return said, self.views(said), F.softplus(joined) * several

    def forward(self, given: tuple[dict[str, Tensor], Tensor]) -> Prediction:
        """Return the reading of the combined views."""
        said, views, pseudo = self._opinions(*given)
        return self.reading(_combined(views, pseudo), views, said)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the evidential losses of the combination and of every view."""
        said, views, pseudo = self._opinions(batch.inputs, batch.available)
        evidence = _combined(views, pseudo)
        some = batch.available.amax(-1)
        loss = evidential_loss(evidence, batch.target, some, self.ramp(progress))
        loss = loss + sum(self.view_losses(views, said, batch, progress))
        if pseudo is not None:
            several = (batch.available.sum(-1) > 1).to(some.dtype)
            loss = loss + evidential_loss(pseudo, batch.target, several, self.ramp(progress))
        reading = self.reading(evidence, views, said)
        opinion = reading.logits.detach().softmax(-1)
        return loss + affect_loss(said, reading, batch), opinion


def _combined(views: Tensor, pseudo: Tensor | None) -> Tensor:
    return dempster(views if pseudo is None else torch.cat([views, pseudo[:, None]], 1))


method = Tmc
