"""Parameters of windows and of the folds over subjects."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from consilience.schema.params.base import Section

Delay = Annotated[float, Field(gt=0)]


class WindowParams(Section):
    """Layout of windows in session time; with ``length_s: null`` each trial is one window."""

    KEY = "windows"

    length_s: float | None = Field(4.0, gt=0, description="null: one window per trial")
    hop_s: float = Field(2.0, gt=0)
    cross_trials: bool = Field(False, description="true: windows may cross trial borders")
    max_length_s: float = Field(6.0, gt=0, description="if length_s is null, longer trials are cut")
    min_coverage: float = Field(
        0.5, gt=0, le=1, description="least share of a window that an available sensor covers"
    )
    desync_s: tuple[Delay, Delay, Delay, Delay, Delay] = Field(
        (0.1, 0.25, 0.5, 1.0, 2.0), description="clock error at severities 1 to 5"
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

    folds: int = Field(8, ge=2, description="each subject is tested in one fold")
    validation_subjects: int = Field(2, ge=1, description="per fold, for early stopping")
