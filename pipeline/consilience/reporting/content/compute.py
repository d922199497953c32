"""Size of the trained networks: parameters, bytes and epochs."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import polars as pl

from consilience.core.files import intact, read_json
from consilience.project import Project
from consilience.reporting.figure import Section, Tabular
from consilience.reporting.results import Results
from consilience.reporting.tables import Cell, Row, Table
from consilience.reporting.words import readable

WEIGHTS, CARD = "model.safetensors", "card.json"
NETWORK = "weights."  # prefix of the tensors of networks, each with an axis of runs
LENGTH_BYTES = 8  # of the header's length, with which a safetensors file begins
MAX_HEADER_BYTES = 2**27


class Size(NamedTuple):
    """Size of one method's model.

    Attributes
    ----------
    parameters : int
        Of one network.
    networks : int
        Runs: folds times seeds.
    megabytes : float
        Of the file with all of them, 10^6 bytes.
    epochs : float
        Median of the selected epochs.
    """

    parameters: int
    networks: int
    megabytes: float
    epochs: float


def header(path: Path) -> dict[str, Any]:
    """Read the header of a safetensors file: shape and type of each tensor, without its values."""

    def read() -> dict[str, Any]:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"a header of {length} bytes")
            content: dict[str, Any] = json.loads(file.read(length))
        return {name: entry for name, entry in content.items() if name != "__metadata__"}

    return intact(path, read)


def size_of(folder: Path) -> Size:
    """Return the size of a model from its folder."""
    tensors, card = header(folder / WEIGHTS), read_json(folder / CARD)
    numbers = sum(
        prod(entry["shape"][1:]) for name, entry in tensors.items() if name.startswith(NETWORK)
    )
    epochs = median(card["best_epochs"]) if card["best_epochs"] else 0.0
    megabytes = (folder / WEIGHTS).stat().st_size / 1e6
    return Size(numbers, len(card["runs"]), megabytes, float(epochs))


def compute_table(project: Project, methods: list[str]) -> pl.DataFrame:
    """Return a row with the `Size` of every method."""
    rows = [{"method": name, **size_of(project.model(name))._asdict()} for name in methods]
    return pl.DataFrame(rows)


def compute(project: Project, results: Results) -> Section | None:
    """Return the sizes of the models; None where a model is missing."""
    methods = [name for name in results.metrics if (project.model(name) / WEIGHTS).is_file()]
    if not methods:
        return None
    rows = [
        Row(
            readable(row["method"]),
            [
                Cell(f"{row['parameters']:,}".replace(",", "\u202f")),
                Cell(str(row["networks"])),
                Cell(f"{row['megabytes']:.1f}"),
                Cell(f"{row['epochs']:g}"),
            ],
            is_default=row["method"] == results.default_method,
        )
        for row in compute_table(project, methods).iter_rows(named=True)
    ]
    columns = ["method", "parameters of a network", "networks", "file, MB", "median epochs"]
    return Section(
        "compute",
        "Compute",
        (
            "A network is trained for every fold and seed. Seconds, memory and milliseconds per "
            "window depend on the machine: 'consilience open' adds those of the last run.",
        ),
        (Tabular(Table(columns, rows), "Size of the trained models."),),
    )
