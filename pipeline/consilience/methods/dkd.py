"""Decoupled knowledge distillation: separate terms for the target class and the other classes.

Zhao et al. 2022, "Decoupled knowledge distillation" (arXiv 2203.08679), between the student and
the teacher of `kd`.
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
        # Without a label, the teacher's prediction takes the role of the target class.
        leading = torch.where(labelled, batch.target, teacher.detach()).argmax(-1)
        target, others = decoupled(student, teacher, leading, self.params.temperature)
        return weighted_mean(self.params.alpha * target + self.params.beta * others, weight)


def decoupled(
    student: Tensor, teacher: Tensor, target: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Compute the two parts of the distillation loss of each window.

    Parameters
    ----------
    student, teacher : Tensor, shape (B, K)
        Logits; the teacher's are detached.
    target : Tensor of int64, shape (B,)
        The target class; for unlabelled windows, the teacher's class.
    temperature : float

    Returns
    -------
    target_knowledge, other_knowledge : Tensor, shape (B,)
        ``T^2 KL`` between the two-way distributions target or not (TCKD), and ``T^2 KL`` between
        the distributions over the classes that are not the target (NCKD).
    """
    chosen = F.one_hot(target, student.shape[-1]) > 0

    def parts(logits: Tensor) -> tuple[Tensor, Tensor]:
        log_p = (logits / temperature).log_softmax(-1)
        # In logarithms throughout: 1 - p_target would be rounded to 0 for a certain network.
        log_target = torch.where(chosen, log_p, -torch.inf).logsumexp(-1)
        log_rest = torch.where(chosen, -torch.inf, log_p).logsumexp(-1)
        log_others = torch.where(chosen, 0.0, log_p - log_rest[:, None])
        return torch.stack([log_target, log_rest], -1), log_others

    binary, others = parts(student)
    teacher_binary, teacher_others = parts(teacher.detach())
    target_knowledge = (teacher_binary.exp() * (teacher_binary - binary)).sum(-1)
    # The target is not part of the distribution over the others.
    terms = torch.where(chosen, 0.0, teacher_others.exp() * (teacher_others - others))
    return temperature**2 * target_knowledge, temperature**2 * terms.sum(-1)


method = Dkd
