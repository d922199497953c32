"""Parameters of the ranking of windows for re-annotation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from consilience.schema.params.base import Section

Strategy = Literal[
    "coherence",
    "entropy",
    "margin",
    "bald",
    "coreset",
    "badge",
    "confident_learning",
    "random",
]


class QueryParams(Section):
    """Strategy, budget and diversity of the ranking, and the limit of doubtful labels."""

    KEY = "query"

    strategy: Strategy = Field(
        "coherence",
        description="coherence, entropy, margin, bald, coreset, badge, confident_learning, random",
    )
    budget: int = Field(40, ge=1, description="most windows to rank")
    max_per_recording: int = Field(4, ge=1, description="most windows of one session")
    diversity: float = Field(
        0.5, ge=0, le=1, description="share of the score that a window loses beside a ranked one"
    )
    disagreement: float = Field(
        0.5, ge=0, description="weight in coherence: contradiction between reliable sensors"
    )
    vacuity: float = Field(0.25, ge=0, description="weight in coherence: lack of evidence")
    min_distrust: float = Field(
        0.5, ge=0, le=1, description="probability that a label is wrong from which it is doubtful"
    )
