"""Parts that methods share: heads over encodings, and the network of summed opinions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from consilience.model.uncertainty import fuse_gaussians

N_AFFECT = 2  # valence, arousal


def encode(
    encoders: nn.ModuleDict, inputs: Mapping[str, Tensor], available: Tensor
) -> list[Tensor]:
    """Encode each modality as (B, W); exactly 0 where it is not available."""
    encodings = (encoder(inputs[name]) for name, encoder in encoders.items())
    return [
        torch.where(available[:, index, None] > 0, encoding, 0.0)
        for index, encoding in enumerate(encodings)
    ]


@dataclass(frozen=True)
class Heads:
    """Builds the heads that every method reads encodings with, of one modality or of all.

    Attributes
    ----------
    width : int
        Of the hidden layer.
    dropout : float
        Of the inputs: even a linear head overfits a few hundred windows without it.
    hidden : bool
        Whether there is a hidden layer.
    """

    width: int
    dropout: float
    hidden: bool = True

    def __call__(self, n_inputs: int, n_outputs: int) -> nn.Sequential:
        """Return a new head from (B, n_inputs) to (B, n_outputs)."""
        if not self.hidden:
            return nn.Sequential(nn.Dropout(self.dropout), nn.Linear(n_inputs, n_outputs))
        return nn.Sequential(
            nn.Dropout(self.dropout),
            nn.Linear(n_inputs, self.width),
            nn.GELU(),
            nn.Linear(self.width, n_outputs),
        )


class Opinions(NamedTuple):
    """What a `SummedNetwork` says.

    Attributes
    ----------
    logits : Tensor, shape (B, K)
        Sum over the available modalities and, if there are several, the joint head.
    unimodal : Tensor, shape (B, M, K)
        Logits of each modality alone; 0 where not available.
    affect : tuple of Tensor, shape (B, A)
        Mean and log variance, fused by precision.
    unimodal_affect : tuple of Tensor, shape (B, M, A)
    encodings : Tensor, shape (B, M, W)
    """

    logits: Tensor
    unimodal: Tensor
    affect: tuple[Tensor, Tensor]
    unimodal_affect: tuple[Tensor, Tensor]
    encodings: Tensor


class SummedNetwork(nn.Module):
    """Unimodal logits plus those of a joint head: ``sum_m a_m head_m(h_m) + joint(a_1 h_1, ...)``.

    The joint head counts only where at least two modalities are available: a single one is
    read by its own head alone, exactly as if it had been the only sensor.
    """

    def __init__(
        self, encoders: Mapping[str, nn.Module], n_classes: int, width: int, new_head: Heads
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.n_classes = n_classes
        outputs = n_classes + 2 * N_AFFECT
        self.heads = nn.ModuleList([new_head(width, outputs) for _ in encoders])
        self.joint = new_head((width + 1) * len(encoders), outputs)

    def forward(self, inputs: Mapping[str, Tensor], available: Tensor) -> Opinions:
        """Read windows: inputs (B, ...) per modality, available (B, M)."""
        encodings = encode(self.encoders, inputs, available)
        said = [own(encoding) for own, encoding in zip(self.heads, encodings, strict=True)]
        alone = torch.where(available[..., None] > 0, torch.stack(said, 1), 0.0)
        joint = self.joint(torch.cat([*encodings, available], -1))
        several = (available.sum(-1, keepdim=True) > 1).to(joint.dtype)
        classes = self.n_classes
        logits = (alone.sum(1) + several * joint)[:, :classes]

        mean, log_variance = split_affect(torch.cat([alone, joint[:, None]], 1)[..., classes:])
        affect = fuse_gaussians(mean, log_variance, torch.cat([available, several], 1))
        unimodal_affect = mean[:, :-1], log_variance[:, :-1]
        return Opinions(
            logits, alone[..., :classes], affect, unimodal_affect, torch.stack(encodings, 1)
        )

    def of_coalitions(self, said: Opinions, masks: Tensor) -> Tensor:
        """Return the logits (B, S, K) that coalitions of sensors have, masks (B, S, M)."""
        several = (masks.sum(-1, keepdim=True) > 1).to(masks.dtype)
        encodings = (said.encodings[:, None] * masks[..., None]).flatten(2)
        joint = self.joint(torch.cat([encodings, masks], -1))[..., : self.n_classes]
        return masks @ said.unimodal + several * joint


def split_affect(output: Tensor) -> tuple[Tensor, Tensor]:
    """Split an affect head's output (..., 2 A) into mean and log variance (..., A).

    The variance stays within a factor ``e^2`` of the labels' own: with few subjects an unbounded
    one vanishes on the training windows, and the likelihood of new ones with it.
    """
    mean, log_variance = output.chunk(2, -1)
    return mean, 2 * torch.tanh(log_variance / 2)
