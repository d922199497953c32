"""What a run has left in ``data/``, read once for the report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.schema.tables import (
    Alignment,
    Anchors,
    Annotators,
    Confusions,
    Ingested,
    Labels,
    Problems,
    Recordings,
    Splits,
    read_table,
)

FATES = ["usable", "unaligned", "quarantined", "missing"]


@dataclass(frozen=True)
class Results:
    """Everything the report shows.

    Attributes
    ----------
    meta : dict
        ``dataset``, ``modalities`` and ``classes`` of the windows.
    fates : polars.DataFrame
        A row per catalogued recording: recording, session, subject, modality, duration_s,
        quality, fate (one of `FATES`) and reason.
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
        Counts of labels, and how far annotators agree.
    splits : polars.DataFrame
        Table `Splits`.
    problems : polars.DataFrame
        Table `Problems`: what the catalog found, then what ingesting and alignment did.
    metrics : dict
        Figures of every method, in the order of the parameters.
    default : str
        The method whose windows are shown one by one.
    readings : polars.DataFrame
        What the default method says of every test window.
    subsets, noise, conflicts, reliability : polars.DataFrame
        The evaluation's plots.
    histories : dict of str to polars.DataFrame
        Training curves of every method.
    scores : dict of str to dict
        Alignment and labels of synthetic corpora against their truth.
    """

    meta: dict[str, Any]
    fates: pl.DataFrame
    alignment: pl.DataFrame
    anchors: pl.DataFrame
    labels: pl.DataFrame
    annotators: pl.DataFrame
    confusions: pl.DataFrame
    label_summary: dict[str, Any]
    splits: pl.DataFrame
    problems: pl.DataFrame
    metrics: dict[str, dict[str, float]]
    default: str
    readings: pl.DataFrame
    subsets: pl.DataFrame
    noise: pl.DataFrame
    conflicts: pl.DataFrame
    reliability: pl.DataFrame
    histories: dict[str, pl.DataFrame]
    scores: dict[str, dict[str, Any]]


def load_results(data: Path, synthetic: list[str]) -> Results:
    """Read the results of a run.

    Parameters
    ----------
    data : Path
        Folder of all derived data.
    synthetic : list of str
        Corpora whose scores against the truth belong to this run.

    Raises
    ------
    ConsilienceError
        If a table is missing or breaks its contract.
    """
    meta = _read_json(data / "windows" / "meta.json")
    alignment = read_table(data / "alignment" / "alignment.parquet", Alignment)
    fates = _fates(data, meta["modalities"], alignment)
    catalogued = read_table(data / "catalog" / "problems.parquet", Problems)
    metrics = _read_json(data / "evaluation" / "metrics.json")
    plots = data / "evaluation" / "plots"
    return Results(
        meta=meta,
        fates=fates.drop("stage"),
        alignment=alignment,
        anchors=read_table(data / "alignment" / "anchors.parquet", Anchors).join(
            alignment.select("recording", "modality"), on="recording"
        ),
        labels=read_table(data / "labels" / "labels.parquet", Labels),
        annotators=read_table(data / "labels" / "annotators.parquet", Annotators),
        confusions=read_table(data / "labels" / "confusions.parquet", Confusions),
        label_summary=_read_json(data / "labels" / "summary.json"),
        splits=read_table(data / "windows" / "splits.parquet", Splits),
        problems=pl.concat([catalogued, _later_problems(fates)]),
        metrics=metrics,
        default=_default_method(metrics),
        readings=pl.read_parquet(data / "evaluation" / "windows.parquet"),
        subsets=pl.read_csv(plots / "subsets.csv"),
        noise=pl.read_csv(plots / "noise.csv"),
        conflicts=pl.read_csv(plots / "conflicts.csv"),
        reliability=pl.read_csv(plots / "reliability.csv"),
        histories={name: pl.read_csv(data / "models" / name / "history.csv") for name in metrics},
        scores={
            corpus: {
                part: _read_json(data / "score" / corpus / f"{part}.json")
                for part in ("alignment", "labels")
            }
            for corpus in synthetic
        },
    )


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConsilienceError("the results are missing", str(path), "run 'dvc repro'")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _default_method(metrics: dict[str, dict[str, float]]) -> str:
    """Return the method that the others are compared with: it alone has its lead over them."""
    for method, figures in metrics.items():
        if any(name.startswith("all_over_") for name in figures):
            return method
    return next(iter(metrics))


def _fates(data: Path, modalities: list[str], alignment: pl.DataFrame) -> pl.DataFrame:
    """Follow every catalogued recording to where it was left out, if it was."""
    parts = []
    for modality in modalities:
        catalog = read_table(data / "catalog" / "recordings" / f"{modality}.parquet", Recordings)
        ingested = read_table(data / "signals" / modality / "recordings.parquet", Ingested)
        parts.append(
            catalog.select("recording", "session", "subject", "modality", "duration_s")
            .with_columns(catalogued=catalog["status"], catalog_reason=catalog["reason"])
            .join(
                ingested.select("recording", "quality", ingested="status", ingest_reason="reason"),
                on="recording",
                how="left",
                maintain_order="left",
            )
        )
    aligned = alignment.select("recording", aligned="status", align_reason="reason")
    table = pl.concat(parts).join(aligned, on="recording", how="left", maintain_order="left")
    left_in_catalog = pl.col("catalogued") != "ok"
    left_in_ingest = pl.col("ingested") != "ok"
    left_in_align = pl.col("aligned") != "aligned"
    return table.select(
        "recording",
        "session",
        "subject",
        "modality",
        "duration_s",
        "quality",
        fate=pl.when(left_in_catalog)
        .then("catalogued")
        .when(left_in_ingest)
        .then("ingested")
        .when(left_in_align)
        .then(pl.lit("unaligned"))
        .otherwise(pl.lit("usable")),
        reason=pl.when(left_in_catalog)
        .then("catalog_reason")
        .when(left_in_ingest)
        .then("ingest_reason")
        .when(left_in_align)
        .then("align_reason"),
        stage=pl.when(left_in_catalog)
        .then(pl.lit("catalog"))
        .when(left_in_ingest)
        .then(pl.lit("ingest"))
        .when(left_in_align)
        .then(pl.lit("align")),
    )


def _later_problems(fates: pl.DataFrame) -> pl.DataFrame:
    """Return the recordings that ingesting and alignment left out, as table `Problems`."""
    later = fates.filter(pl.col("stage").is_in(["ingest", "align"]))
    return later.select(
        where="recording",
        what=pl.col("reason").fill_null("no reason given"),
        remedy=pl.lit("left out: ") + pl.col("fate"),
    )
