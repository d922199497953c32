"""MMANet: distillation of the teacher's geometry and a regulariser for weak combinations.

Wei et al. 2023, "MMANet: margin-aware distillation and modality-aware regularization for
incomplete multimodal learning" (arXiv 2304.08028). The deployment network is that of `concat`, so
is the teacher, which has all recorded modalities, clean, and is trained alongside. The weak
combination is determined in each training batch; the authors' code uses test data for it.
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
from consilience.model.types import Batch, Prediction, Windows
from consilience.model.uncertainty import EPSILON, entropy_terms


class DeploymentOutput(NamedTuple):
    """Output of a `DeploymentNetwork`.

    Attributes
    ----------
    prediction : Prediction
    feature : Tensor, shape (B, W)
        Input of the last layer.
    """

    prediction: Prediction
    feature: Tensor


class DeploymentNetwork(nn.Module):
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

    def forward(self, encodings: Tensor, available: Tensor) -> DeploymentOutput:
        """Compute the output from encodings (B, M, W), 0 where not available."""
        feature = self.head[:-1](torch.cat([encodings.flatten(1), available], -1))
        logits, affect = self.head[-1](feature).tensor_split([self.n_classes], -1)
        return DeploymentOutput(plain_prediction(logits, split_affect(affect), available), feature)


class Mmanet(Method):
    """``L_task + alpha L_MAD + beta L_MAR``."""

    Params = MmanetParams
    TRAINING_ONLY = ("teacher",)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.network = DeploymentNetwork(self.encoders, self.n_classes, self.width, self.new_head)
        self.teacher = copy.deepcopy(self.network)
        self.regulariser = nn.Linear(self.network.n_features, self.n_classes)

    def forward(self, windows: Windows) -> Prediction:
        """Compute the deployment network's prediction."""
        inputs, available = windows
        output: DeploymentOutput = self.network(
            self.network.encodings(inputs, available), available
        )
        return output.prediction

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the losses of both networks, the distillation and the regularisation."""
        params, network, teacher = self.params, self.network, self.teacher
        student_out = network(network.encodings(batch.inputs, batch.available), batch.available)
        teacher_out = teacher(teacher.encodings(batch.clean, batch.present), batch.present)
        loss = task_loss(student_out.prediction, batch) + task_loss(teacher_out.prediction, batch)
        if progress >= params.begin:
            distance = margin_distance(
                student_out.feature, teacher_out.feature, teacher_out.prediction.logits
            )
            weak = in_weak_combination(self._class_shares(batch), batch.available)
            regularised = cross_entropy(self.regulariser(student_out.feature), batch.target, weak)
            # A mean over the batch, not over the weak windows, whose number varies.
            regularised = regularised * weak.mean()
            loss = loss + params.margin * distance + params.regularisation * regularised
        return loss, student_out.prediction.logits.detach().softmax(-1)

    @torch.no_grad()
    def _class_shares(self, batch: Batch) -> Tensor:
        """Count the predicted classes, with all modalities and without each one.

        Returns
        -------
        Tensor, shape (1 + M, K)
            Share of each class.
        """
        encodings = self.network.encodings(batch.clean, batch.present)
        n_modalities, device = encodings.shape[1], encodings.device
        masks = torch.cat([torch.ones(1, n_modalities), 1 - torch.eye(n_modalities)]).to(device)
        shares = []
        for mask in masks:
            remaining = batch.present * mask
            logits = self.network(encodings * mask[:, None], remaining).prediction.logits
            shares.append(F.one_hot(logits.argmax(-1), self.n_classes).to(logits.dtype).mean(0))
        return torch.stack(shares)


def margin_distance(student: Tensor, teacher: Tensor, logits: Tensor) -> Tensor:
    """Compute the margin-aware distance between the geometries of two batches of features.

    ``sum_i w_i sum_j (G_ij / |G_i| - G'_ij / |G'_i|)^2`` with the Gram matrices G of the features
    and the teacher's entropy ``w_i = H_i / sum_j H_j``, high near the border between classes.

    Parameters
    ----------
    student, teacher : Tensor, shape (B, W)
        The teacher's features are detached.
    logits : Tensor, shape (B, K)
        The teacher's.

    Returns
    -------
    Tensor, scalar
    """
    # Rows of Gram matrices: similarities between windows, comparable between feature spaces.
    gram = F.normalize(student @ student.T, dim=-1)
    teacher_gram = F.normalize(teacher @ teacher.T, dim=-1).detach()
    entropy = entropy_terms(logits.detach().softmax(-1)).sum(-1)
    weight = entropy / entropy.sum().clamp(min=EPSILON)
    return (weight * (gram - teacher_gram).square().sum(-1)).sum()


def in_weak_combination(shares: Tensor, available: Tensor) -> Tensor:
    """Select the windows with the weakest combination of modalities, or with one modality of it.

    Of the combinations that lack one modality, the weakest is the one whose predicted classes
    are distributed least like those of the complete windows, by ``KL(complete || combination)``.

    Parameters
    ----------
    shares : Tensor, shape (1 + M, K)
        Share of each class among the predictions with all modalities and without each one.
    available : Tensor, shape (B, M)

    Returns
    -------
    Tensor, shape (B,)
        1 or 0.
    """
    logs = (shares + EPSILON).log()
    distance = (shares[0] * (logs[0] - logs[1:])).sum(-1)
    weakest = 1 - F.one_hot(distance.argmax(), available.shape[-1]).to(available.dtype)
    whole = (available == weakest).all(-1)
    single = (available.sum(-1) == 1) & ((available * weakest).sum(-1) == 1)
    return (whole | single).to(available.dtype)


method = Mmanet
