"""Entry points of the evidence project's DVC stages: each parses the command line and calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.evidence.study import Study
from consilience.core.errors import ConsilienceError


def run(stage: Callable[..., None]) -> None:
    """Run a stage on the study in the working directory.

    The command line's words are its further arguments. A user's mistake ends as one line on
    standard error and exit code 1.
    """
    try:
        stage(Study(Path.cwd()), *sys.argv[1:])
    except ConsilienceError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
