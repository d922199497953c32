"""Ingest one modality of a project's catalog."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_folder
from consilience.ingest.ingest import Result, ingest
from consilience.modalities.settings import modality_params
from consilience.project import Project
from consilience.schema.params.dataset import DatasetParams
from consilience.schema.tables import Recordings, read_table


def ingest_modality(project: Project, modality: str, emit: Callable[[str], None] = print) -> None:
    """Compute the feature frames of one modality and write ``data/signals/<modality>``.

    Parameters
    ----------
    project : Project
        Cataloged.
    modality : str
    emit : callable
        Receives the lines of the summary.

    Raises
    ------
    ConsilienceError
        If no recording could be ingested, or one could not and ``dataset.on_problem`` is
        ``fail``.
    """
    table = read_table(project.recordings_table(modality), Recordings)
    with atomic_folder(project.signals(modality)) as folder:
        results = ingest(
            table,
            project.dataset_root,
            modality,
            modality_params(project)[modality],
            project.store(modality),
            folder,
            project.kept_rows(modality),
        )
    quarantined = [result for result in results if result.status != "ok"]
    _summarise(modality, results, quarantined, emit)
    if len(quarantined) == len(results):
        _raise_unusable(modality, table, quarantined, emit)
    if quarantined and project.section(DatasetParams).on_problem == "fail":
        raise ConsilienceError(
            f"{len(quarantined)} recordings cannot be used",
            f"modality {modality}",
            "correct them, or set dataset.on_problem to quarantine",
        )


def _raise_unusable(
    modality: str, table: pl.DataFrame, quarantined: list[Result], emit: Callable[[str], None]
) -> None:
    """Raise with a reason, after the reasons for what the catalog has left out."""
    left_out = table.filter(pl.col("status") != "ok").select("recording", "status", "reason").rows()
    for recording, status, reason in left_out:
        emit(f"  {status} {recording}: {reason}")
    reasons = [result.reason for result in quarantined] + [reason for _, _, reason in left_out]
    raise ConsilienceError(
        f"none of {table.height} recordings could be ingested: {reasons[0]}",
        f"modality {modality}",
        f"each reason is above and in data/signals/{modality}.frames",
    )


def _summarise(
    modality: str, results: list[Result], quarantined: list[Result], emit: Callable[[str], None]
) -> None:
    processed = [result for result in results if result.new]
    emit(
        f"ingest {modality}: {len(results)} recordings, {len(processed)} processed, "
        f"{len(results) - len(processed)} reused, {len(quarantined)} quarantined"
    )
    for result in processed:
        emit(f"  processed {result.recording}")
    for result in quarantined:
        emit(f"  quarantined {result.recording}: {result.reason}")
