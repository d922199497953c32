"""Write a project's report."""

from __future__ import annotations

from collections.abc import Callable

from consilience.core.files import atomic_folder, write_bytes
from consilience.project import Project
from consilience.reporting import content, provenance
from consilience.reporting.content.data_card import data_card, markdown
from consilience.reporting.content.person_links import FOLDER, file_name, people_with_pages
from consilience.reporting.content.person_pages import person_sections, person_tables
from consilience.reporting.page import framed, render
from consilience.reporting.results import Results, load_results

DATA_CARD = "data_card.md"


def write_report(project: Project, emit: Callable[[str], None] = print) -> None:
    """Write ``data/report``: one page from the results of all stages, one per person, a data card.

    Parameters
    ----------
    project : Project
    emit : callable
        Receives the lines of the summary.
    """
    results = load_results(project)
    sections = [*content.sections(project, results), provenance.provenance(project, results)]
    page = render(results, sections, provenance.is_simulated(project))
    pages = _person_pages(project, results)
    with atomic_folder(project.report.parent) as folder:
        write_bytes(folder / project.report.name, page.encode())
        write_bytes(folder / DATA_CARD, markdown(data_card(project, results)).encode())
        for name, text in pages.items():
            write_bytes(folder / FOLDER / name, text.encode())
    emit(f"report: open {project.report}")


def _person_pages(project: Project, results: Results) -> dict[str, str]:
    """Return the pages of people by the name of their file."""
    people = people_with_pages(results)
    if not people:
        return {}
    tables = person_tables(project, results)
    dataset = results.meta["dataset"]
    return {
        file_name(person): framed(
            "person.html.j2",
            f"{dataset}, {person}",
            dataset=dataset,
            person=person,
            sections=person_sections(results, tables, person),
        )
        for person in people
    }
