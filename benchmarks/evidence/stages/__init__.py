"""Entry points of the evidence project's DVC stages: each parses the command line and calls."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks.evidence.study import Study
from consilience import stages


def run(stage: Callable[..., None]) -> None:
    """Run a stage on the study in the working directory; see `consilience.stages.run`."""
    stages.run(lambda project, *items: stage(Study(project.root), *items), sys.argv[1:])
