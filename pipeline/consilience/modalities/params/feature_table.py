"""Parameters of the sensors that are read from tables of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, field_validator

from consilience.schema.params.plugins import (
    Corruption,
    ModalityParams,
    Severities,
    default_corruptions,
)

CORRUPTIONS: Mapping[str, Corruption] = {
    "noise": Corruption("standard deviation, in spreads", (0.25, 0.5, 1.0, 2.0, 4.0), (0, 100)),
    "offset": Corruption("shift in spreads", (0.25, 0.5, 1.0, 2.0, 4.0), (0, 100)),
    "dropout": Corruption("share of values lost", (0.1, 0.25, 0.45, 0.65, 0.9), (0, 1)),
    "spurious": Corruption("share of values replaced", (0.05, 0.1, 0.2, 0.35, 0.6), (0, 1)),
    "stuck": Corruption("share of columns stuck", (0.1, 0.25, 0.45, 0.7, 1.0), (0, 1)),
    "scaled": Corruption("factor of the gain", (1.5, 2.0, 3.0, 5.0, 10.0), (1, 1000)),
}


class FeatureTableParams(ModalityParams):
    """Parameters of a sensor that is read from tables of features."""

    CORRUPTION_KINDS: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS
    corruptions: dict[str, Severities] = default_corruptions(CORRUPTIONS)
    tables: tuple[str, ...] = Field(
        (), description="files beside the table of rows, joined by its key"
    )

    @property
    def frame_rate_hz(self) -> float:
        """One row per second of nominal time; a row is a frame and a window."""
        return 1.0

    @field_validator("tables")
    @classmethod
    def _file_names(cls, tables: tuple[str, ...]) -> tuple[str, ...]:
        for name in tables:
            if not name or "/" in name or "\\" in name or name.startswith("."):
                raise ValueError(f"'{name}' is not the name of a file beside the table of rows")
        if len(set(tables)) < len(tables):
            raise ValueError("a table is named twice")
        return tables


Params = FeatureTableParams
