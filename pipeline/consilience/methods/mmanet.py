"""MMANet: a teacher's geometry near the class borders, and care for the weakest combination.

Wei et al. 2023, "MMANet: margin-aware distillation and modality-aware regularization for
incomplete multimodal learning" (arXiv 2304.08028). The deployment network is that of `concat`, so
is the teacher, which sees everything that was recorded, clean, and is trained alongside. The weak
combination is found in each training batch; the authors' code looks at test data for it.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from consilience.methods.base import Method, plain_prediction, task_loss
from consilience.methods.params.mmanet import Params as MmanetParams
from consilience.model.fusion import N_AFFECT, Heads, encode, split_affect
from consilience.model.losses import cross_entropy
from consilience.model.types import Batch, Prediction
from consilience.model.uncertainty import EPSILON


class Said(NamedTuple):
    """What a network says.

    Attributes
    ----------
    reading : Prediction
    feature : Tensor, shape (B, W)
        What the last layer reads.
    """

    reading: Prediction
    feature: Tensor


class Network(nn.Module):
    """One head over all encodings side by side, as in `concat`."""

    def __init__(
        self, encoders: nn.ModuleDict, n_classes: int, width: int, new_head: Heads
    ) -> None:
        super().__init__()
        self.encoders, self.n_classes = encoders, n_classes
        n_inputs = (width + 1) * len(encoders)
        self.head = new_head(n_inputs, n_classes + 2 * N_AFFECT)
        self.n_features = width if new_head.hidden else n_inputs

    def encodings(self, inputs: dict[str, Tensor], available: Tensor) -> Tensor:
        """Return the encodings (B, M, W), 0 where not available."""
        return torch.stack(encode(self.encoders, inputs, available), 1)

    def forward(self, encodings: Tensor, available: Tensor) -> Said:
        """Read encodings (B, M, W), 0 where not available."""
        feature = self.head[:-1](torch.cat([encodings.flatten(1), available], -1))
        logits, affect = self.head[-1](feature).tensor_split([self.n_classes], -1)
        return Said(plain_prediction(logits, split_affect(affect), available), feature)


class Mmanet(Method):
    """``L_task + alpha L_MAD + beta L_MAR``."""

    Params = MmanetParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.network = Network(self.encoders, self.n_classes, self.width, self.new_head)
        self.teacher = copy.deepcopy(self.network)
        self.regulariser = nn.Linear(self.network.n_features, self.n_classes)

    def forward(self, given: tuple[dict[str, Tensor], Tensor]) -> Prediction:
        """Return the deployment network's reading."""
        inputs, available = given
        said: Said = self.network(self.network.encodings(inputs, available), available)
        return said.reading

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the losses of both networks, of the distillation and of the regularisation."""
        params = self.params
        said = self.network(self.network.encodings(batch.inputs, batch.available), batch.available)
        taught = self.teacher(self.teacher.encodings(batch.clean, batch.present), batch.present)
        loss = task_loss(said.reading, batch) + task_loss(taught.reading, batch)
        if progress >= params.begin:
            distance = margin_distance(said.feature, taught.feature, taught.reading.logits)
            weak = in_weak_combination(self._predicted(batch), batch.available)
            guarded = cross_entropy(self.regulariser(said.feature), batch.target, weak)
            guarded = guarded * weak.mean()
            loss = loss + params.margin * distance + params.regularisation * guarded
        return loss, said.reading.logits.detach().softmax(-1)

    @torch.no_grad()
    def _predicted(self, batch: Batch) -> Tensor:
        """Return how often each class is predicted from everything and without each modality."""
        encodings = self.network.encodings(batch.clean, batch.present)
        n_modalities, device = encodings.shape[1], encodings.device
        masks = torch.cat([torch.ones(1, n_modalities), 1 - torch.eye(n_modalities)]).to(device)
        shares = []
        for mask in masks:
            left = batch.present * mask
            logits = self.network(encodings * mask[:, None], left).reading.logits
            shares.append(F.one_hot(logits.argmax(-1), self.n_classes).to(logits.dtype).mean(0))
        return torch.stack(shares)


def margin_distance(student: Tensor, teacher: Tensor, logits: Tensor) -> Tensor:
    """Return the margin-aware distance of two batches' geometries, the teacher's side detached.

    ``sum_i w_i sum_j (G_ij / |G_i| - G'_ij / |G'_i|)^2`` with the Gram matrices G of the features
    and the teacher's entropy ``w_i = H_i / sum_j H_j``, high near the border between classes.

    Parameters
    ----------
    student, teacher : Tensor, shape (B, W)
    logits : Tensor, shape (B, K)
        The teacher's.
    """
    own = F.normalize(student @ student.T, dim=-1)
    target = F.normalize(teacher @ teacher.T, dim=-1).detach()
    entropy = torch.special.entr(logits.detach().softmax(-1)).sum(-1)
    weight = entropy / entropy.sum().clamp(min=EPSILON)
    return (weight * (own - target).square().sum(-1)).sum()


def in_weak_combination(predicted: Tensor, available: Tensor) -> Tensor:
    """Return which windows show the weakest combination of modalities, or a single one of it.

    Of the combinations that lack one modality, the weakest is the one whose predicted classes
    are distributed least like those of the complete windows, by ``KL(complete || combination)``.

    Parameters
    ----------
    predicted : Tensor, shape (1 + M, K)
        Share of each class among the predictions from everything and without each modality.
    available : Tensor, shape (B, M)

    Returns
    -------
    Tensor, shape (B,)
        1 or 0.
    """
    logs = (predicted + EPSILON).log()
    distance = (predicted[0] * (logs[0] - logs[1:])).sum(-1)
    weak = 1 - F.one_hot(distance.argmax(), available.shape[-1]).to(available.dtype)
    whole = (available == weak).all(-1)
    single = (available.sum(-1) == 1) & ((available * weak).sum(-1) == 1)
    return (whole | single).to(available.dtype)


method = Mmanet
