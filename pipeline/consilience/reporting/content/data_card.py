"""Data card: recordings, people, and the consent under which they were made.

Everything in it comes from the dataset's own files; what they do not state is given as such.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from consilience.core.wording import counted
from consilience.project import Project
from consilience.reporting.content.source import description_of, subjects_of
from consilience.reporting.figure import Section, Tabular
from consilience.reporting.results import Results
from consilience.reporting.tables import Cell, Row, Table
from consilience.reporting.words import readable
from consilience.schema.params.dataset import DatasetParams
from consilience.schema.tables import Recordings, read_table

NOT_STATED = "not stated"
SIMULATED = "simulated: no person was recorded"
# Title of a row, by field of the dataset's description.
STATED = {
    "consent": "Consent",
    "ethics approval": "EthicsApprovals",
    "licence": "License",
    "authors": "Authors",
    "funding": "Funding",
    "how to cite": "HowToAcknowledge",
    "references": "ReferencesAndLinks",
    "identifier": "DatasetDOI",
}
FROM_PEOPLE = ("consent", "ethics approval")  # rows without a meaning for simulated recordings


def data_card(project: Project, results: Results) -> list[tuple[str, str]]:
    """Return the rows of the data card: field and content."""
    settings = project.section(DatasetParams)
    described = description_of(project)
    is_simulated = settings.name in settings.synthetic
    people = subjects_of(project, results)
    rows = [("dataset", described.get("Name") or settings.name)]
    rows.append(("what was recorded", _recorded(project, results)))
    rows.append(("classes", ", ".join(readable(name) for name in results.meta["classes"])))
    rows.append(("labels by", _annotators(results)))
    rows.append(("people", SIMULATED if is_simulated else f"{people.height}"))
    for column, title in (("sex", "sex"), ("age_years", "age"), ("site", "site")):
        rows.append((title, _stated(people, column)))
    rows.append(("device", _stated(people, "device")))
    rows.append(("recorded on", SIMULATED if is_simulated else _dates(project, results)))
    for title, field in STATED.items():
        absent = SIMULATED if is_simulated and title in FROM_PEOPLE else NOT_STATED
        rows.append((title, described.get(field) or absent))
    naming = (
        "pseudonyms with a key of this study"
        if results.names.are_pseudonyms
        else "as in the dataset"
    )
    rows.append(("names in this report", naming))
    return rows


def _recorded(project: Project, results: Results) -> str:
    parts = []
    for name in results.meta["modalities"]:
        of_sensor = results.recordings.filter(modality=name)
        usable = of_sensor.filter(status="usable")
        hours = float(usable["duration_s"].sum() or 0) / 3600
        rates = read_table(project.recordings_table(name), Recordings)["rate_hz"].drop_nulls()
        distinct = sorted(set(rates))
        rate = f" at {distinct[0]:g} Hz" if len(distinct) == 1 else ""
        if len(distinct) > 1:
            rate = f" at {distinct[0]:g} to {distinct[-1]:g} Hz"
        # Rows of a table have no duration.
        duration = f", {hours:.2f} h" if hours else ""
        parts.append(
            f"{readable(name)}{rate}: {usable.height} of {of_sensor.height} recordings usable"
            f"{duration}"
        )
    return "; ".join(parts)


def _annotators(results: Results) -> str:
    names = results.annotators["annotator"].unique().len()
    return counted(names, "annotator")


def _stated(people: pl.DataFrame, column: str) -> str:
    """Return how often each value is stated, or the range of numbers."""
    values = people[column].drop_nulls()
    if values.is_empty():
        return NOT_STATED
    missing = f", {NOT_STATED} for {values.null_count() + people.height - len(values)}"
    rest = missing if len(values) < people.height else ""
    if column == "age_years":
        youngest, middle, oldest = np.quantile(values.to_numpy(), [0, 0.5, 1])
        return f"{youngest:g} to {oldest:g} years, median {middle:g}{rest}"
    counted = values.value_counts().sort(column)
    return ", ".join(f"{n} {value}" for value, n in counted.rows()) + rest


def _dates(project: Project, results: Results) -> str:
    """Return the months of the first and the last recording: days would identify people."""
    starts = pl.concat(
        [
            read_table(project.recordings_table(name), Recordings)["start_time"]
            for name in results.meta["modalities"]
        ]
    ).drop_nulls()
    months = sorted({start[:7] for start in starts})
    if not months:
        return NOT_STATED
    return months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"


def markdown(rows: Iterable[tuple[str, str]]) -> str:
    """Return a data card as a Markdown document."""
    lines = ["# Data card", "", "| field | content |", "|---|---|"]
    lines += [f"| {_cell(title)} | {_cell(content)} |" for title, content in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    # A dataset states these texts: they must not become markup.
    escaped = "".join(f"\\{char}" if char in "\\`*_[]<>|#!" else char for char in text)
    return " ".join(escaped.split())


def card(project: Project, results: Results) -> Section:
    """Return the data card as a section."""
    rows = [Row(title, [Cell(content)]) for title, content in data_card(project, results)]
    return Section(
        "data-card",
        "Data card",
        (
            "What was recorded, of which people, and under which consent. The fields come from "
            "dataset_description.json, participants.tsv, the manifest and the recordings.",
        ),
        (
            Tabular(
                Table(["field", "content"], rows, has_words=True),
                "The dataset, as its files state it.",
            ),
        ),
    )
