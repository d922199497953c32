"""Coherence-guided transfer: a clean, full-input teacher, a masked student, and who to trust.

After the description of H.-J. Jang's thesis (arXiv 2511.15741) and of arXiv 2507.13092; no code
is published and the formulas here are this project's own. Student and teacher are hybrids of
unimodal logits and a joint head with encoders of their own. The teacher always sees everything
that was recorded, clean; the student sees masked, corrupted windows and learns from the labels
and from the teacher's predictions, weighted by how coherent and how certain the teacher's
modalities are. Class prototypes in a latent space that all modalities share give the evidence,
from it vacuity, and with the agreement of modalities their reliability.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from pipeline.methods.base import Batch, Method, MethodParams, Reading, plain_reading
from pipeline.methods.hybrid import summed_loss
from pipeline.model.fusion import Opinions, SummedNetwork
from pipeline.model.losses import divergence, evidential_loss
from pipeline.model.opinions import (
    modality_coherence,
    normalised_entropy,
    pairwise_coherence,
    vacuity,
    window_coherence,
)


class CoherenceTransferParams(MethodParams):
    """Every part has its switch: a weight of 0 or ``off``."""

    unimodal: float = Field(1.0, ge=0)  # weight of the student's unimodal losses
    transfer: float = Field(2.0, ge=0)  # weight of the teacher's predictions; 0: no teacher
    temperature: float = Field(2.0, gt=0)  # of the transfer
    ramp: float = Field(0.3, ge=0, le=1)  # share of the training in which the transfer grows
    guidance: Literal["coherence", "off"] = "coherence"  # weight of a window in the transfer
    evidence: float = Field(0.2, ge=0)  # weight of the prototypes' loss; 0: vacuity is entropy
    label_trust: Literal["auto", "on", "off"] = "auto"  # auto: if annotators disagree enough
    trust_from: float = Field(0.25, ge=0, le=1)  # mean disagreement from which auto means on
    discount: bool = True  # of the confidence of incoherent windows, fitted after training


class Prototypes(nn.Module):
    """Evidence from the similarity to class prototypes in one latent space for all modalities."""

    def __init__(self, n_modalities: int, n_classes: int, width: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(
            [nn.Linear(width, width, bias=False) for _ in range(n_modalities)]
        )
        self.prototypes = nn.Parameter(torch.randn(n_classes, width))
        self.scale = nn.Parameter(torch.full((n_modalities,), 5.0))
        self.bias = nn.Parameter(torch.full((n_modalities,), -2.0))

    def forward(self, encodings: Tensor, available: Tensor) -> tuple[Tensor, Tensor]:
        """Return evidence (B, M, K), 0 where not available, and unit vectors (B, M, W)."""
        projected = [p(encodings[:, index]) for index, p in enumerate(self.projections)]
        latent = F.normalize(torch.stack(projected, 1), dim=-1, eps=1e-6)
        similarity = latent @ F.normalize(self.prototypes, dim=-1).T
        evidence = F.softplus(self.scale[:, None] * similarity + self.bias[:, None])
        return evidence * available[..., None], latent


class CoherenceTransfer(Method):
    """The student, its teacher and the prototypes."""

    Params = CoherenceTransferParams

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        n_classes: int,
        width: int,
        dropout: float,
        params: Any,
    ) -> None:
        super().__init__(encoders, n_classes, width, dropout, params)
        self.network = SummedNetwork(self.encoders, n_classes, width, dropout)
        if params.evidence:
            self.prototypes = Prototypes(len(encoders), n_classes, width)
        if params.transfer:
            self.teacher = copy.deepcopy(self.network)

    def observe(self, given: tuple[dict[str, Tensor], Tensor]) -> Reading:
        """Read windows from (inputs, available)."""
        inputs, available = given
        said = self.network(inputs, available)
        probability = said.unimodal.softmax(-1)
        pairs = pairwise_coherence(probability)
        if self.params.evidence:
            evidence, _ = self.prototypes(said.encodings, available)
            certainty = 1 - vacuity(evidence)
            told = {"vacuity": vacuity(evidence.sum(1))}
        else:
            certainty = available * (1 - normalised_entropy(probability))
            told = {}
        return plain_reading(
            said.logits,
            said.affect,
            available,
            reliability=certainty * modality_coherence(pairs, certainty, available),
            coherence=window_coherence(pairs, available),
            **told,
        )

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return student's, teacher's, transfer and evidence losses, and the teacher's opinion."""
        params = self.params
        said = self.network(batch.inputs, batch.available)
        target = self._trusted(batch, progress)
        loss = summed_loss(said, batch.available, target, batch.affect, params.unimodal)
        opinion = said.logits
        if params.evidence:
            loss = loss + params.evidence * self._evidence_loss(said, batch, target, progress)
        if params.transfer:
            taught = self.teacher(batch.clean, batch.present)
            loss = loss + summed_loss(taught, batch.present, target, batch.affect, 0.5)
            loss = loss + self._transfer(said, taught, batch, progress)
            opinion = taught.logits
        return loss, opinion.detach().softmax(-1)

    def _evidence_loss(
        self, said: Opinions, batch: Batch, target: Tensor, progress: float
    ) -> Tensor:
        evidence, _ = self.prototypes(said.encodings, batch.available)
        loss = torch.zeros((), device=target.device)
        for index in range(evidence.shape[1]):
            weight = batch.available[:, index]
            loss = loss + evidential_loss(evidence[:, index], target, weight, 0.1 * progress)
        return loss

    def _transfer(self, said: Opinions, taught: Opinions, batch: Batch, progress: float) -> Tensor:
        params = self.params
        weight = batch.available.amax(-1)
        if params.guidance == "coherence":
            weight = weight * _guidance(taught, batch.present)
        loss = divergence(said.logits, taught.logits, params.temperature, weight)
        for index in range(said.unimodal.shape[1]):
            alone = divergence(
                said.unimodal[:, index],
                taught.logits,
                params.temperature,
                weight * batch.available[:, index],
            )
            loss = loss + 0.5 * alone
        ramp = min(1.0, progress / params.ramp) if params.ramp else 1.0
        return params.transfer * ramp * loss

    def _trusted(self, batch: Batch, progress: float) -> Tensor:
        """Mix labels with the consensus where it contradicts them, once it has settled."""
        params = self.params
        if params.label_trust == "off" or progress < 0.2:
            return batch.target
        consensus = batch.consensus / batch.consensus.sum(-1, keepdim=True).clamp(min=1e-8)
        agreement = (batch.target * consensus).sum(-1) / consensus.amax(-1).clamp(min=1e-8)
        trust = agreement.clamp(max=1)[:, None]
        if params.label_trust == "auto":
            trust = torch.where(batch.disagreement >= params.trust_from, trust, 1.0)
        return trust * batch.target + (1 - trust) * consensus


def _guidance(taught: Opinions, present: Tensor) -> Tensor:
    """Return how far the teacher is to be followed: coherent and certain, mean 1 in the batch."""
    coherence = window_coherence(pairwise_coherence(taught.unimodal.softmax(-1)), present)
    weight = coherence * (1 - normalised_entropy(taught.logits.softmax(-1)))
    return (weight / weight.mean().clamp(min=1e-8)).detach()


method = CoherenceTransfer
