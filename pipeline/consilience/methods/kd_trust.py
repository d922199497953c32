"""Distillation with label trust: teacher and student learn from labels as far as trusted."""

from __future__ import annotations

from consilience.methods.hybrid_trust import LabelTrust
from consilience.methods.kd import Kd, KdParams
from consilience.model.trust import Trust, TrustParams


class KdTrustParams(KdParams, TrustParams):
    """Those of the distillation and of label trust, which is why one takes this method."""

    trust: Trust = "on"


class KdTrust(LabelTrust, Kd):
    """The distillation, trained on trusted targets; the consensus is the teacher's."""

    Params = KdTrustParams


method = KdTrust
