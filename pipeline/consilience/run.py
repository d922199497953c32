"""Brings the stages of a study up to date and reports the progress over its whole graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from consilience import params
from consilience.core import termination
from consilience.core.dvc import Graph, reproduce_all, stage_graph
from consilience.core.errors import ConsilienceError
from consilience.core.workers import workers
from consilience.project import Project

STAGE = re.compile(r"(?P<how>Running stage|Stage) '(?:dvc\.yaml:)?(?P<name>[^']+)'(?P<rest>.*)")
# Begin lines of DVC that repeat a stage's command, and a failure that the last line states.
REPEATED = ("> ", "ERROR: failed to reproduce ")


def run(project: Project, targets: Sequence[str], emit: Callable[[str], None]) -> None:
    """Run ``dvc repro``; a signal ends it and all its processes.

    Parameters
    ----------
    project : Project
    targets : sequence of str
        Names of stages, with or without the item: ``"ingest"`` or ``"ingest@eeg"``; none for all.
    emit : callable
        Called with every line of output.

    Raises
    ------
    ConsilienceError
        If a parameter is invalid, a target is unknown, or a stage failed.
    """
    params.load(project.params_file)  # before DVC makes commands of it
    graph = termination.run(stage_graph(project.root))
    chosen = upstream(graph, targets)
    progress = Progress(len(chosen), emit)
    outcome = termination.run(reproduce_all(project.root, targets, workers(), progress.report))
    if outcome.state == "failed":
        raise ConsilienceError(
            outcome.reason, progress.stage or "dvc repro", "'consilience run' continues from there"
        )


def upstream(graph: Graph, targets: Sequence[str]) -> Collection[str]:
    """Return the targets and all stages that they depend on; all stages without a target.

    Raises
    ------
    ConsilienceError
        If no stage has the name of a target.
    """
    chosen: set[str] = set() if targets else set(graph)
    for target in targets:
        named = {stage for stage in graph if target in (stage, stage.partition("@")[0])}
        if not named:
            raise ConsilienceError(
                f"unknown stage '{target}'", "TARGETS", f"known: {', '.join(graph)}"
            )
        chosen |= named
    for stage in reversed(graph):  # upstream stages come first in a graph
        if stage in chosen:
            chosen.update(graph[stage])
    return chosen


class Progress:
    """Numbers the stages as DVC begins or skips them.

    Parameters
    ----------
    n_stages : int
    emit : callable
        Called with every line to print.

    Attributes
    ----------
    stage : str
        The last stage that began.
    """

    def __init__(self, n_stages: int, emit: Callable[[str], None]) -> None:
        self.stage = ""
        self._n_stages, self._count, self._emit = n_stages, 0, emit

    def report(self, line: str) -> None:
        """Emit a line of DVC's output, with the number of a stage in place of DVC's words."""
        if match := STAGE.match(line):
            self._count += 1
            how = ""
            if match["how"] == "Running stage":
                self.stage = match["name"]
            else:
                how = ": from the cache" if "is cached" in match["rest"] else ": up to date"
            self._emit(f"[{self._count}/{self._n_stages}] {match['name']}{how}")
        elif not line.startswith(REPEATED):
            self._emit(line)
