"""Stages from raw recordings to windows, run in one process."""

from __future__ import annotations

from collections.abc import Callable

from consilience.alignment.run import align
from consilience.annotation.label import label
from consilience.ingest.catalog import write_catalog
from consilience.ingest.run import ingest_modality
from consilience.project import Project
from consilience.windows.build import window
from consilience.windows.corrupt import corrupt


def recordings_to_labels(project: Project, emit: Callable[[str], None] = print) -> None:
    """Catalog, ingest, align and label a project's recordings.

    Ingest keeps its results by content, so that only new and changed recordings are processed.

    Parameters
    ----------
    project : Project
    emit : callable
        Receives the lines of the stages' summaries.

    Raises
    ------
    ConsilienceError
        If a stage fails.
    """
    write_catalog(project, emit)
    for modality in project.content["modalities"]:
        ingest_modality(project, modality, emit)
    align(project, emit)
    label(project, emit)


def recordings_to_windows(project: Project, emit: Callable[[str], None] = print) -> None:
    """Process a project's recordings up to corrupted windows; see `recordings_to_labels`."""
    recordings_to_labels(project, emit)
    window(project, emit)
    corrupt(project, emit)
