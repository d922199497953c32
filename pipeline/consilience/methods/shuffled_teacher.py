"""Control: coherence transfer whose teacher predicts another window than the student's.

What the student gains from it is not transferred knowledge but smoothing of its targets. The
estimates that correct labels are another window's too.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from consilience.methods.coherence_transfer import CoherenceTransfer
from consilience.methods.params.shuffled_teacher import Params as ShuffledTeacherParams
from consilience.model.fusion import SummedOutput
from consilience.model.types import Batch


class ShuffledTeacher(CoherenceTransfer):
    """Coherence transfer from the neighbour in the batch, whose order is random."""

    Params = ShuffledTeacherParams

    def _transfer(
        self, student_out: SummedOutput, teacher_out: SummedOutput, *further: Any
    ) -> Tensor:
        logits, unimodal = teacher_out.logits.roll(1, 0), teacher_out.unimodal.roll(1, 0)
        shuffled = teacher_out._replace(logits=logits, unimodal=unimodal)
        return super()._transfer(student_out, shuffled, *further)

    def _target(self, batch: Batch, *further: Any) -> Tensor:
        estimate, consensus = batch.label_estimate.roll(1, 0), batch.consensus.roll(1, 0)
        shuffled = batch._replace(label_estimate=estimate, consensus=consensus)
        return super()._target(shuffled, *further)


method = ShuffledTeacher
