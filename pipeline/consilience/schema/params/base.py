"""Base class of the sections of ``params.yaml``, and how a section is read and checked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from consilience.core.errors import ConsilienceError

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
MAX_BYTES = 2**20  # of a file of parameters
MAX_VALUES = 20_000
MAX_DEPTH = 20

AnyModel = TypeVar("AnyModel", bound=BaseModel)
AnySection = TypeVar("AnySection", bound="Section")


class Section(BaseModel):
    """A section of ``params.yaml``; an unknown key is an error."""

    KEY: ClassVar[str] = ""  # the section's name in params.yaml

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_yaml(path: Path) -> Any:
    """Read ``params.yaml`` as nested dicts, without checks.

    Raises
    ------
    ConsilienceError
        If the file is missing or not YAML.
    """
    if not path.is_file():
        raise ConsilienceError(
            "the file is missing",
            str(path),
            "change to the folder of a study; 'consilience init' creates one",
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        content = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
        _check_size(content)
    except (YAMLError, UnicodeError, ValueError, TypeError, RecursionError) as error:
        line = " ".join(str(error).split())[:300]
        raise ConsilienceError(f"not valid YAML: {line}", str(path)) from None
    if isinstance(content, dict):
        check_names(content, str(path))
    return content


def _check_size(content: Any) -> None:
    """Raise `ValueError` if a file has more values or levels than parameters can have.

    A YAML file of a few lines can repeat itself a billion times.
    """
    todo, count = [(content, 0)], 0
    while todo:
        value, depth = todo.pop()
        count += 1
        if count > MAX_VALUES or depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_VALUES} values or {MAX_DEPTH} levels")
        if isinstance(value, dict):
            todo += [(item, depth + 1) for item in (*value, *value.values())]
        elif isinstance(value, list | tuple | set):
            todo += [(item, depth + 1) for item in value]


def check_names(content: dict[str, Any], where: str) -> None:
    """Check the names in parameters that become names of folders and words of commands.

    Raises
    ------
    ConsilienceError
        If a dataset, corpus, modality or method is not named by a-z, 0-9 and _.
    """
    dataset = content.get("dataset")
    dataset = dataset if isinstance(dataset, dict) else {}
    named: list[tuple[str, Any]] = [("dataset.name", dataset["name"])] if "name" in dataset else []
    for key, section in (
        ("dataset.synthetic", dataset.get("synthetic")),
        ("modalities", content.get("modalities")),
        ("methods", content.get("methods")),
    ):
        named += [(key, name) for name in section or ()] if isinstance(section, dict | list) else []
    for key, name in named:
        check_name(name, f"{where}: {key}")


def check_name(name: object, where: str) -> None:
    """Raise a `ConsilienceError` unless a name consists of a-z, 0-9 and _ after a letter."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConsilienceError(
            f"invalid name {str(name)[:60]!r}", where, "a-z, 0-9 and _, beginning with a letter"
        )


def read_section(content: dict[str, Any], kind: type[AnySection], where: str) -> AnySection:
    """Check one section of ``params.yaml``, all of whose parameters must be stated.

    Parameters
    ----------
    content : dict
        The whole file; see `read_yaml`.
    kind : type of Section
    where : str
        Path of the file, for errors.

    Raises
    ------
    ConsilienceError
        If the section or a parameter is missing, unknown or out of range.
    """
    if kind.KEY not in content:
        raise ConsilienceError(
            f"section {kind.KEY} is missing", where, "'consilience use' writes all sections"
        )
    section = validated(kind, content[kind.KEY] or {}, where, (kind.KEY,))
    check_stated(section, (kind.KEY,), where)
    return section


def check_stated(section: BaseModel, path: tuple[str, ...], where: str) -> None:
    """Check that a file states every parameter, so that no number hides in a default.

    Raises
    ------
    ConsilienceError
        If one is missing.
    """
    missing = next(unstated(section, path), None)
    if missing:
        raise ConsilienceError(
            f"parameter {missing} is missing", where, "state it; 'consilience use' writes them all"
        )


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
    """Return the first error in one line, with the nearest valid name of a misspelt one."""
    first = error.errors()[0]
    place = ".".join((*section, *map(str, first["loc"])))
    if first["type"] == "extra_forbidden":
        valid = _fields_at(model, first["loc"][:-1])
        close = difflib.get_close_matches(str(first["loc"][-1]), valid, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(valid)}"
        return f"unknown parameter {place}; {hint}"
    if first["type"] == "missing":
        return f"parameter {place} is missing"
    return f"parameter {place} = {first['input']!r}: {first['msg']}"


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the names of the fields that are valid at a location within a model."""
    for name in location:
        field = model.model_fields.get(str(name))
        if field and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    return list(model.model_fields)


def read_plugins(
    content: dict[str, Any], kind: str, params_class: Callable[[str], type[AnyModel]], where: str
) -> dict[str, AnyModel]:
    """Check the parameters of every modality or method that ``params.yaml`` names.

    Parameters
    ----------
    content : dict
        The whole file; see `read_yaml`.
    kind : str
        The section: ``"modalities"`` or ``"methods"``.
    params_class : callable
        Returns the parameter class of a plug-in by its name.
    where : str
        Path of the file, for errors.

    Raises
    ------
    ConsilienceError
        If the section is missing or empty, a plug-in is unknown, or a parameter is missing,
        unknown or out of range.
    """
    section = content.get(kind)
    if not isinstance(section, dict) or not section:
        raise ConsilienceError(
            f"section {kind} is missing or empty", where, "'consilience use' writes all sections"
        )
    params = {}
    for name, fields in section.items():
        params[name] = validated(params_class(name), fields or {}, where, (kind, name))
        check_stated(params[name], (kind, name), where)
    return params
