"""What a dataset holds and what is wrong with it, before anything runs: ``consilience check``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from consilience import params
from consilience.core import registry
from consilience.core.errors import ConsilienceError, RecordingError, one_line, unreadable
from consilience.core.isolation import isolated_map
from consilience.ingest.catalog import LIMIT_S, Catalog, build_catalog

MAX_SHOWN = 40  # lines of each kind on the screen; the JSON file has them all
MAX_REMARKS = 4  # on one file


@dataclass(frozen=True)
class Finding:
    """What a sensor's reader remarks on a usable recording: losses, bad contacts, and the like."""

    modality: str
    recording: str
    path: str
    what: str


@dataclass(frozen=True)
class Report:
    """All that was found in a dataset's folder."""

    root: Path
    catalog: Catalog
    findings: list[Finding]

    @property
    def recordings(self) -> pl.DataFrame:
        """Every listed recording, whatever its modality and status."""
        return pl.concat(self.catalog.recordings.values())

    def failed(self, on_problem: str) -> bool:
        """Return whether a run would stop: at any problem, or with nothing left to run on."""
        usable = (self.recordings["status"] == "ok").any()
        return not usable or (on_problem == "fail" and self.catalog.problems.height > 0)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain dicts and lists."""
        catalog = self.catalog
        return {
            "dataset": catalog.dataset,
            "root": str(self.root),
            **catalog.summary(),
            "rates_hz": {name: _rates(table) for name, table in catalog.recordings.items()},
            "clocks": _clocks(self.recordings, catalog.pulses),
            "trials": catalog.trials.height,
            "annotations": _annotations(catalog, self.recordings),
            "problems": catalog.problems.to_dicts(),
            "notes": [{"where": where, "what": what} for where, what in catalog.notes],
            "findings": [vars(finding) for finding in self.findings],
            "recordings": self.recordings.to_dicts(),
        }


def check(name: str, root: Path, modalities: tuple[str, ...] = ()) -> Report:
    """Scan a dataset: list it, open every file, and ask each sensor's reader for its remarks.

    Parameters
    ----------
    name : str
        The dataset's adapter.
    root : Path
        Its folder.
    modalities : tuple of str
        Those to scan; none for all that are listed.

    Returns
    -------
    Report

    Raises
    ------
    ConsilienceError
        If the folder is no such dataset, or lists no recording at all.
    """
    catalog = build_catalog(registry.get("datasets", name), root, modalities or None)
    if not catalog.recordings:
        raise ConsilienceError(f"dataset '{name}' lists no recording", str(root), "check --dataset")
    findings = [
        finding
        for modality, table in catalog.recordings.items()
        for finding in _inspect_all(modality, table, root)
    ]
    return Report(root, catalog, findings)


def stated(dataset: str) -> tuple[tuple[str, ...], str]:
    """Return what params.yaml says of a dataset: modalities and policy; defaults if nothing."""
    try:
        settings = params.load()
    except ConsilienceError:
        return (), "quarantine"
    if settings.dataset.name != dataset:
        return (), "quarantine"
    return tuple(settings.modalities), settings.dataset.on_problem


def _inspect_all(modality: str, table: pl.DataFrame, root: Path) -> list[Finding]:
    rows = table.filter(pl.col("status") == "ok").select("recording", "path", "item").rows()
    work = partial(_inspect, modality=modality, root=root)
    remarks = isolated_map(work, rows, f"inspect {modality}", LIMIT_S, lambda _, why: [why])
    return [
        Finding(modality, recording, path, one_line(what))
        for (recording, path, _), own in zip(rows, remarks, strict=True)
        for what in own
    ]


def _inspect(row: tuple[str, str, str | None], modality: str, root: Path) -> list[str]:
    _, path, item = row
    try:
        found: list[str] = registry.get("modalities", modality).inspect(root / path, item)
    except RecordingError as error:
        return [error.reason]
    except Exception as error:  # a reader's own failure belongs to its recording
        return [unreadable(error)]
    return found


def _rates(table: pl.DataFrame) -> dict[str, int]:
    """Return how many recordings have which rate."""
    known = table.filter(pl.col("status") == "ok")["rate_hz"].drop_nulls()
    return {f"{rate:g}": count for rate, count in sorted(Counter(known.to_list()).items())}


def _clocks(recordings: pl.DataFrame, pulses: pl.DataFrame) -> dict[str, Any]:
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


def _annotations(catalog: Catalog, recordings: pl.DataFrame) -> dict[str, Any]:
    said = catalog.annotations
    labels = said.filter(pl.col("target") == "emotion")["label"]
    sessions = set(recordings["session"])
    lacking = sorted(sessions - set(said["session"]))
    return {
        "rows": said.height,
        "annotators": said["annotator"].n_unique(),
        "targets": {
            str(target): count for target, count in sorted(Counter(said["target"]).items())
        },
        "classes": {name: int((labels == name).sum()) for name in catalog.classes},
        "annotated_sessions": len(sessions) - len(lacking),
        "sessions": len(sessions),
        "sessions_without": lacking,
    }


def show(report: Report, console: Console) -> None:
    """Print a report: what there is, then all that is wrong with it."""
    content = report.as_json()
    console.print(
        f"[bold]{escape(content['dataset'])}[/bold] in {escape(content['root'])}: "
        f"{content['subjects']} subjects, {content['sessions']} sessions with usable recordings",
        soft_wrap=True,
    )
    console.print(_modality_table(content))
    for line in (*_clock_lines(content["clocks"]), *_annotation_lines(content)):
        console.print(escape(line), soft_wrap=True, highlight=False)
    problems = [_told(row["where"], row["what"], row["remedy"]) for row in content["problems"]]
    findings = [f"{path}: {what}" for path, what in _by_path(report.findings).items()]
    notes = [f"{row['where']}: {row['what']}" for row in content["notes"]]
    for title, lines in (("notes", notes), ("findings", findings), ("problems", problems)):
        _section(console, title, list(dict.fromkeys(lines)))  # one file may serve two modalities


def _by_path(findings: list[Finding]) -> dict[str, str]:
    """Return the first remarks on every file in one line, and how many more there are."""
    remarks: dict[str, list[str]] = {}
    for finding in findings:
        own = remarks.setdefault(finding.path, [])
        if finding.what not in own:
            own.append(finding.what)
    return {
        path: "; ".join(own[:MAX_REMARKS])
        + (f"; and {len(own) - MAX_REMARKS} more" if len(own) > MAX_REMARKS else "")
        for path, own in remarks.items()
    }


def _modality_table(content: dict[str, Any]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for name in ("modality", "usable", "quarantined", "missing", "hours", "rates in Hz"):
        table.add_column(name, justify="left" if name in ("modality", "rates in Hz") else "right")
    for name, counts in content["modalities"].items():
        rates = content["rates_hz"][name]
        shown = ", ".join(f"{rate} ({count})" for rate, count in list(rates.items())[:5])
        cells = [str(counts[status]) for status in ("ok", "quarantined", "missing")]
        more = f", and {len(rates) - 5} more" if len(rates) > 5 else ""
        table.add_row(name, *cells, f"{counts['hours']:.2f}", (shown or "no time axis") + more)
    return table


def _clock_lines(clocks: dict[str, Any]) -> list[str]:
    lines = [
        f"clocks: {clocks['shared']} recordings on their session's clock, "
        f"{clocks['to_align']} to be aligned; {clocks['pulses']} pulses in "
        f"{clocks['sessions_with_pulses']} sessions"
    ]
    lacking = clocks["to_align_without_pulses"]
    if lacking:
        lines.append(
            f"clocks: {_some(lacking)} no pulses, so that their own anchors or shared sound must do"
        )
    return lines


def _annotation_lines(content: dict[str, Any]) -> list[str]:
    said = content["annotations"]
    targets = ", ".join(f"{name} {count}" for name, count in said["targets"].items()) or "none"
    classes = ", ".join(f"{name} {count}" for name, count in said["classes"].items()) or "none"
    lines = [
        f"annotations: {said['rows']} by {said['annotators']} annotators ({targets}); "
        f"{said['annotated_sessions']} of {said['sessions']} sessions; {content['trials']} trials",
        f"classes: {classes}",
    ]
    if said["sessions_without"]:
        lines.append(f"annotations: {_some(said['sessions_without'])} none")
    return lines


def _some(sessions: list[str]) -> str:
    shown = ", ".join(sessions[:3]) + (", …" if len(sessions) > 3 else "")
    return f"{len(sessions)} sessions ({shown}) have"


def _told(where: str, what: str, remedy: str) -> str:
    return f"{where}: {what}" + (f" ({remedy})" if remedy else "")


def _section(console: Console, title: str, lines: list[str]) -> None:
    if not lines:
        if title == "problems":
            console.print("problems: none")
        return
    console.print(f"[bold]{title}: {len(lines)}[/bold]")
    for line in lines[:MAX_SHOWN]:
        console.print(f"  {escape(line)}", soft_wrap=True, highlight=False)
    hidden = len(lines) - MAX_SHOWN
    if hidden > 0:
        console.print(f"  and {hidden} more: --json FILE has them all")
