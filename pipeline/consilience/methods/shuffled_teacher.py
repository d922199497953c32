"""Control: coherence transfer with the estimates of another window.

What the networks gain from them is not transferred knowledge but smoothing of their targets.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from consilience.methods.coherence_transfer import CoherenceTransfer
from consilience.methods.params.shuffled_teacher import Params as ShuffledTeacherParams
from consilience.model.types import Batch


class ShuffledTeacher(CoherenceTransfer):
    """Coherence transfer with the targets of the neighbour in the batch, whose order is random."""

    Params = ShuffledTeacherParams

    def _target(self, batch: Batch, *further: Any) -> Tensor:
        estimate, consensus = batch.label_estimate.roll(1, 0), batch.consensus.roll(1, 0)
        shuffled = batch._replace(label_estimate=estimate, consensus=consensus)
        return super()._target(shuffled, *further)


method = ShuffledTeacher
