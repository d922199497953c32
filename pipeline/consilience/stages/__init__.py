"""The DVC stages, one module each, whose ``stage`` is a function of a project and an item's name.

``consilience stage NAME`` runs one. Nothing is imported for it but what the stage itself needs.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from consilience.core import interruption, study  # before all others
from consilience.core.errors import ConsilienceError, system_error
from consilience.core.files import DamagedFileError, sweep
from consilience.project import Project


def main(words: Sequence[str]) -> None:
    """Run a stage on the project in the working directory.

    Parameters
    ----------
    words : sequence of str
        The stage's name and those for `run`: ``["ingest", "--modality", "eeg"]``.

    Raises
    ------
    ConsilienceError
        If the stage is unknown.
    """
    names = sorted(module.name for module in iter_modules(__path__))
    name = words[0] if words else ""
    if name not in names:
        raise ConsilienceError(
            f"unknown stage '{name}'", "consilience stage", f"known: {', '.join(names)}"
        )
    study.use(Path.cwd())
    module = import_module(f"{__name__}.{name}")
    # The only stage that runs every time: what `run` imports would take longer than it does.
    if name != "code" or not module.is_current(Project(Path.cwd())):
        run(module.stage, words[1:], name)


def run(stage: Callable[..., None], words: Sequence[str], name: str = "") -> None:
    """Call a stage's function on the project in the working directory.

    Its further arguments are the words without the option names before them: ``--modality eeg``. A
    user's mistake, and what the system refuses, end as one line on standard error and exit code 1.
    The stage ends with the process that started it.
    """
    from consilience.core.circumstances import recorded  # slow to import
    from consilience.core.processes import end_with_parent, from_main_thread
    from consilience.schema.params.base import check_name

    end_with_parent(interruption.PARENT, from_main_thread())
    project = Project(Path.cwd())
    gc.freeze()  # the modules stay until the end: no collection of garbage need visit them
    try:
        sweep(project.root)
        items = [word for word in words if not word.startswith("--")]
        for item in items:
            check_name(item, "command line")
        with recorded(project.root, project.runs, _instance(name, items)):
            stage(project, *items)
    except KeyboardInterrupt:
        print(interruption.INTERRUPTED, file=sys.stderr, flush=True)
        os._exit(130)  # an ordinary end would wait for the worker processes
    except (ConsilienceError, MemoryError, OSError) as error:
        print(f"error: {_described(error, project)}", file=sys.stderr)
        raise SystemExit(1) from None


def _instance(name: str, items: Sequence[str]) -> str:
    """Return the name of a stage with its item: ``train@concat``."""
    return "@".join((name or "stage", *items))


def _described(error: Exception, project: Project) -> str:
    """Return one line on an error; remove a damaged result, so that DVC computes it again."""
    if isinstance(error, DamagedFileError) and _is_result(error.path, project):
        error.path.unlink(missing_ok=True)
        return f"{error}: the file is removed, run it again"
    if isinstance(error, OSError | MemoryError):
        return system_error(error)
    return str(error)


def _is_result(path: Path, project: Project) -> bool:
    """Return whether a file was computed by a stage, and not recorded or written by a person."""
    place = path.absolute()
    return place.is_relative_to(project.data) and not place.is_relative_to(project.data / "raw")
