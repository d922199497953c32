"""Reads the results of a run for the report."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.core.files import intact, read_json
from consilience.core.pseudonyms import Names, load_key
from consilience.evaluation import contradictions
from consilience.project import Project
from consilience.schema.params.dataset import DatasetParams
from consilience.schema.params.privacy import PrivacyParams
from consilience.schema.params.training import TrainingParams
from consilience.schema.tables import (
    Alignment,
    Anchors,
    Annotators,
    Confusions,
    Findings,
    Ingested,
    Labels,
    Problems,
    Recordings,
    Splits,
    read_table,
)

CONTRARY = "contrary_annotators"  # key of the labels' summary


class RecordingStatus(StrEnum):
    """Outcome of a catalogued recording, in the order of the report's legend."""

    USABLE = "usable"
    UNALIGNED = "unaligned"
    QUARANTINED = "quarantined"
    MISSING = "missing"


@dataclass(frozen=True)
class Results:
    """Tables and metrics that the report shows.

    Attributes
    ----------
    meta : dict
        ``dataset``, ``modalities`` and ``classes`` of the windows.
    recordings : polars.DataFrame
        A row per catalogued recording: recording, session, subject, modality, duration_s,
        quality, status (a `RecordingStatus`) and reason.
    alignment : polars.DataFrame
        Table `Alignment`.
    anchors : polars.DataFrame
        Table `Anchors`, with the modality of every recording.
    labels : polars.DataFrame
        Table `Labels`, of all windows with and without recordings.
    annotators : polars.DataFrame
        Table `Annotators`.
    confusions : polars.DataFrame
        Table `Confusions`.
    label_summary : dict
        Number of labels and agreement of the annotators.
    splits : polars.DataFrame
        Table `Splits`.
    problems : polars.DataFrame
        Table `Problems`: those of the catalog, then those of ingesting and alignment.
    findings : polars.DataFrame
        ``path`` and ``what`` of table `Findings`, once for modalities that read the same file.
    metrics : dict
        Metrics of every method: the default method, then the others in the order of the parameters.
    default_method : str
        The method whose windows are shown one by one.
    predictions : polars.DataFrame
        Predictions of the default method for every test window.
    recording_coherence : polars.DataFrame
        Table `RecordingCoherence` of the default method.
    subsets, noise, mismatch, reliability : polars.DataFrame
        The evaluation's plots.
    histories : dict of str to polars.DataFrame
        Training curves of every method.
    scores : dict of str to dict
        Errors of alignment and labels of synthetic corpora against the ground truth.
    coverage : float
        Aim of the prediction sets and intervals.
    names : Names
        Names of people, sessions and files as the report shows them; all tables have them.
    """

    meta: dict[str, Any]
    recordings: pl.DataFrame
    alignment: pl.DataFrame
    anchors: pl.DataFrame
    labels: pl.DataFrame
    annotators: pl.DataFrame
    confusions: pl.DataFrame
    label_summary: dict[str, Any]
    splits: pl.DataFrame
    problems: pl.DataFrame
    findings: pl.DataFrame
    metrics: dict[str, dict[str, float]]
    default_method: str
    predictions: pl.DataFrame
    recording_coherence: pl.DataFrame
    subsets: pl.DataFrame
    noise: pl.DataFrame
    mismatch: pl.DataFrame
    reliability: pl.DataFrame
    histories: dict[str, pl.DataFrame]
    scores: dict[str, dict[str, Any]]
    coverage: float = 0.9
    names: Names = field(default_factory=Names)


def load_results(project: Project) -> Results:
    """Read the results that the other stages have written.

    Raises
    ------
    ConsilienceError
        If a table is missing or does not match its schema.
    """
    meta = _read_json(project.windows / "meta.json")
    alignment = read_table(project.alignment / "alignment.parquet", Alignment)
    recordings = _recordings(project, meta["modalities"], alignment)
    catalogued = read_table(project.catalog / "problems.parquet", Problems)
    metrics = _read_json(project.evaluation / "metrics.json")
    first = default_method(metrics)
    plots = project.evaluation / "plots"
    windows = project.evaluation / "windows.parquet"
    results = Results(
        meta=meta,
        recordings=recordings.drop("stage"),
        alignment=alignment,
        anchors=read_table(project.alignment / "anchors.parquet", Anchors).join(
            alignment.select("recording", "modality"), on="recording"
        ),
        labels=read_table(project.labels / "labels.parquet", Labels),
        annotators=read_table(project.labels / "annotators.parquet", Annotators),
        confusions=read_table(project.labels / "confusions.parquet", Confusions),
        label_summary=_read_json(project.labels / "summary.json"),
        splits=read_table(project.windows / "splits.parquet", Splits),
        problems=pl.concat([catalogued, _later_problems(recordings)]),
        findings=_findings(project, meta["modalities"]),
        metrics={name: metrics[name] for name in (first, *metrics)},
        default_method=first,
        predictions=intact(windows, lambda: pl.read_parquet(windows)),
        recording_coherence=contradictions.load(project),
        subsets=_accuracies(plots / "subsets.csv"),
        noise=_accuracies(plots / "noise.csv"),
        mismatch=_accuracies(plots / "mismatches.csv"),
        reliability=pl.read_csv(plots / "reliability.csv"),
        histories={
            name: pl.read_csv(project.model(name) / "history.csv") for name in (first, *metrics)
        },
        coverage=project.section(TrainingParams).coverage,
        scores=_scores(project),
    )
    if not project.section(PrivacyParams).pseudonyms:
        return results
    names = Names(
        load_key(project.root), recordings.select("recording", "session", "subject").iter_rows()
    )
    return renamed(results, names)


