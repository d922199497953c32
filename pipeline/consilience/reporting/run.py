"""Write a project's report."""

from __future__ import annotations

from collections.abc import Callable

from consilience.core.files import write_bytes
from consilience.project import Project
from consilience.reporting.page import render
from consilience.reporting.results import load_results


def write_report(project: Project, emit: Callable[[str], None] = print) -> None:
    """Render one page from the results of all stages and write ``data/report``."""
    write_bytes(project.report, render(load_results(project)).encode())
    emit(f"report: open {project.report}")
