"""Parameters of the label consensus."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from consilience.schema.params.base import Section


class AnnotationParams(Section):
    """Source and scale of the ratings, and the annotators' reaction lags."""

    KEY = "annotation"

    source: Literal["observers", "self"] = Field(
        "observers", description="whose ratings are the labels; self: the subjects'"
    )
    scale: Literal["interval", "ordinal"] = Field(
        "interval", description="of trial ratings; ordinal: use their order only"
    )
    reaction_lag_s: Literal["auto"] | Annotated[float, Field(ge=0)] = Field(
        "auto", description="lag of continuous ratings; auto: estimate one per annotator"
    )
    max_reaction_lag_s: float = Field(8.0, gt=0, description="largest lag that is estimated")
    usual_reaction_lag_s: float = Field(
        2.0, ge=0, description="mean of the lags if trial borders do not determine it"
    )
