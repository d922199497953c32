"""ActionMAE: a masked autoencoder that reconstructs the missing modalities' encodings.

Woo et al. 2023, "Towards good practices for missing modality robust action recognition" (arXiv
2211.13916). A modality's encoding is one token; a transformer with a memory token reconstructs
the tokens that modality dropout hides, and the head takes the decoded tokens of all modalities.
Attention has one head: there are hardly more tokens than modalities.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from consilience.methods.base import Method, plain_prediction, task_loss
from consilience.methods.params.action_mae import Params as ActionMaeParams
from consilience.model.fusion import N_AFFECT, encode, split_affect
from consilience.model.losses import weighted_mean
from consilience.model.types import Batch, Prediction, Windows


class TransformerBlock(nn.Module):
    """Pre-norm transformer block: attention and a feed-forward network, each with a residual."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.before_attention, self.before_mixing = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.mixing = nn.Sequential(
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Transform tokens (B, N, W), attending only to the visible ones (B, N)."""
        query, key, value = self.attention(self.before_attention(tokens)).chunk(3, -1)
        tokens = tokens + self.output(attend(query, key, value, visible))
        return tokens + self.mixing(self.before_mixing(tokens))


def attend(query: Tensor, key: Tensor, value: Tensor, visible: Tensor) -> Tensor:
    """Compute scaled dot-product attention over the visible tokens.

    Parameters
    ----------
    query, key, value : Tensor, shape (B, N, W)
    visible : Tensor, shape (B, N)
        1 or 0; at least one token of each window must be visible.

    Returns
    -------
    Tensor, shape (B, N, W)
        ``softmax(q k / sqrt W) v``
    """
    score = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
    return torch.where(visible[:, None] > 0, score, -torch.inf).softmax(-1) @ value


class ActionMae(Method):
    """``L_task + L_reconstruction``."""

    Params = ActionMaeParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        n_modalities, width, depth = len(self.encoders), self.width, self.params.depth
        self.position = nn.Parameter(0.02 * torch.randn(n_modalities, width))
        self.memory = nn.Parameter(0.02 * torch.randn(1, width))
        self.hidden = nn.Parameter(0.02 * torch.randn(width))
        self.encoder = nn.ModuleList([TransformerBlock(width, self.dropout) for _ in range(depth)])
        self.decoder = nn.ModuleList([TransformerBlock(width, self.dropout) for _ in range(depth)])
        self.decoded = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.head = self.new_head(n_modalities * width, self.n_classes + 2 * N_AFFECT)

    def _decode(self, inputs: dict[str, Tensor], available: Tensor) -> Tensor:
        """Compute the decoded tokens (B, M, W) of all modalities."""
        encodings = torch.stack(encode(self.encoders, inputs, available), 1)
        memory = self.memory.expand(len(available), -1, -1)
        tokens = torch.cat([memory, encodings + self.position], 1)
        # The memory token is always visible, so attention is defined without any modality.
        visible = torch.cat([torch.ones_like(available[:, :1]), available], 1)
        for block in self.encoder:
            tokens = block(tokens, visible)
        # As in masked autoencoders, hidden tokens enter at the decoder, as a learned vector.
        hidden = torch.cat([memory, (self.hidden + self.position).expand_as(encodings)], 1)
        tokens = torch.where(visible[..., None] > 0, tokens, hidden)
        for block in self.decoder:
            tokens = block(tokens, torch.ones_like(visible))
        decoded: Tensor = self.decoded(tokens[:, 1:])
        return decoded

    def _predicted(self, decoded: Tensor, available: Tensor) -> Prediction:
        logits, affect = self.head(decoded.flatten(1)).tensor_split([self.n_classes], -1)
        return plain_prediction(logits, split_affect(affect), available)

    def forward(self, windows: Windows) -> Prediction:
        """Compute the head's prediction from the decoded tokens."""
        inputs, available = windows
        return self._predicted(self._decode(inputs, available), available)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the task loss and the reconstruction loss of hidden modalities."""
        decoded = self._decode(batch.inputs, batch.available)
        prediction = self._predicted(decoded, batch.available)
        # No gradient: encoders could make the target easy by making it constant.
        with torch.no_grad():
            target = torch.stack(encode(self.encoders, batch.clean, batch.present), 1)
        hidden = batch.present * (1 - batch.available)
        reconstruction = reconstruction_loss(decoded, target, hidden)
        loss = task_loss(prediction, batch) + self.params.reconstruction * reconstruction
        return loss, prediction.logits.detach().softmax(-1)


def reconstruction_loss(decoded: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Compute the mean squared error of the hidden tokens against standardised targets.

    Parameters
    ----------
    decoded, target : Tensor, shape (B, M, W)
    hidden : Tensor, shape (B, M)
        1 where a token was hidden and its modality recorded.

    Returns
    -------
    Tensor, scalar
    """
    # Each target token is standardised, so that modalities with large encodings do not dominate.
    standardised = F.layer_norm(target, target.shape[-1:])
    return weighted_mean((decoded - standardised).square().mean(-1), hidden)


method = ActionMae
