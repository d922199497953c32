"""The graph of a project's DVC stages: which are stale, and what depends on those."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from consilience import stage_code
from consilience.core import study
from consilience.core.dvc import ALWAYS, Graph, stage_changes
from consilience.core.errors import ConsilienceError
from consilience.core.workers import workers
from consilience.project import Project

CODE = "code"  # the stage that always runs, before DVC can compute which others are stale


async def stale_stages(folder: Path) -> set[str]:
    """Return the stages to run once stage ``code`` is current, without those that follow them.

    Parameters
    ----------
    folder : Path
        The project's folder.

    Raises
    ------
    ConsilienceError
        If DVC cannot read the project.
    """
    return stale(await stage_changes(folder))


def stale(changes: Mapping[str, list[Any]]) -> set[str]:
    """Return the stages to run, from what `core.dvc.stage_changes` returned."""
    return {stage for stage, what in changes.items() if (stage, what) != (CODE, [ALWAYS])}


def kinds_of_change(changes: Mapping[str, list[Any]]) -> set[str]:
    """Return the kinds of change that made stages stale, for people.

    They are recordings, annotations, parameters, code, results and command. What a stage of the
    graph wrote anew is not a cause for the stages after it; a missing result is one.
    """
    kinds = set()
    for what in changes.values():
        for change in what:
            if isinstance(change, str):
                if change != ALWAYS:
                    kinds.add("command")
                continue
            if change.get("changed outs"):
                kinds.add("results")
            kinds |= {_kind(path) for path in change.get("changed deps", {})} - {""}
    return kinds


def _kind(path: str) -> str:
    if path.endswith("params.yaml"):
        return "parameters"
    if path.startswith("data/code/"):
        return "code"
    if path.startswith("data/annotations"):
        return "annotations"
    return "recordings" if path.startswith("data/raw") or not path.startswith("data/") else ""


async def nothing_to_do(folder: Path) -> bool:
    """Return whether no stage is stale; False also for a project that has a problem to report."""
    try:
        study.use(folder)
        current = stage_code.is_current(Project(folder))
        return current and not await stale_stages(folder)
    except ConsilienceError:
        return False


def affected(graph: Graph, stale: Collection[str]) -> Graph:
    """Return the part of a graph that consists of stale stages and of those that follow them."""
    subgraph: Graph = {}
    for stage, upstream in graph.items():
        inside = [name for name in upstream if name in subgraph]
        if stage in stale or inside:
            subgraph[stage] = inside
    return subgraph


def share(stage: str, graph: Graph) -> int:
    """Return a stage's share of the workers: stages with the same upstream run in parallel."""
    parallel = sum(set(upstream) == set(graph[stage]) for upstream in graph.values())
    return max(1, workers() // parallel)
