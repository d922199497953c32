"""Hybrid with label trust: labels that the consensus contradicts count for less."""

from __future__ import annotations

from torch import Tensor

from consilience.methods.base import Method
from consilience.methods.hybrid import Hybrid
from consilience.methods.params.hybrid_trust import Params as HybridTrustParams
from consilience.model.label_trust import trusted_target
from consilience.model.types import Batch


class LabelTrust(Method):
    """Mixin that mixes training labels with the consensus where that contradicts them.

    It precedes a method among the base classes, whose `Params` must include `LabelTrustParams`.
    """

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the method's loss on the trusted targets."""
        params = self.params
        target = trusted_target(batch, progress, params.label_trust, params.min_disagreement)
        return super().loss(batch._replace(target=target), progress)


class HybridTrust(LabelTrust, Hybrid):
    """The hybrid, trained on trusted targets."""

    Params = HybridTrustParams


method = HybridTrust
