"""What code a result depends on: modules and all of this project they import."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from importlib import util
from pathlib import Path

from consilience.core.files import content_hash, text_hash

# They carry values between parts and make none, as for the stages of dvc.yaml.
PLUMBING = {
    f"pipeline.{name}"
    for name in ("contracts", "errors", "files", "parallel", "params", "registry")
}


def code_hash(modules: Iterable[str]) -> str:
    """Return a hash of the modules named and of all of ``pipeline`` that they import.

    A plug-in that lives in another package counts with its own file.
    """
    todo, seen = list(modules), {}
    while todo:
        name = todo.pop()
        if name in seen or name in PLUMBING:
            continue
        path = _source(name)
        seen[name] = content_hash(path) if path else ""
        todo.extend(_imported(path) if path else ())
    return text_hash(*(f"{name} {seen[name]}" for name in sorted(seen)))


def _source(name: str) -> Path | None:
    """Return a module's file; None for what is an attribute of a module."""
    try:
        found = util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(found.origin) if found and found.origin else None


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name for name in names if name.split(".")[0] == "pipeline")
