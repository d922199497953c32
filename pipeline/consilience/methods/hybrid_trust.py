"""Hybrid with label trust: labels that the multimodal consensus contradicts count for less."""

from __future__ import annotations

from torch import Tensor

from consilience.methods.base import Method
from consilience.methods.hybrid import Hybrid, HybridParams
from consilience.model.trust import Trust, TrustParams, trusted_target
from consilience.model.types import Batch


class HybridTrustParams(HybridParams, TrustParams):
    """Those of the hybrid and of label trust, which is why one takes this method."""

    trust: Trust = "on"


class LabelTrust(Method):
    """To be put before a method whose targets are to be trusted no further than they deserve."""

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the method's loss on the targets that are to be trusted."""
        target = trusted_target(batch, progress, self.params.trust, self.params.trust_from)
        return super().loss(batch._replace(target=target), progress)


class HybridTrust(LabelTrust, Hybrid):
    """The hybrid, trained on trusted targets."""

    Params = HybridTrustParams


method = HybridTrust
