"""Finds modalities, datasets and methods by name: a file here, or another package's entry point.

Files whose names begin with an underscore are parts of those beside them.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from consilience.core.errors import ConsilienceError

SINGULAR = {"modalities": "modality", "datasets": "dataset", "methods": "method"}


def names(kind: str) -> list[str]:
    """Return the known names of a kind: ``"modalities"``, ``"datasets"`` or ``"methods"``."""
    others = {entry.name for entry in entry_points(group=f"consilience.{kind}")}
    return sorted(_files(kind) | others)


def get(kind: str, name: str) -> Any:
    """Return the modality, dataset or method called `name`.

    A file ``consilience/<kind>/<name>.py`` defines it as a module-level ``modality``,
    ``dataset`` or ``method``; another package offers one under the entry-point
    group ``consilience.<kind>``. A file here goes before a package of the same name.

    Raises
    ------
    ConsilienceError
        If there is none of that name (the message lists those there are), or the package that
        offers it cannot be loaded.
    """
    if name in _files(kind):
        return getattr(importlib.import_module(f"consilience.{kind}.{name}"), SINGULAR[kind])
    for entry in entry_points(group=f"consilience.{kind}", name=name):
        return _loaded(entry)
    known = names(kind)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise ConsilienceError(
        f"there is no {SINGULAR[kind]} '{name}'",
        "params.yaml",
        f"{hint}known: {', '.join(known)}",
    )


def _files(kind: str) -> set[str]:
    package = importlib.import_module(f"consilience.{kind}")
    modules = {module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg}
    return {name for name in modules - {"base"} if not name.startswith("_")}


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:  # whatever another package's code leads to
        package = entry.dist.name if entry.dist else entry.module
        raise ConsilienceError(
            f"the package '{package}' offers '{entry.name}', which cannot be loaded: {error}",
            f"entry point {entry.value}",
            "mend or uninstall the package",
        ) from error
