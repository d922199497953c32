"""Looks up modalities, datasets, methods, encoders and functions of model inputs by name.

A plug-in is a file of the package ``consilience.<kind>``, of a study's own folder (see
`consilience.core.study`), or an entry point of another package.
Modules that plug-ins share, subpackages and names with a leading underscore are not plug-ins. A
family is one module that defines a plug-in for every name with an ending.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import os
import pkgutil
import re
import sys
from importlib.metadata import EntryPoint, EntryPoints, entry_points
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
    return sorted(_files(kind) | _offered(kind).names)


def listed(kind: str) -> list[str]:
    """Return the names of all plug-ins of a kind and the forms of names, such as ``*_features``."""
    return [*names(kind), *(f"*{ending}" for ending in FAMILIES.get(kind, {}))]


def described(kind: str) -> dict[str, str]:
    """Return the first line of the docstring of each name in `listed`; nothing is imported."""
    modules = {name: f"consilience.{kind}.{name}" for name in _files(kind)}
    for entry in _offered(kind):
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
    for entry in _offered(kind).select(name=name):
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


def _files(kind: str) -> frozenset[str]:
    """Return the names of the plug-ins that are files of the package or of the study in use."""
    package = importlib.import_module(f"consilience.{kind}")
    return _of_folders(tuple((folder, *_listing(folder)) for folder in package.__path__))


def _listing(folder: str) -> list[str]:
    """Return the names of what lies in a folder, sorted; none if it does not exist."""
    try:
        return sorted(entry.name for entry in os.scandir(folder))
    except OSError:  # of a study without plug-ins, or an archive
        return []


@functools.lru_cache(maxsize=len(SINGULAR))
def _of_folders(content: tuple[tuple[str, ...], ...]) -> frozenset[str]:
    """Return the names of plug-ins in folders, each given with the names of what lies in it.

    The listing is the key: a file that a study adds between two calls is found by the second.
    """
    folders = [folder for folder, *_ in content]
    modules = {m.name for m in pkgutil.iter_modules(folders) if not m.ispkg}
    return frozenset(name for name in modules - SHARED if not name.startswith("_"))


def _offered(kind: str) -> EntryPoints:
    """Return the plug-ins of a kind that installed packages offer."""
    return _of_packages(f"consilience.{kind}", tuple(sys.path), _entry_files())


def _entry_files() -> tuple[tuple[str, int, int], ...]:
    """Return path, size and time of change of the lists of entry points on the search path."""
    files = []
    for folder in sys.path:
        for name in _listing(folder or "."):
            if name.endswith((".dist-info", ".egg-info")):
                file = Path(folder, name, "entry_points.txt")
                try:
                    state = file.stat()
                except OSError:  # it offers nothing
                    continue
                files.append((str(file), state.st_size, state.st_mtime_ns))
    return tuple(files)


@functools.lru_cache(maxsize=len(SINGULAR))
def _of_packages(
    group: str, _path: tuple[str, ...], _files: tuple[tuple[str, int, int], ...]
) -> EntryPoints:
    """Return the entry points of a group; the other arguments are all that they depend on."""
    return entry_points(group=group)


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
