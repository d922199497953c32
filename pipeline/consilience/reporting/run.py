"""Write a project's report."""

from __future__ import annotations

from collections.abc import Callable

from consilience.core.files import write_bytes
from consilience.project import Project
from consilience.reporting import content, provenance
from consilience.reporting.page import render
from consilience.reporting.results import load_results


def write_report(project: Project, emit: Callable[[str], None] = print) -> None:
    """Render one page from the results of all stages and write ``data/report``."""
    results = load_results(project)
    sections = [*content.sections(project, results), provenance.provenance(project, results)]
    page = render(results, sections, provenance.is_simulated(project))
    write_bytes(project.report, page.encode())
    emit(f"report: open {project.report}")
