"""Hybrid with label trust: labels that the multimodal consensus contradicts count for less."""

from __future__ import annotations

from torch import Tensor

from pipeline.methods.base import Batch
from pipeline.methods.hybrid import Hybrid, HybridParams
from pipeline.model.trust import Trust, TrustParams, trusted_target


class HybridTrustParams(HybridParams, TrustParams):
    """Those of the hybrid and of label trust, which is why one takes this method."""

    trust: Trust = "on"


class HybridTrust(Hybrid):
    """The hybrid, trained on trusted targets."""

    Params = HybridTrustParams

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the hybrid's loss on the targets that are to be trusted."""
        target = trusted_target(batch, progress, self.params.trust, self.params.trust_from)
        return super().loss(batch._replace(target=target), progress)


method = HybridTrust
