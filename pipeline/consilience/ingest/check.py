"""Report on a dataset's content and problems before anything runs: ``consilience check``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from consilience.core import registry
from consilience.core.errors import ConsilienceError, one_line, unreadable
from consilience.core.isolation import isolated_map
from consilience.core.wording import counted
from consilience.ingest.catalog import LIMIT_S, Catalog, build_catalog, configured
from consilience.ingest.findings import findings_of
from consilience.modalities.base import Modality, ModalityParams
from consilience.modalities.settings import modality_params
from consilience.project import Project
from consilience.schema.constants import AFFECT_CLASSES
from consilience.schema.params.dataset import DatasetParams

DEFAULTS = "defaults of the program"
MAX_LINES = 40  # printed per section; the JSON file contains all
MAX_FINDINGS = 4  # printed per file
MAX_NAMES = 3  # sessions printed by name
MAX_RATES = 5  # sampling rates printed per modality


@dataclass(frozen=True)
class Finding:
    """A defect of a usable recording that its reader reports, such as losses or bad contacts."""

    modality: str
    recording: str
    path: str
    what: str


@dataclass(frozen=True)
class Report:
    """Catalog of a dataset's folder, with the findings of the readers.

    Attributes
    ----------
    root : Path
    catalog : Catalog
    findings : list of Finding
    parameters : str
        Where the parameters come from.
    """

    root: Path
    catalog: Catalog
    findings: list[Finding]
    parameters: str = DEFAULTS

    @property
    def recordings(self) -> pl.DataFrame:
        """Catalog rows of all modalities, in table `Recordings`."""
        return pl.concat(self.catalog.recordings.values())

    def failed(self, on_problem: str) -> bool:
        """Return whether a run would stop at a problem, or without any usable recording."""
        usable = (self.recordings["status"] == "ok").any()
        return not usable or (on_problem == "fail" and self.catalog.problems.height > 0)

    def as_json(self) -> dict[str, Any]:
        """Return the report as nested dicts and lists."""
        catalog = self.catalog
        return {
            "dataset": catalog.dataset,
            "root": str(self.root),
            "parameters": self.parameters,
            **catalog.summary(),
            "rates_hz": {name: _rates(table) for name, table in catalog.recordings.items()},
            "sessions_without": _sessions_without(self.recordings),
            "clocks": _clocks(self.recordings, catalog.pulses),
            "trials": catalog.trials.height,
            "annotations": _annotations(catalog, self.recordings),
            "problems": catalog.problems.to_dicts(),
            "notes": [{"where": where, "what": what} for where, what in catalog.notes],
            "findings": [vars(finding) for finding in self.findings],
            "recordings": self.recordings.to_dicts(),
        }


def check(
    name: str,
    root: Path,
    modalities: tuple[str, ...] = (),
    settings: Mapping[str, ModalityParams] | None = None,
    parameters: str = DEFAULTS,
) -> Report:
    """Catalog a dataset, open every file, and collect the findings of each modality's reader.

    Parameters
    ----------
    name : str
        Name of the dataset's adapter.
    root : Path
        The dataset's folder.
    modalities : tuple of str
        Modalities to check; empty for all that are listed.
    settings : mapping of str to ModalityParams or None
        Parameters by modality, where they differ from the defaults.
    parameters : str
        Where they come from.

    Returns
    -------
    Report

    Raises
    ------
    ConsilienceError
        If the folder does not have the dataset's layout, or has no recording.
    """
    catalog = build_catalog(registry.get("datasets", name), root, modalities or None, settings)
    if not catalog.recordings:
        raise ConsilienceError(f"dataset '{name}' has no recording", str(root), "check --dataset")
    findings = [
        finding
        for modality, table in catalog.recordings.items()
        for finding in _inspect_all(configured(modality, settings), table, root)
    ]
    return Report(root, catalog, findings, parameters)


def params_for_dataset(project: Project, dataset: str) -> tuple[tuple[str, ...], str]:
    """Return the modalities and the policy for bad recordings from a project's parameters.

    Parameters
    ----------
    project : Project
        Need not have a ``params.yaml``.
    dataset : str

    Returns
    -------
    modalities : tuple of str
        Empty if the project's parameters are for another dataset, or invalid.
    on_problem : str
        ``"quarantine"`` or ``"fail"``; ``"quarantine"`` without parameters.
    """
    try:
        settings = project.section(DatasetParams)
    except ConsilienceError:
        return (), "quarantine"
    if settings.name != dataset:
        return (), "quarantine"
    return tuple(project.content.get("modalities") or ()), settings.on_problem


def settings_for_dataset(project: Project, dataset: str) -> Mapping[str, ModalityParams]:
    """Return the parameters of the modalities, empty where `params_for_dataset` is."""
    try:
        return modality_params(project) if params_for_dataset(project, dataset)[0] else {}
    except ConsilienceError:
        return {}


def source_of_params(project: Project, dataset: str) -> str:
    """Describe where `params_for_dataset` and `settings_for_dataset` take the parameters from."""
    if not project.params_file.is_file():
        return f"{DEFAULTS}, without a params.yaml"
    try:
        name = project.section(DatasetParams).name
        modality_params(project)
    except ConsilienceError as error:
        return f"{DEFAULTS}; {one_line(str(error))}"
    if name != dataset:
        return f"{DEFAULTS}; {project.params_file} is for the dataset '{name}'"
    return str(project.params_file)


def _inspect_all(modality: Modality, table: pl.DataFrame, root: Path) -> list[Finding]:
    """Return the findings about the usable recordings of one modality."""
    rows = table.filter(pl.col("status") == "ok").select("recording", "path", "item").rows()
    work = partial(_inspect, modality=modality, root=root)
    title = f"inspect {modality.name}"
    findings = isolated_map(work, rows, title, LIMIT_S, lambda _, why: [why])
    return [
        Finding(modality.name, recording, path, one_line(what))
        for (recording, path, _), lines in zip(rows, findings, strict=True)
        for what in lines
    ]


def _inspect(row: tuple[str, str, str | None], modality: Modality, root: Path) -> list[str]:
    """Return the reader's findings about one recording; a failure becomes a finding."""
    _, path, item = row
    try:
        return findings_of(modality, root / path, item)
    except (MemoryError, OSError) as error:
        return [unreadable(error)]


