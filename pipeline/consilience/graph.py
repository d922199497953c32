"""The graph of a project's DVC stages: which are stale, and what depends on those."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

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
    changes = await stage_changes(folder)
    return {stage for stage, what in changes.items() if (stage, what) != (CODE, [ALWAYS])}


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
