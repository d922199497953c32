"""Write a project's report."""

from __future__ import annotations

from collections.abc import Callable

from consilience.core.files import write_bytes
from consilience.project import Project
from consilience.reporting.page import render
from consilience.reporting.results import load_results
from consilience.schema.params.dataset import DatasetParams


def write_report(project: Project, emit: Callable[[str], None] = print) -> None:
    """Render one page from the results of all stages and write ``data/report``."""
    results = load_results(project.data, project.section(DatasetParams).synthetic)
    write_bytes(project.report, render(results).encode())
    emit(f"report: open {project.report}")
