"""Parameters of distillation with label trust."""

from __future__ import annotations

from consilience.methods.params import kd
from consilience.methods.params.hybrid_trust import LabelTrustParams


class Params(kd.Params, LabelTrustParams):
    """Those of the distillation and of label trust."""
