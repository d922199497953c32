"""Ingest one modality of a project's catalog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_folder
from consilience.core.wording import counted, first_lines
from consilience.ingest.ingest import Result, ingest
from consilience.ingest.usable import check_usable
from consilience.modalities.settings import check_weights, modality_params
from consilience.project import Project
from consilience.schema.params.dataset import DatasetParams
from consilience.schema.tables import Ingested, Recordings, read_table


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
        If weights of the modality are not installed, no recording is usable, or one could not be
        ingested and ``dataset.on_problem`` is ``fail``.
    """
    check_weights(modality)
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
    folder = project.signals(modality).relative_to(project.root)
    _summarise(modality, folder, results, quarantined, emit)
    ingested = project.signals(modality) / "recordings.parquet"
    check_usable(modality, read_table(ingested, Ingested), ingested.relative_to(project.root))
    if quarantined and project.section(DatasetParams).on_problem == "fail":
        raise ConsilienceError(
            f"{counted(len(quarantined), 'recording')} cannot be used",
            f"modality {modality}",
            "correct them, or set dataset.on_problem to quarantine",
        )


def _summarise(
    modality: str,
    folder: Path,
    results: list[Result],
    quarantined: list[Result],
    emit: Callable[[str], None],
) -> None:
    processed = [result for result in results if result.new]
    emit(
        f"ingest {modality}: {counted(len(results), 'recording')}, {len(processed)} processed, "
        f"{len(results) - len(processed)} reused, {len(quarantined)} quarantined"
    )
    # Of a first run the number is enough; of a later one, the names are those of new recordings.
    new = processed if len(processed) < len(results) else []
    lines = [f"  processed {result.recording}" for result in new]
    for line in first_lines(lines, f"in {folder}"):
        emit(line)
    bad = [f"  quarantined {result.recording}: {result.reason}" for result in quarantined]
    for line in first_lines(bad, f"in {folder}/problems.parquet and in the report"):
        emit(line)
    counts = [len(result.findings) for result in results if result.findings]
    if counts:
        emit(
            f"  {counted(sum(counts), 'finding')} about {len(counts)} of "
            f"{counted(len(results), 'recording')}, in "
            f"{folder}/findings.parquet and in the report"
        )
