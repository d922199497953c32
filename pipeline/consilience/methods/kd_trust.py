"""Distillation with label trust: teacher and student are trained on trusted targets."""

from __future__ import annotations

from consilience.methods.hybrid_trust import LabelTrust
from consilience.methods.kd import Kd
from consilience.methods.params.kd_trust import Params as KdTrustParams


class KdTrust(LabelTrust, Kd):
    """The distillation, trained on trusted targets; the consensus averages the teacher."""

    Params = KdTrustParams


method = KdTrust
