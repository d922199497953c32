"""Dominant-modality correction: incomplete encodings are replaced by proxies from the others.

After Zhang et al. 2024, "Towards robust multimodal sentiment analysis with incomplete data" (LNLN,
NeurIPS; arXiv 2409.20012). The completeness ``c`` of the dominant modality is estimated, a proxy of
its encoding is generated from the other modalities, and ``c h + (1 - c) proxy`` takes its place.
The corrected dominant modality is the query of an attention over all modalities.

Simplified: without language no modality is dominant by definition, so every modality is corrected
and the dominant encoding is their mean under learned weights; the proxy is trained to equal the
modality's own encoding, in place of the paper's adversarial discriminator and of its reconstruction
of the inputs; the attention has one head and one layer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from consilience.methods.base import Method, plain_prediction, task_loss
from consilience.methods.params.lnln import Params as LnlnParams
from consilience.model.fusion import N_AFFECT, encode, split_affect
from consilience.model.losses import mean_over_windows
from consilience.model.types import Batch, Prediction, Windows


class Corrected(NamedTuple):
    """Encodings of the modalities and their corrections.

    Attributes
    ----------
    encodings, proxies, corrected : Tensor, shape (B, M, W)
    completeness : Tensor, shape (B, M)
        Estimated, 0 to 1; 0 where not available.
    """

    encodings: Tensor
    proxies: Tensor
    corrected: Tensor
    completeness: Tensor


class Lnln(Method):
    """``L_task + a L_completeness + b L_proxy``."""

    Params = LnlnParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        n_modalities, width = len(self.encoders), self.width
        self.completeness = nn.ModuleList([self.new_head(width, 1) for _ in self.encoders])
        self.translate = nn.ModuleList([nn.Linear(width, width) for _ in self.encoders])
        self.generate = nn.ModuleList([nn.Linear(width, width) for _ in self.encoders])
        self.dominance = nn.Parameter(torch.zeros(n_modalities))
        n_inputs = (n_modalities + 1) * width + n_modalities
        self.head = self.new_head(n_inputs, self.n_classes + 2 * N_AFFECT)

    def _corrected(self, inputs: dict[str, Tensor], available: Tensor) -> Corrected:
        encodings = torch.stack(encode(self.encoders, inputs, available), 1)
        estimated = [head(encodings[:, m]) for m, head in enumerate(self.completeness)]
        completeness = torch.cat(estimated, -1).sigmoid() * available
        translated = [layer(encodings[:, m]) for m, layer in enumerate(self.translate)]
        # The mean over the other available modalities, for each modality.
        others = available[:, None] * (1 - torch.eye(available.shape[-1], device=available.device))
        count = others.sum(-1, keepdim=True)
        mean = others @ torch.stack(translated, 1) / count.clamp(min=1)
        generated = [layer(mean[:, m]) for m, layer in enumerate(self.generate)]
        proxies = torch.where(count > 0, torch.stack(generated, 1), 0.0)
        share = completeness[..., None]
        corrected = share * encodings + (1 - share) * proxies
        return Corrected(encodings, proxies, corrected, completeness)

    def _predicted(self, values: Corrected, available: Tensor) -> Prediction:
        corrected, completeness = values.corrected, values.completeness
        dominant = torch.einsum("bmw,m->bw", corrected, self.dominance.softmax(-1))
        similarity = (corrected @ dominant[..., None])[..., 0] / self.width**0.5
        attended = (similarity.softmax(-1)[..., None] * corrected).sum(1)
        output = self.head(torch.cat([corrected.flatten(1), attended, completeness], -1))
        logits, affect = output.tensor_split([self.n_classes], -1)
        return plain_prediction(logits, split_affect(affect), available, reliability=completeness)

    def forward(self, windows: Windows) -> Prediction:
        """Compute the prediction; the reliability is the estimated completeness."""
        inputs, available = windows
        return self._predicted(self._corrected(inputs, available), available)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the task loss and those of the completeness and the proxies."""
        values = self._corrected(batch.inputs, batch.available)
        prediction = self._predicted(values, batch.available)
        truth = true_completeness(batch, list(self.encoders))
        error = (values.completeness - truth).square()
        loss = task_loss(prediction, batch)
        loss = loss + self.params.completeness * mean_over_windows(error, batch.available)
        # Detached: the proxy must follow the encoding, not the encoding the proxy.
        distance = (values.proxies - values.encodings.detach()).square().mean(-1)
        several = (batch.available.sum(-1, keepdim=True) > 1).to(distance.dtype)
        # Proxies should predict clean encodings, not corrupted ones.
        weight = batch.available * several * truth
        loss = loss + self.params.proxy * mean_over_windows(distance, weight)
        return loss, prediction.logits.detach().softmax(-1)


def true_completeness(batch: Batch, modalities: list[str]) -> Tensor:
    """Compute the share of each augmented input that the clean input accounts for.

    ``|x|^2 / (|x|^2 + |x' - x|^2)`` of the clean input x and the augmented x'.

    Returns
    -------
    Tensor, shape (B, M)
        0 to 1; 0 where not available.
    """
    shares = []
    for index, name in enumerate(modalities):
        available = batch.available[:, index, None] > 0
        # `where` and not a product: inputs of missing modalities may be NaN.
        clean = torch.where(available, batch.clean[name].flatten(1), 0.0)
        augmented = torch.where(available, batch.inputs[name].flatten(1), 0.0)
        energy = clean.square().mean(1)
        change = (augmented - clean).square().mean(1)
        shares.append(energy / (energy + change).clamp(min=1e-8))
    return torch.stack(shares, 1)


method = Lnln
