"""Shared and specific features: one encoder common to all modalities, one for each.

Wang et al. 2023, "Multi-modal learning with missing modality via shared-specific feature
modelling" (arXiv 2307.14126). Here the shared and the specific encoders are layers upon the
encoders that every method has: inputs of different sensors cannot share an encoder.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from consilience.methods.base import Method, plain_prediction, task_loss
from consilience.methods.params.shaspec import Params as ShaSpecParams
from consilience.model.fusion import N_AFFECT, encode, split_affect
from consilience.model.losses import weighted_mean
from consilience.model.types import Batch, Prediction, Windows


class ShaSpecFeatures(NamedTuple):
    """Features of the modalities, each of shape (B, M, W), 0 where not available."""

    shared: Tensor
    specific: Tensor


class ShaSpec(Method):
    """``L_task + alpha L_dao + beta L_dco`` over ``f_m = g(r_m, s_m) + r_m``."""

    Params = ShaSpecParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        n_modalities, width = len(self.encoders), self.width
        self.shared = nn.Linear(width, width)
        self.specific = nn.ModuleList([nn.Linear(width, width) for _ in self.encoders])
        self.compose = nn.Linear(2 * width, width)
        self.domain = nn.Linear(width, n_modalities)
        self.head = self.new_head(n_modalities * width, self.n_classes + 2 * N_AFFECT)

    def _features(self, inputs: dict[str, Tensor], available: Tensor) -> ShaSpecFeatures:
        encodings = encode(self.encoders, inputs, available)
        shared = self.shared(torch.stack(encodings, 1))
        specific = [layer(h) for layer, h in zip(self.specific, encodings, strict=True)]
        # The layers have a bias, so a missing modality's encoding of 0 must be masked again.
        has_input = available[..., None] > 0
        return ShaSpecFeatures(
            torch.where(has_input, shared, 0.0),
            torch.where(has_input, torch.stack(specific, 1), 0.0),
        )

    def _predicted(self, features: ShaSpecFeatures, available: Tensor) -> Prediction:
        output = self.head(self._fused(features, available).flatten(1))
        logits, affect = output.tensor_split([self.n_classes], -1)
        return plain_prediction(logits, split_affect(affect), available)

    def _fused(self, features: ShaSpecFeatures, available: Tensor) -> Tensor:
        """Compute the fused features (B, M, W); for a missing modality, the mean shared feature."""
        shared = features.shared
        composed = self.compose(torch.cat([shared, features.specific], -1)) + shared
        generated = shared.sum(1) / available.sum(-1, keepdim=True).clamp(min=1)
        return torch.where(available[..., None] > 0, composed, generated[:, None])

    def forward(self, windows: Windows) -> Prediction:
        """Compute the head's prediction."""
        inputs, available = windows
        return self._predicted(self._features(inputs, available), available)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the task, the alignment and the domain losses."""
        features = self._features(batch.inputs, batch.available)
        prediction = self._predicted(features, batch.available)
        loss = task_loss(prediction, batch)
        alignment = alignment_loss(features.shared, batch.available)
        domain = domain_loss(self.domain(features.specific), batch.available)
        loss = loss + self.params.alignment * alignment + self.params.domain * domain
        return loss, prediction.logits.detach().softmax(-1)


def alignment_loss(shared: Tensor, available: Tensor) -> Tensor:
    """Compute the mean absolute difference of shared features, summed over pairs of modalities.

    Parameters
    ----------
    shared : Tensor, shape (B, M, W)
    available : Tensor, shape (B, M)

    Returns
    -------
    Tensor, scalar
        Over the windows that have both modalities of a pair.
    """
    loss = torch.zeros((), device=shared.device)
    for first in range(shared.shape[1]):
        for second in range(first):
            distance = (shared[:, first] - shared[:, second]).abs().mean(-1)
            both = available[:, first] * available[:, second]
            loss = loss + weighted_mean(distance, both)
    return loss


def domain_loss(logits: Tensor, available: Tensor) -> Tensor:
    """Compute the cross-entropy of classifying a specific feature's modality.

    Parameters
    ----------
    logits : Tensor, shape (B, M, M)
        One for each modality, of each modality's feature.
    available : Tensor, shape (B, M)

    Returns
    -------
    Tensor, scalar
    """
    # The true class of the feature in row m is m: the diagonal.
    log_likelihood = F.log_softmax(logits, -1).diagonal(dim1=1, dim2=2)
    return weighted_mean(-log_likelihood, available)


method = ShaSpec