def _accuracies(path: Path) -> pl.DataFrame:
    """Read accuracies whose intervals, wide with few people, are limited to 0 and 1."""
    return pl.read_csv(path).with_columns(pl.col("low", "high").cast(pl.Float64).clip(0, 1))


def renamed(results: Results, names: Names) -> Results:
    """Return results whose tables show other names.

    Parameters
    ----------
    results : Results
    names : Names
    """
    tables: dict[str, Any] = {
        entry.name: names.mapped(table)
        for entry in fields(results)
        if isinstance(table := getattr(results, entry.name), pl.DataFrame)
    }
    contrary = [names.annotator(name) for name in results.label_summary.get(CONTRARY, [])]
    summary = {**results.label_summary, CONTRARY: contrary}
    return replace(results, **tables, label_summary=summary, names=names)


def _scores(project: Project) -> dict[str, dict[str, Any]]:
    """Return the errors of each synthetic corpus in the dataset, by kind."""
    return {
        corpus: {
            kind: _read_json(project.score(corpus) / f"{kind}.json")
            for kind in ("alignment", "labels")
        }
        for corpus in project.section(DatasetParams).synthetic
    }


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConsilienceError("the results are missing", str(path), "run 'dvc repro'")
    content: dict[str, Any] = read_json(path)
    return content


def default_method(metrics: dict[str, dict[str, float]]) -> str:
    """Return the method that the others are compared with, or the first without comparisons.

    The evaluation writes the differences ``all_over_<other>`` for that method only.
    """
    for method, values in metrics.items():
        if any(name.startswith("all_over_") for name in values):
            return method
    return next(iter(metrics))


def _recordings(project: Project, modalities: list[str], alignment: pl.DataFrame) -> pl.DataFrame:
    """Return every catalogued recording with its status, the stage that excluded it, and why."""
    aligned = alignment.select("recording", aligned="status", align_reason="reason")
    table = pl.concat([_ingested(project, modality) for modality in modalities])
    table = table.join(aligned, on="recording", how="left", maintain_order="left")
    # A left join leaves null where a later stage has no row: the comparison is then null, which
    # `when` takes as false. So an excluded recording must be looked for stage by stage, in order.
    not_catalogued = pl.col("catalogued") != "ok"
    not_ingested = pl.col("ingested") != "ok"
    not_aligned = pl.col("aligned") != "aligned"
    return table.select(
        "recording",
        "session",
        "subject",
        "modality",
        "duration_s",
        "quality",
        status=pl.when(not_catalogued)
        .then("catalogued")
        .when(not_ingested)
        .then("ingested")
        .when(not_aligned)
        .then(pl.lit("unaligned"))
        .otherwise(pl.lit("usable")),
        reason=pl.when(not_catalogued)
        .then("catalog_reason")
        .when(not_ingested)
        .then("ingest_reason")
        .when(not_aligned)
        .then("align_reason"),
        stage=pl.when(not_catalogued)
        .then(pl.lit("catalog"))
        .when(not_ingested)
        .then(pl.lit("ingest"))
        .when(not_aligned)
        .then(pl.lit("align")),
    )


def _ingested(project: Project, modality: str) -> pl.DataFrame:
    """Return one modality's catalog with the outcome of ingesting beside it."""
    catalog = read_table(project.recordings_table(modality), Recordings)
    ingested = read_table(project.signals(modality) / "recordings.parquet", Ingested)
    return (
        catalog.select("recording", "session", "subject", "modality", "duration_s")
        .with_columns(catalogued=catalog["status"], catalog_reason=catalog["reason"])
        .join(
            ingested.select("recording", "quality", ingested="status", ingest_reason="reason"),
            on="recording",
            how="left",
            maintain_order="left",
        )
    )


def _findings(project: Project, modalities: list[str]) -> pl.DataFrame:
    tables = [
        read_table(project.signals(modality) / "findings.parquet", Findings)
        for modality in modalities
    ]
    return pl.concat(tables).select("path", "what").unique(maintain_order=True)


def _later_problems(recordings: pl.DataFrame) -> pl.DataFrame:
    """Return the recordings excluded by ingesting and alignment, as table `Problems`.

    The catalog writes its own problems; adding its exclusions here would list them twice.
    """
    later = recordings.filter(pl.col("stage").is_in(["ingest", "align"]))
    return later.select(
        where="recording",
        what=pl.col("reason").fill_null("no reason given"),
        remedy=pl.lit("left out: ") + pl.col("status"),
    )