def _rates(table: pl.DataFrame) -> dict[str, int]:
    """Return the number of usable recordings by sampling rate."""
    rates = table.filter(pl.col("status") == "ok")["rate_hz"].drop_nulls()
    return {f"{rate:g}": count for rate, count in sorted(Counter(rates.to_list()).items())}


def _clocks(recordings: pl.DataFrame, pulses: pl.DataFrame) -> dict[str, Any]:
    """Count the recordings to align, and the evidence for their clocks."""
    usable = recordings.filter(pl.col("status") == "ok")
    to_align = usable.filter(pl.col("clock") == "anchors")
    with_pulses = set(pulses["session"])
    return {
        "shared": usable.height - to_align.height,
        "to_align": to_align.height,
        "sessions_with_pulses": len(with_pulses),
        "pulses": pulses.height,
        "to_align_without_pulses": sorted(set(to_align["session"]) - with_pulses),
        "with_start_time": usable["start_time"].drop_nulls().len(),
    }


def _sessions_without(recordings: pl.DataFrame) -> dict[str, list[str]]:
    """Return the sessions without a usable recording of a modality, by modality."""
    usable = recordings.filter(pl.col("status") == "ok")
    sessions = set(recordings["session"])
    return {
        modality: sorted(sessions - set(usable.filter(modality=modality)["session"]))
        for modality in recordings["modality"].unique(maintain_order=True).to_list()
    }


def _annotations(catalog: Catalog, recordings: pl.DataFrame) -> dict[str, Any]:
    """Count the annotations by target and class, and the sessions without any."""
    table = catalog.annotations
    labels = table.filter(pl.col("target") == "emotion")["label"]
    sessions = set(recordings["session"])
    missing = sorted(sessions - set(table["session"]))
    return {
        "rows": table.height,
        "annotators": table["annotator"].n_unique(),
        "targets": {
            str(target): count for target, count in sorted(Counter(table["target"]).items())
        },
        "classes": {name: int((labels == name).sum()) for name in catalog.classes},
        "annotated_sessions": len(sessions) - len(missing),
        "sessions": len(sessions),
        "sessions_without": missing,
    }


