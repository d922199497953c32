"""Parameters of the dataset."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from consilience.core.errors import one_line
from consilience.schema.params.base import NAME, Section


class DatasetParams(Section):
    """The dataset, its folder, and the policy for bad recordings."""

    KEY = "dataset"

    name: str = Field(
        "demo", pattern=f"^{NAME.pattern}$", description="'consilience names' lists the datasets"
    )
    root: str = Field("data/raw/demo", min_length=1, description="folder of the recordings")
    synthetic: list[Literal["demo"]] = Field(
        ["demo"],
        max_length=1,
        description="corpora to synthesize and to score against their ground truth",
    )
    on_problem: Literal["quarantine", "fail"] = Field(
        "quarantine", description="fail: stop at the first stage that finds a bad recording"
    )

    @field_validator("root")
    @classmethod
    def _is_printable(cls, root: str) -> str:
        if root != one_line(root):
            raise ValueError("it contains unprintable characters")
        return root
