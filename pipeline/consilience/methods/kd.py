"""Knowledge distillation: a clean, full-input teacher and a student that sees what is left.

Hinton et al. 2015, "Distilling the knowledge in a neural network"; student and teacher are
hybrids with encoders of their own, trained side by side. Distillation needs no labels: it takes
in unlabelled windows too.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

from consilience.methods.hybrid import Hybrid, summed_loss
from consilience.methods.params.kd import Params as KdParams
from consilience.model.fusion import Opinions
from consilience.model.losses import divergence
from consilience.model.types import Batch


class Kd(Hybrid):
    """``L(student) + L(teacher) + w T^2 [KL(q_T || l) + v sum_m KL(q_T || l_m)]``."""

    Params = KdParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.teacher = copy.deepcopy(self.network)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return student's, teacher's and transfer losses, and the teacher's opinion."""
        params = self.params
        said = self.network(batch.inputs, batch.available)
        taught = self.teacher(batch.clean, batch.present)
        loss = summed_loss(said, batch.available, batch.target, batch.affect, params.unimodal)
        loss = loss + summed_loss(taught, batch.present, batch.target, batch.affect, 0.5)
        ramp = min(1.0, progress / params.ramp) if params.ramp else 1.0
        loss = loss + params.transfer * ramp * self._transfer(said, taught, batch)
        return loss, taught.logits.detach().softmax(-1)

    def _transfer(self, said: Opinions, taught: Opinions, batch: Batch) -> Tensor:
        loss = self._divergence(said.logits, taught.logits, batch, batch.available.amax(-1))
        for index in range(said.unimodal.shape[1]):
            own, weight = said.unimodal[:, index], batch.available[:, index]
            alone = self._divergence(own, taught.logits, batch, weight)
            loss = loss + self.params.unimodal_transfer * alone
        return loss

    def _divergence(self, student: Tensor, teacher: Tensor, batch: Batch, weight: Tensor) -> Tensor:
        return divergence(student, teacher, self.params.temperature, weight)


method = Kd
