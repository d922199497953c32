"""Hybrid with label trust: labels that the multimodal consensus contradicts count for less."""

from __future__ import annotations

from torch import Tensor

from consilience.methods.base import Method
from consilience.methods.hybrid import Hybrid
from consilience.methods.params.hybrid_trust import Params as HybridTrustParams
from consilience.model.trust import trusted_target
from consilience.model.types import Batch


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
