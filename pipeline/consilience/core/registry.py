"""Looks up modalities, datasets, methods, encoders and functions of model inputs by name.

A plug-in is a file of the package ``consilience.<kind>``, of a study's own folder (see
`consilience.core.study`), or an entry point of another package.
Modules that plug-ins share, subpackages and names with a leading underscore are not plug-ins. A
family is one module that defines a plug-in for every name with an ending.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import pkgutil
import re
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from consilience.core.errors import ConsilienceError

SINGULAR = {
    "modalities": "modality",
    "datasets": "dataset",
    "methods": "method",
    "encoders": "encoder",
    "inputs": "inputs",
}
# Modules that are not plug-ins, in the package of any kind.
SHARED = frozenset(
    {"base", "feature_table", "harmonised", "settings", "single_channel", "tables", "voice"}
)
FAMILY_NAME = re.compile("[a-z][a-z0-9_]*")
# Modules that define a plug-in for every name with an ending, as a function of the name.
FAMILIES = {"modalities": {"_features": "feature_table"}}


def names(kind: str) -> list[str]:
    """Return the names of all plug-ins of a kind, sorted.

    Parameters
    ----------
    kind : str
        One of `SINGULAR`, such as ``"modalities"``.
    """
    external = {entry.name for entry in entry_points(group=f"consilience.{kind}")}
    return sorted(_files(kind) | external)


def listed(kind: str) -> list[str]:
    """Return the names of all plug-ins of a kind and the forms of names, such as ``*_features``."""
    return [*names(kind), *(f"*{ending}" for ending in FAMILIES.get(kind, {}))]


def described(kind: str) -> dict[str, str]:
    """Return the first line of the docstring of each name in `listed`; nothing is imported."""
    modules = {name: f"consilience.{kind}.{name}" for name in _files(kind)}
    for entry in entry_points(group=f"consilience.{kind}"):
        modules.setdefault(entry.name, entry.module)
    for ending, module in FAMILIES.get(kind, {}).items():
        modules[f"*{ending}"] = f"consilience.{kind}.{module}"
    return {name: _first_line(modules[name]) for name in listed(kind)}


def family(kind: str, name: str) -> str | None:
    """Return the module that defines a plug-in by the ending of its name; None for others.

    A name in `names` belongs to no family.
    """
    for ending, module in FAMILIES.get(kind, {}).items():
        if FAMILY_NAME.fullmatch(name.removesuffix(ending)) and name.endswith(ending):
            return None if name in names(kind) else module
    return None


def exists(kind: str, name: str) -> bool:
    """Return whether there is a plug-in of a name."""
    return family(kind, name) is not None or name in names(kind)


def check(kind: str, name: str, where: str) -> None:
    """Raise a `ConsilienceError` unless there is a plug-in of a name.

    Parameters
    ----------
    kind, name : str
        As in `names`.
    where : str
        The file or the argument that has the name, for the error.
    """
    if exists(kind, name):
        return
    close = difflib.get_close_matches(name, names(kind), n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    remedy = f"{hint}known: {', '.join(listed(kind))}"
    raise ConsilienceError(f"unknown {SINGULAR[kind]} '{name}'", where, remedy)


def get(kind: str, name: str) -> Any:
    """Return the modality, dataset, method, encoder or function of model inputs called `name`.

    A file ``consilience/<kind>/<name>.py`` defines it as a module-level ``modality``,
    ``dataset``, ``method``, ``encoder`` or ``inputs``; another package offers it under the
    entry-point group ``consilience.<kind>``. A method or an encoder is a class. A file takes
    precedence over an entry point of the same name, and both over a family; see `family`.

    Raises
    ------
    ConsilienceError
        If the name is unknown (the message lists those there are), or the package that offers it
        cannot be loaded.
    """
    if name in _files(kind):
        return getattr(importlib.import_module(f"consilience.{kind}.{name}"), SINGULAR[kind])
    for entry in entry_points(group=f"consilience.{kind}", name=name):
        return _loaded(entry)
    check(kind, name, "params.yaml")
    module = importlib.import_module(f"consilience.{kind}.{family(kind, name)}")
    return getattr(module, SINGULAR[kind])(name)


def params(kind: str, name: str) -> Any:
    """Return the parameter class of the modality or method called `name`.

    It is ``Params`` of the light module ``consilience/<kind>/params/<name>.py`` if there is one, so
    that the plug-in's libraries are not imported; else the attribute ``Params`` of the plug-in.

    Raises
    ------
    ConsilienceError
        As `get`.
    """
    module = family(kind, name) or (name if name in _files(kind) else None)
    if module and _has_light_module(kind, module):
        return importlib.import_module(f"consilience.{kind}.params.{module}").Params
    return get(kind, name).Params


def _files(kind: str) -> set[str]:
    package = importlib.import_module(f"consilience.{kind}")
    modules = {m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg}
    return {name for name in modules - SHARED if not name.startswith("_")}


def _first_line(module: str) -> str:
    """Return the first line of a module's docstring; empty if it has none or cannot be read."""
    try:
        spec = find_spec(module)
        source = Path(spec.origin).read_text() if spec and spec.origin else ""
        return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    except (ImportError, OSError, SyntaxError, ValueError):
        return ""


def _has_light_module(kind: str, name: str) -> bool:
    package = f"consilience.{kind}.params"
    return find_spec(package) is not None and find_spec(f"{package}.{name}") is not None


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:  # another package's code may raise anything
        package = entry.dist.name if entry.dist else entry.module
        raise ConsilienceError(
            f"the package '{package}' offers '{entry.name}', which cannot be loaded: {error}",
            f"entry point {entry.value}",
            "repair or uninstall the package",
        ) from error
