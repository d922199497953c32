"""The metric gate and the registry of accepted models, where the package has them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from consilience.core.errors import ConsilienceError
from consilience.project import Project

REGISTRY = "consilience.model_registry"


class Row(Protocol):
    """A compared metric, a named tuple."""

    def _asdict(self) -> dict[str, Any]: ...


class Decision(Protocol):
    """Outcome of the comparison of a candidate with the accepted model."""

    @property
    def accepted(self) -> bool:
        """Whether the candidate may be registered."""
        ...

    @property
    def reasons(self) -> Sequence[str]:
        """One line per reason."""
        ...

    @property
    def rows(self) -> Sequence[Row]:
        """Compared metrics."""
        ...


ACCEPTED = "accepted"  # name of the current accepted model; ``accepted@v0001`` is a version


def is_accepted(bundle: str) -> bool:
    """Return whether a text names an accepted model instead of a folder."""
    return bundle.partition("@")[0] == ACCEPTED and find_spec(REGISTRY) is not None


def check_available() -> None:
    """Raise if this installation has no metric gate.

    Raises
    ------
    ConsilienceError
        With the parameter that leaves the gate out.
    """
    if find_spec(REGISTRY) is None:
        raise ConsilienceError(
            "this version of Consilience has no metric gate", "gate", "run with gate: false"
        )


def compare(project: Project) -> Decision:
    """Compare the trained model of a project with its accepted one."""
    decision: Decision = importlib.import_module(f"{REGISTRY}.gate").compare(project)
    return decision


def accept(project: Project, decision: Decision, emit: Callable[[str], None]) -> None:
    """Register the trained model of a project as its accepted one."""
    importlib.import_module(f"{REGISTRY}.registry").accept(project, decision, emit)
