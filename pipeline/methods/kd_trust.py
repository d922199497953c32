"""Distillation with label trust: teacher and student learn from labels as far as trusted."""

from __future__ import annotations

from torch import Tensor

from pipeline.methods.base import Batch
from pipeline.methods.kd import Kd, KdParams
from pipeline.model.trust import Trust, TrustParams, trusted_target


class KdTrustParams(KdParams, TrustParams):
    """Those of the distillation and of label trust, which is why one takes this method."""

    trust: Trust = "on"


class KdTrust(Kd):
    """The distillation, trained on trusted targets; the consensus is the teacher's."""

    Params = KdTrustParams

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the distillation's loss on the targets that are to be trusted."""
        target = trusted_target(batch, progress, self.params.trust, self.params.trust_from)
        return super().loss(batch._replace(target=target), progress)


method = KdTrust