def show(report: Report, console: Console) -> None:
    """Print a report: the content of the dataset, then notes, findings and problems.

    Parameters
    ----------
    report : Report
    console : rich.console.Console
    """
    content = report.as_json()
    console.print(
        f"[bold]{escape(content['dataset'])}[/bold] in {escape(content['root'])}: "
        f"{counted(content['subjects'], 'subject')}, "
        f"{counted(content['sessions'], 'session')} with usable recordings",
        soft_wrap=True,
    )
    console.print(_modality_table(content))
    console.print(f"parameters: {escape(content['parameters'])}", soft_wrap=True, highlight=False)
    without = [
        f"{modality}: {_sessions(names)} without a usable recording"
        for modality, names in content["sessions_without"].items()
        if names
    ]
    for line in (*without, *_clock_lines(content["clocks"]), *_annotation_lines(content)):
        console.print(escape(line), soft_wrap=True, highlight=False)
    problems = [_problem_line(**row) for row in content["problems"]]
    findings = [f"{path}: {what}" for path, what in _by_path(report.findings).items()]
    notes = [f"{row['where']}: {row['what']}" for row in content["notes"]]
    for title, lines in (("notes", notes), ("findings", findings), ("problems", problems)):
        # Modalities that read the same file give the same line.
        _section(console, title, list(dict.fromkeys(lines)))


def _by_path(findings: list[Finding]) -> dict[str, str]:
    """Return the first findings about each file in one line, and the number of further ones."""
    by_path: dict[str, list[str]] = {}
    for finding in findings:
        lines = by_path.setdefault(finding.path, [])
        if finding.what not in lines:
            lines.append(finding.what)
    return {
        path: "; ".join(lines[:MAX_FINDINGS])
        + (f"; and {len(lines) - MAX_FINDINGS} more" if len(lines) > MAX_FINDINGS else "")
        for path, lines in by_path.items()
    }


def _modality_table(content: dict[str, Any]) -> Table:
    """Return the recordings, hours and sampling rates of each modality."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for name in ("modality", "usable", "quarantined", "missing", "hours", "rates in Hz"):
        table.add_column(name, justify="left" if name in ("modality", "rates in Hz") else "right")
    for name, counts in content["modalities"].items():
        rates = content["rates_hz"][name]
        cells = [str(counts[status]) for status in ("ok", "quarantined", "missing")]
        table.add_row(name, *cells, f"{counts['hours']:.2f}", _rates_cell(rates))
    return table


def _rates_cell(rates: dict[str, int]) -> str:
    first = ", ".join(f"{rate} ({count})" for rate, count in list(rates.items())[:MAX_RATES])
    further = f", and {len(rates) - MAX_RATES} more" if len(rates) > MAX_RATES else ""
    return (first or "no time axis") + further


def _clock_lines(clocks: dict[str, Any]) -> list[str]:
    lines = [
        f"clocks: {counted(clocks['shared'], 'recording')} in session time, "
        f"{clocks['to_align']} to align; "
        f"{counted(clocks['pulses'], 'pulse')} in "
        f"{counted(clocks['sessions_with_pulses'], 'session')}"
    ]
    without = clocks["to_align_without_pulses"]
    if without:
        lines.append(
            f"clocks: {_sessions(without)} without pulses need clock offsets or shared sound"
        )
    return lines


def _annotation_lines(content: dict[str, Any]) -> list[str]:
    counts = content["annotations"]
    targets = ", ".join(f"{name} {count}" for name, count in counts["targets"].items()) or "none"
    classes = ", ".join(f"{name} {count}" for name, count in counts["classes"].items()) or "none"
    if tuple(counts["classes"]) in AFFECT_CLASSES.values() and not any(counts["classes"].values()):
        classes = f"{', '.join(counts['classes'])}, from the ratings"
    lines = [
        f"annotations: {counts['rows']} by {counted(counts['annotators'], 'annotator')} "
        f"({targets}); "
        f"{counts['annotated_sessions']} of {counts['sessions']} sessions; "
        f"{counted(content['trials'], 'trial')}",
        f"classes: {classes}",
    ]
    if counts["sessions_without"]:
        lines.append(f"annotations: {_sessions(counts['sessions_without'])} without annotations")
    return lines


def _sessions(names: list[str]) -> str:
    """Return the number of sessions and the names of the first ones."""
    first = ", ".join(names[:MAX_NAMES]) + (", …" if len(names) > MAX_NAMES else "")
    return f"{counted(len(names), 'session')} ({first})"


def _problem_line(where: str, what: str, remedy: str) -> str:
    return f"{where}: {what}" + (f" ({remedy})" if remedy else "")


def _section(console: Console, title: str, lines: list[str]) -> None:
    """Print the lines of one section; an empty one only if it is that of problems."""
    if not lines:
        if title == "problems":
            console.print("problems: none")
        return
    console.print(f"[bold]{title}: {len(lines)}[/bold]")
    for line in lines[:MAX_LINES]:
        console.print(f"  {escape(line)}", soft_wrap=True, highlight=False)
    hidden = len(lines) - MAX_LINES
    if hidden > 0:
        console.print(f"  and {hidden} more: --json FILE contains all")
