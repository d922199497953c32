"""Parameters of windows and of the folds over subjects."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from consilience.schema.params.base import Section

Delay = Annotated[float, Field(gt=0)]


class WindowParams(Section):
    """Windows on the session clock; ``length_s: null`` takes each trial as one window."""

    KEY = "windows"

    length_s: float | None = Field(4.0, gt=0, description="null: one window per trial")
    hop_s: float = Field(2.0, gt=0)
    cross_trials: bool = Field(
        False, description="true: windows lie all over a session, whatever trials they cross"
    )
    max_length_s: float = Field(6.0, gt=0, description="a longer trial is cut, if length_s is null")
    min_coverage: float = Field(
        0.5, gt=0, le=1, description="share of a window a sensor must cover to count as available"
    )
    desync_s: tuple[Delay, Delay, Delay, Delay, Delay] = Field(
        (0.1, 0.25, 0.5, 1.0, 2.0), description="by which a clock is wrong at severities 1 to 5"
    )

    @field_validator("desync_s")
    @classmethod
    def _rising(cls, desync_s: tuple[float, ...]) -> tuple[float, ...]:
        if list(desync_s) != sorted(set(desync_s)):
            raise ValueError("must rise from severity to severity")
        return desync_s


class SplitParams(Section):
    """Subject-independent folds."""

    KEY = "splits"

    folds: int = Field(8, ge=2, description="every subject is in one fold's test set")
    validation_subjects: int = Field(2, ge=1, description="of each fold, for early stopping")
