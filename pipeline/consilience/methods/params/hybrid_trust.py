"""Parameters of the hybrid with label trust."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from consilience.methods.params import hybrid
from consilience.schema.params.plugins import MethodParams


class LabelTrustParams(MethodParams):
    """Switch of the label trust, on by default: it is the reason to choose such a method."""

    label_trust: Literal["auto", "on", "off"] = Field(
        "on", description="auto: if the annotators disagree enough"
    )
    min_disagreement: float = Field(
        0.25, ge=0, le=1, description="mean disagreement from which auto means on"
    )


class Params(hybrid.Params, LabelTrustParams):
    """Those of the hybrid and of label trust."""
