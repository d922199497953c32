"""Parameters of labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from consilience.schema.params.base import Section


class AnnotationParams(Section):
    """How annotations become labels."""

    KEY = "annotation"

    source: Literal["observers", "self"] = Field(
        "observers", description="whose judgements are the labels; self: the subjects' own reports"
    )
    scale: Literal["interval", "ordinal"] = Field(
        "interval", description="of ratings of trials; ordinal: only their order counts"
    )
    reaction_lag_s: Literal["auto"] | Annotated[float, Field(ge=0)] = Field(
        "auto", description="traces are moved back by it; auto: found for each annotator"
    )
    max_reaction_lag_s: float = Field(8.0, gt=0, description="lags are sought up to this")
    usual_reaction_lag_s: float = Field(
        2.0, ge=0, description="mean of the lags where no border of trials tells it"
    )
