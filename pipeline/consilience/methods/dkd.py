"""Decoupled knowledge distillation: the target class and the others are taught separately.

Zhao et al. 2022, "Decoupled knowledge distillation" (arXiv 2203.08679), between the
student and the teacher of `kd`. The paper has beta 8 and temperature 4 for CIFAR-100, 0.5 and 1 for
ImageNet; the defaults here lie between and did best on RAVDESS's validation actors.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from consilience.methods.kd import Kd
from consilience.methods.params.dkd import Params as DkdParams
from consilience.model.losses import weighted_mean
from consilience.model.types import Batch


class Dkd(Kd):
    """``alpha TCKD + beta NCKD`` in place of the divergence of `kd`."""

    Params = DkdParams

    def _divergence(self, student: Tensor, teacher: Tensor, batch: Batch, weight: Tensor) -> Tensor:
        labelled = batch.target.isfinite().all(-1, keepdim=True)
        leading = torch.where(labelled, batch.target, teacher.detach()).argmax(-1)
        target, others = decoupled(student, teacher, leading, self.params.temperature)
        return weighted_mean(self.params.alpha * target + self.params.beta * others, weight)


def decoupled(
    student: Tensor, teacher: Tensor, target: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return the two parts of the distillation of each window, the teacher's side detached.

    Parameters
    ----------
    student, teacher : Tensor, shape (B, K)
        Logits.
    target : Tensor of int64, shape (B,)
        The target class; without a label, the one the teacher prefers.
    temperature : float

    Returns
    -------
    target_knowledge, other_knowledge : Tensor, shape (B,)
        ``T^2 KL`` between the two-way distributions target or not, and ``T^2 KL`` between the
        distributions over the classes that are not the target.
    """
    chosen = F.one_hot(target, student.shape[-1]) > 0

    def parts(logits: Tensor) -> tuple[Tensor, Tensor]:
        whole = (logits / temperature).log_softmax(-1)
        inside = torch.where(chosen, whole, -torch.inf).logsumexp(-1)
        rest = torch.where(chosen, -torch.inf, whole).logsumexp(-1)
        others = torch.where(chosen, 0.0, whole - rest[:, None])
        return torch.stack([inside, rest], -1), others

    (two, others), (taught_two, taught_others) = parts(student), parts(teacher.detach())
    target_knowledge = (taught_two.exp() * (taught_two - two)).sum(-1)
    spread = torch.where(chosen, 0.0, taught_others.exp() * (taught_others - others)).sum(-1)
    return temperature**2 * target_knowledge, temperature**2 * spread


method = Dkd
