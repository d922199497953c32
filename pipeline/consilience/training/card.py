"""The card of a model bundle: what it was trained on, and how recordings become its inputs.

Models of a project and exported ones have the same card; docs/bundle.md describes its fields.
"""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from consilience.core.errors import ConsilienceError, one_line
from consilience.schema.constants import ROLES
from consilience.schema.params.base import NAME

SCHEMA_VERSION = 1
MAX_BYTES = 2**26
MAX_CLASSES = 200
MAX_FEATURES = 20_000
MAX_MODALITIES = 50
MAX_RUNS = 10_000
MAX_PEOPLE = 100_000
MAX_RECORDINGS = 100_000  # of a person
MAX_NUMBERS = 2**28  # of a window, so that a damaged card takes no more memory
MAX_FIGURES = 10_000
MAX_LIMITS = MAX_LIBRARIES = 100
REMEDY = "train the model again"

Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
Text = Annotated[str, Field(min_length=1, max_length=500)]
Fold = Annotated[str, Field(pattern="^[0-9]{1,6}$")]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
ShortDigest = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Role = Annotated[str, Field(pattern=f"^({'|'.join(ROLES)})$")]
Interval = Annotated[list[float | None], Field(min_length=3, max_length=3)]


def _bounded(shape: list[int]) -> list[int]:
    if prod(shape) > MAX_NUMBERS:
        raise ValueError(f"a window of more than {MAX_NUMBERS} numbers")
    return shape


Shape = Annotated[
    list[Annotated[int, Field(ge=1, le=MAX_NUMBERS)]],
    Field(min_length=1, max_length=3),
    AfterValidator(_bounded),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RunOf(_Part):
    """Fold and seed of a run."""

    fold: int = Field(ge=0, lt=2**31)
    seed: int = Field(ge=0, lt=2**63)


class Person(_Part):
    """A person of the training, without a name: hashes of recordings, and the role by fold."""

    recordings: list[ShortDigest] = Field(max_length=MAX_RECORDINGS)
    roles: dict[Fold, Role] = Field(max_length=MAX_RUNS)


class Recipe(_Part):
    """Sections of ``params.yaml`` by which recordings become windows.

    It has no other section: a bundle does not choose the recordings that are read.
    """

    modalities: dict[Name, dict[str, Any]] = Field(min_length=1, max_length=MAX_MODALITIES)
    alignment: dict[str, Any]
    annotation: dict[str, Any]
    windows: dict[str, Any]


class Card(_Part):
    """Content of ``card.json``; the sections within it are checked when they are used."""

    schema_version: int = Field(ge=1)
    weights_sha256: Digest
    data_sha256: Digest
    method: Name
    dataset: Text
    classes: list[Text] = Field(max_length=MAX_CLASSES)
    features: dict[Name, Annotated[list[Text], Field(max_length=MAX_FEATURES)]] = Field(
        min_length=1, max_length=MAX_MODALITIES
    )
    encodings: dict[Name, dict[str, Any]] = Field({}, max_length=MAX_MODALITIES)
    inputs: dict[Name, Shape] = Field(max_length=MAX_MODALITIES)
    params: dict[str, Any]
    training: dict[str, Any]
    runs: list[RunOf] = Field(min_length=1, max_length=MAX_RUNS)
    best_epochs: list[int] = Field([], max_length=MAX_RUNS)
    windows: int = Field(0, ge=0)
    people: list[Person] = Field(max_length=MAX_PEOPLE)
    recipe: Recipe
    metrics: dict[Name, Interval] = Field({}, max_length=MAX_FIGURES)
    intended_use: Text
    limits: list[Text] = Field(max_length=MAX_LIMITS)
    licence: Text
    libraries: dict[Text, Text] = Field(max_length=MAX_LIBRARIES)


def read_card(path: Path) -> dict[str, Any]:
    """Read and check a card.

    Raises
    ------
    ConsilienceError
        If the file is missing, too large, not JSON, of a newer schema, or lacks or has a wrong
        entry.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConsilienceError(f"more than {MAX_BYTES} bytes", str(path), REMEDY)
        content = json.loads(path.read_text("utf-8"))
        _check_version(content, path)
        Card.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the card"
        what = f"{place[:100]}: {first['msg']}"
        raise ConsilienceError(one_line(what), str(path), REMEDY) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConsilienceError(f"not JSON: {str(error)[:200]}", str(path)) from None
    if list(content["inputs"]) != list(content["features"]):
        raise ConsilienceError("inputs: not the sensors of features", str(path), REMEDY)
    checked: dict[str, Any] = content
    return checked


def _check_version(content: Any, path: Path) -> None:
    """Raise if a later version wrote the card, whose entries may have another meaning."""
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ConsilienceError(
            f"schema version {version}, newer than {SCHEMA_VERSION}",
            str(path),
            "install a newer version of consilience",
        )
