"""The base class of a section, and the errors that an invalid one raises."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from consilience.core.errors import ConsilienceError

AnyModel = TypeVar("AnyModel", bound=BaseModel)


class Section(BaseModel):
    """A block of ``params.yaml``; a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_yaml(path: Path) -> Any:
    """Read ``params.yaml`` as nested dicts, unchecked.

    Raises
    ------
    ConsilienceError
        If the file is missing or not YAML.
    """
    if not path.is_file():
        raise ConsilienceError("the file is missing", str(path), "run 'consilience use demo'")
    try:
        return YAML(typ="safe", pure=True).load(path.read_text())
    except YAMLError as error:
        line = " ".join(str(error).split())
        raise ConsilienceError(f"not valid YAML: {line}", str(path)) from None


def validated(
    model: type[AnyModel], content: Any, where: str, section: tuple[str, ...]
) -> AnyModel:
    """Validate a section of ``params.yaml``.

    Parameters
    ----------
    model : type of pydantic.BaseModel
    content : object
        The section as nested dicts.
    where : str
        File or command that the error message names.
    section : tuple of str
        Keys that lead to the section.

    Raises
    ------
    ConsilienceError
        If a parameter is missing, unknown or out of range.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConsilienceError(_explain(error, model, section), where) from None


def unstated(model: BaseModel, path: tuple[str, ...]) -> Iterator[str]:
    """Yield the dotted names of the parameters that a model takes from its defaults."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if name not in model.model_fields_set:
            yield ".".join((*path, name))
        elif isinstance(value, BaseModel):
            yield from unstated(value, (*path, name))
        elif isinstance(value, dict):
            for key, item in value.items():
                if isinstance(item, BaseModel):
                    yield from unstated(item, (*path, name, key))


def _explain(error: ValidationError, model: type[BaseModel], section: tuple[str, ...]) -> str:
    first = error.errors()[0]
    place = ".".join((*section, *(str(part) for part in first["loc"])))
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, first["loc"][:-1])
        close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
        return f"unknown parameter {place}; {hint}"
    if first["type"] == "missing":
        return f"parameter {place} is missing"
    return f"parameter {place} = {first['input']!r}: {first['msg']}"


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        if field and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    return list(model.model_fields)
