"""Knowledge distillation: a teacher on complete, clean windows and a student on masked ones.

Hinton et al. 2015, "Distilling the knowledge in a neural network" (arXiv 1503.02531). Student and
teacher are hybrids with separate encoders, trained side by side. The distillation uses unlabelled
windows too.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

from consilience.methods.hybrid import Hybrid, summed_loss
from consilience.methods.params.kd import Params as KdParams
from consilience.model.fusion import SummedOutput
from consilience.model.losses import divergence
from consilience.model.types import Batch

TEACHER_UNIMODAL = 0.5  # weight of the teacher's unimodal losses beside its fused one


class Kd(Hybrid):
    """``L(student) + L(teacher) + w T^2 [KL(q_T || l) + v sum_m KL(q_T || l_m)]``."""

    Params = KdParams
    TRAINING_ONLY = ("teacher",)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.teacher = copy.deepcopy(self.network)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the student's, the teacher's and the distillation losses.

        The returned probability is the teacher's, which has the complete, clean windows.
        """
        params = self.params
        student_out = self.network(batch.inputs, batch.available)
        teacher_out = self.teacher(batch.clean, batch.present)
        loss = summed_loss(
            student_out, batch.available, batch.target, batch.affect, params.unimodal
        )
        loss = loss + summed_loss(
            teacher_out, batch.present, batch.target, batch.affect, TEACHER_UNIMODAL
        )
        # An untrained teacher has nothing to transfer yet.
        ramp = min(1.0, progress / params.ramp) if params.ramp else 1.0
        loss = loss + params.transfer * ramp * self._transfer(student_out, teacher_out, batch)
        return loss, teacher_out.logits.detach().softmax(-1)

    def _transfer(
        self, student_out: SummedOutput, teacher_out: SummedOutput, batch: Batch
    ) -> Tensor:
        teacher = teacher_out.logits
        loss = self._divergence(student_out.logits, teacher, batch, batch.available.amax(-1))
        for index in range(student_out.unimodal.shape[1]):
            student, weight = student_out.unimodal[:, index], batch.available[:, index]
            unimodal = self._divergence(student, teacher, batch, weight)
            loss = loss + self.params.unimodal_transfer * unimodal
        return loss

    def _divergence(self, student: Tensor, teacher: Tensor, batch: Batch, weight: Tensor) -> Tensor:
        return divergence(student, teacher, self.params.temperature, weight)


method = Kd
