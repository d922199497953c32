"""Parameters of the dataset."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from consilience.schema.params.base import Section


class DatasetParams(Section):
    """The dataset, its folder, and the policy for bad recordings."""

    KEY = "dataset"

    name: str = Field("demo", description="'consilience names' lists the datasets")
    root: str = Field("data/raw/demo", description="folder of the recordings")
    synthetic: list[str] = Field(
        ["demo"], description="corpora to synthesize and to score against their ground truth"
    )
    on_problem: Literal["quarantine", "fail"] = Field(
        "quarantine", description="fail: stop at the first stage that finds a bad recording"
    )
