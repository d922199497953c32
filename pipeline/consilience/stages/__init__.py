"""Entry points of the DVC stages: each parses the command line and calls one function."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from consilience.core.errors import ConsilienceError
from consilience.project import Project


def run(stage: Callable[..., None]) -> None:
    """Run a stage on the project in the working directory.

    The command line's words are its further arguments. A user's mistake ends as one line on
    standard error and exit code 1.
    """
    try:
        stage(Project(Path.cwd()), *sys.argv[1:])
    except ConsilienceError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
