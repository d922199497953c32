"""Entry points of the DVC stages: each parses the command line and calls one function."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

from consilience.core import interruption  # before all others
from consilience.core.errors import ConsilienceError, system_error
from consilience.core.files import DamagedFileError, sweep
from consilience.project import Project


def run(stage: Callable[..., None]) -> None:
    """Run a stage on the project in the working directory.

    The command line's words are its further arguments, without the option names before them:
    ``--modality eeg``. A user's mistake, and what the system refuses, end as one line on standard
    error and exit code 1. The stage ends with the process that started it.
    """
    from consilience.core.processes import end_with_parent, from_main_thread  # slow to import
    from consilience.schema.params.base import check_name

    end_with_parent(interruption.PARENT, from_main_thread())
    project = Project(Path.cwd())
    gc.freeze()  # the modules stay until the end: no collection of garbage need visit them
    try:
        sweep(project.root)
        words = [word for word in sys.argv[1:] if not word.startswith("--")]
        for word in words:
            check_name(word, "command line")
        stage(project, *words)
    except KeyboardInterrupt:
        print(interruption.INTERRUPTED, file=sys.stderr, flush=True)
        os._exit(130)  # an ordinary end would wait for the worker processes
    except (ConsilienceError, MemoryError, OSError) as error:
        print(f"error: {_described(error, project)}", file=sys.stderr)
        raise SystemExit(1) from None


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
