"""The card of a model bundle: what it was trained on, and how recordings become its inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consilience.core.errors import ConsilienceError, one_line
from consilience.schema.params.base import NAME

MAX_BYTES = 2**26
MAX_CLASSES = 200
MAX_FEATURES = 20_000
MAX_MODALITIES = 50
MAX_RUNS = 10_000
MAX_SUBJECTS = 100_000

Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
Text = Annotated[str, Field(min_length=1, max_length=500)]
Subjects = Annotated[list[Text], Field(max_length=MAX_SUBJECTS)]
Fold = Annotated[str, Field(pattern="^[0-9]{1,6}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RunOf(_Part):
    """Fold and seed of a run."""

    fold: int = Field(ge=0, lt=2**31)
    seed: int = Field(ge=0, lt=2**63)


class Roles(_Part):
    """Subjects of a fold by their role."""

    train: Subjects
    validation: Subjects
    test: Subjects


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

    method: Name
    dataset: Text
    classes: list[Text] = Field(max_length=MAX_CLASSES)
    features: dict[Name, Annotated[list[Text], Field(max_length=MAX_FEATURES)]] = Field(
        min_length=1, max_length=MAX_MODALITIES
    )
    encodings: dict[Name, dict[str, Any]] = Field({}, max_length=MAX_MODALITIES)
    params: dict[str, Any]
    training: dict[str, Any]
    runs: list[RunOf] = Field(min_length=1, max_length=MAX_RUNS)
    best_epochs: list[int] = Field([], max_length=MAX_RUNS)
    windows: int = Field(0, ge=0)
    subjects: dict[Fold, Roles] = Field(max_length=MAX_RUNS)
    recipe: Recipe


def read_card(path: Path) -> dict[str, Any]:
    """Read and check a card.

    Raises
    ------
    ConsilienceError
        If the file is missing, too large, not JSON, or lacks or has a wrong entry.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConsilienceError(
                f"more than {MAX_BYTES} bytes", str(path), "train the model again"
            )
        content = json.loads(path.read_text("utf-8"))
        Card.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the card"
        what = f"{place[:100]}: {first['msg']}"
        raise ConsilienceError(one_line(what), str(path), "train the model again") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConsilienceError(f"not JSON: {str(error)[:200]}", str(path)) from None
    checked: dict[str, Any] = content
    return checked
