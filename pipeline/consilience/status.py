"""The state of a study: stale stages and why, unusable recordings, the metrics of the last run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from consilience import params, stage_code
from consilience.core import termination
from consilience.core.dvc import ALWAYS, stage_changes, stage_graph
from consilience.core.fingerprint import CodeBase
from consilience.core.wording import counted, first_lines
from consilience.graph import affected
from consilience.project import Project
from consilience.schema.tables import Alignment, Problems, read_table

NAMED = 3  # modules and files that a reason names


@dataclass(frozen=True)
class Status:
    """The state of a study.

    Attributes
    ----------
    stages : list of str
        All stages, upstream ones first.
    stale : dict of str to list of str
        Reasons by stage that would run.
    following : list of str
        Stages that depend on stale ones, and run if their outputs change.
    unusable : list of dict
        Rows of table `Problems` of the last catalog and ingest, and the unaligned recordings.
    metrics : dict of str to dict
        Metrics of every method in the last evaluation.
    """

    stages: list[str]
    stale: dict[str, list[str]]
    following: list[str]
    unusable: list[dict[str, str]]
    metrics: dict[str, dict[str, float]]

    def lines(self) -> list[str]:
        """Return the stages and recordings as lines of text."""
        current = len(self.stages) - len(self.stale) - len(self.following)
        head = f"{counted(len(self.stages), 'stage')}: {current} up to date"
        if self.stale:
            head += f", {len(self.stale)} stale, {len(self.following)} after those"
        stale = [f"  {stage}: {'; '.join(reasons)}" for stage, reasons in self.stale.items()]
        unusable = [f"  {row['where']}: {row['what']} ({row['remedy']})" for row in self.unusable]
        listed = first_lines(unusable, "in the report and with --json FILE")
        return [head, *stale, f"{counted(len(unusable), 'problem')} of recordings", *listed]


def status(project: Project) -> Status:
    """Compare a study with its last run; nothing is written but the store of fingerprints.

    Raises
    ------
    ConsilienceError
        If a parameter is invalid, or DVC cannot read the study.
    """
    code = changed_code(project)
    graph = termination.run(stage_graph(project.root))
    changes = termination.run(stage_changes(project.root))
    stale = {
        stage: reasons
        for stage in graph
        if (reasons := _reasons(code.get(stage, []), changes.get(stage, [])))
    }
    following = [stage for stage in affected(graph, stale) if stage not in stale]
    metrics = project.evaluation / "metrics.json"
    return Status(
        stages=list(graph),
        stale=stale,
        following=following,
        unusable=unusable(project),
        metrics=json.loads(metrics.read_text()) if metrics.is_file() else {},
    )


def changed_code(project: Project) -> dict[str, list[str]]:
    """Return the modules and libraries that changed since stage ``code`` ran, by stage."""
    settings = params.load(project.params_file)
    files = stage_code.fingerprint_files(settings, CodeBase(project.store(stage_code.STORE)))
    changed = {}
    for name, text in files.items():
        path = project.code / name
        before = json.loads(path.read_text()) if path.is_file() else {}
        if names := _differences(before, json.loads(text)):
            changed[Path(name).stem.replace("-", "@")] = names
    return changed


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the modules, libraries and kinds of plug-ins that differ between two fingerprints."""
    if not before:
        return ["all"]
    names = []
    for field in ("modules", "libraries", "plugins"):
        keys = sorted({*before[field], *after[field]})
        names += [key for key in keys if before[field].get(key) != after[field].get(key)]
    return names


def _reasons(code: list[str], changes: list[Any]) -> list[str]:
    """Return why a stage is stale, from its changed code and what ``dvc status`` reports."""
    outs = [what for change in changes if isinstance(change, dict) for what in _outs(change)]
    if outs and all(what == "deleted" for what in outs):
        return ["without results"]
    reasons = [f"code changed: {_few(code)}"] if code else []
    for change in changes:
        if change == ALWAYS:
            continue
        if isinstance(change, str):
            reasons.append(change)
            continue
        for kind, paths in change.items():
            # The fingerprint's own file repeats a change of code that is named already.
            names = [name for name in _flat(paths) if not (code and "data/code/" in name)]
            reasons += [f"{kind}: {_few(names)}"] if names else []
    return reasons


def _outs(change: Mapping[str, Any]) -> list[Any]:
    """Return what happened to the outputs that a change names."""
    return list(change.get("changed outs", {}).values())


def _flat(paths: Mapping[str, Any]) -> list[str]:
    """Return the paths and parameters of a change, each with what happened to it."""
    names = []
    for path, what in paths.items():
        if isinstance(what, Mapping):
            names += [f"{name} {how}" for name, how in what.items()]
        else:
            names.append(f"{path} {what}")
    return names


def _few(names: list[str]) -> str:
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + rest


def unusable(project: Project) -> list[dict[str, str]]:
    """Return table `Problems` of the last catalog and ingest, and the unaligned recordings."""
    files = [project.catalog / "problems.parquet"]
    files += sorted((project.data / "signals").glob("*/problems.parquet"))
    tables = [read_table(file, Problems) for file in files if file.is_file()]
    if (clocks := project.alignment / "alignment.parquet").is_file():
        tables.append(_unaligned(read_table(clocks, Alignment)))
    return pl.concat(tables).to_dicts() if tables else []


def _unaligned(clocks: pl.DataFrame) -> pl.DataFrame:
    return clocks.filter(pl.col("status") == "unaligned").select(
        where="recording", what="reason", remedy=pl.lit("left out of the windows: unaligned")
    )
