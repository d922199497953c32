"""A control: coherence transfer whose teacher speaks of another window than the student sees.

What the student gains from it is no knowledge passed on, but smoothing. The opinions that stand
in for missing labels are another window's, too.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from consilience.methods.coherence_transfer import CoherenceTransfer
from consilience.methods.params.shuffled_teacher import Params as ShuffledTeacherParams
from consilience.model.fusion import Opinions
from consilience.model.types import Batch


class ShuffledTeacher(CoherenceTransfer):
    """Coherence transfer from the neighbour in a batch that is in random order."""

    Params = ShuffledTeacherParams

    def _transfer(self, said: Opinions, taught: Opinions, *further: Any) -> Tensor:
        logits, unimodal = taught.logits.roll(1, 0), taught.unimodal.roll(1, 0)
        return super()._transfer(said, taught._replace(logits=logits, unimodal=unimodal), *further)

    def _target(self, batch: Batch, *further: Any) -> Tensor:
        judged, consensus = batch.judged.roll(1, 0), batch.consensus.roll(1, 0)
        return super()._target(batch._replace(judged=judged, consensus=consensus), *further)


method = ShuffledTeacher
