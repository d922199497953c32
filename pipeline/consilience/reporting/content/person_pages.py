"""One page per person: results, recordings, reliability over time, and what is worth a look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from consilience.core.wording import counted
from consilience.project import Project
from consilience.reporting.charts import style
from consilience.reporting.content.people import person_table
from consilience.reporting.content.source import (
    deviations,
    file_places,
    from_query,
    spread,
    subjects_of,
)
from consilience.reporting.content.time_course import (
    MARKS,
    common_range,
    course,
    grouping,
    noteworthy,
)
from consilience.reporting.figure import Block, Figure, Listing, Note, Section, Tabular, drawing
from consilience.reporting.results import Results
from consilience.reporting.tables import Cell, Row, Table
from consilience.reporting.words import ABSENT, brief, decimal, percent, readable, readable_text
from consilience.schema.tables import DoubtfulLabels, frame_of

MOST_COURSES = 12  # sessions whose course is drawn, on a page
MOST_LISTED = 40


@dataclass(frozen=True)
class PersonTables:
    """Tables of all people, from which every page takes its part.

    Attributes
    ----------
    people : polars.DataFrame
        `people.person_table`.
    deviations : polars.DataFrame
        Table `Deviations`.
    doubtful : polars.DataFrame
        Table `DoubtfulLabels`, with ``actual`` for the label; empty without one.
    noteworthy : polars.DataFrame
        `time_course.noteworthy`, with file and second.
    """

    people: pl.DataFrame
    deviations: pl.DataFrame
    doubtful: pl.DataFrame
    noteworthy: pl.DataFrame


def person_tables(project: Project, results: Results) -> PersonTables:
    """Return the tables from which `person_sections` takes a person's part."""
    predictions = results.predictions
    doubtful = from_query(project.doubtful_labels, DoubtfulLabels, results)
    if doubtful is None:
        doubtful = frame_of([], DoubtfulLabels)
    grave = noteworthy(predictions)
    places = file_places(project, results, predictions)
    return PersonTables(
        person_table(predictions, subjects_of(project, results)),
        deviations(project, results),
        doubtful.rename({"label": "actual"}),
        grave.join(places, on="window", how="left", maintain_order="left"),
    )


def person_sections(results: Results, tables: PersonTables, person: str) -> list[Section]:
    """Return the sections of one person's page."""
    predictions = results.predictions.filter(pl.col("subject") == person)
    sections = [
        Section("results", "Results", (), tuple(_results(results, tables, person, predictions))),
        Section("recordings", "Recordings", (), (_recordings(results, tables, person),)),
        Section("over-time", "Reliability over time", (), tuple(_courses(results, predictions))),
    ]
    looks = [
        *_listed("Windows worth a look", results, tables.noteworthy, person, "verdict"),
        *_listed("Doubtful labels", results, tables.doubtful, person, "reason"),
    ]
    nothing = Note("No window is worth a look, and no label is doubtful.")
    look = Section("worth-a-look", "Worth a look", (), tuple(looks) or (nothing,))
    return [section for section in [*sections, look] if section.blocks]


def _results(
    results: Results, tables: PersonTables, person: str, predictions: pl.DataFrame
) -> Iterator[Block]:
    rows = tables.people.filter(pl.col("subject") == person)
    if rows.is_empty():
        yield Note(f"{counted(predictions.height, 'test window')}, none with a label.")
        return
    row = rows.row(0, named=True)
    rank = tables.people["subject"].to_list().index(person) + 1
    everyone = tables.people["balanced_accuracy"]
    attributes = [
        (title, row[column])
        for column, title in (("sex", "sex"), ("site", "site"), ("device", "device"))
        if row.get(column)
    ]
    facts = [
        ("balanced accuracy", percent(row["balanced_accuracy"])),
        ("mean of all people", percent(float(everyone.mean()))),  # type: ignore[arg-type]
        ("place, from the worst", f"{rank} of {tables.people.height}"),
        ("labelled windows", str(row["windows"])),
        *attributes,
    ]
    yield Tabular(
        Table(["figure", "value"], [Row(title, [Cell(str(value))]) for title, value in facts]),
        "With all sensors, by networks that were trained on other people.",
    )
    yield Tabular(_confusion(predictions, results.meta["classes"]), "Windows by class.")


def _confusion(predictions: pl.DataFrame, classes: Sequence[str]) -> Table:
    labelled = predictions.drop_nulls(["actual", "predicted"])
    grouped = labelled.group_by("actual", "predicted").len()
    counts = {(actual, predicted): n for actual, predicted, n in grouped.iter_rows()}
    present = [name for name in classes if any(actual == name for actual, _ in counts)]
    return Table(
        ["labelled", *(f"predicted {readable(name)}" for name in classes)],
        [
            Row(readable(actual), [Cell(str(counts.get((actual, name), 0))) for name in classes])
            for actual in present
        ],
    )


def _recordings(results: Results, tables: PersonTables, person: str) -> Block:
    of_person = results.recordings.filter(pl.col("subject") == person)
    deviation = {
        (recording, sensor): value
        for recording, sensor, value in tables.deviations.select(
            "recording", "sensor", "deviation"
        ).iter_rows()
    }
    rows = [
        (
            row["session"],
            readable(row["modality"]),
            row["status"],
            brief(row["duration_s"]),
            decimal(row["quality"]),
            brief(
                deviation.get((row["session"], row["modality"]))
                or deviation.get((person, row["modality"]))
            ),
            row["reason"] or "",
        )
        for row in of_person.iter_rows(named=True)
    ]
    heads = ("session", "sensor", "status", "duration, s", "quality", "deviation", "reason")
    caption = "Recordings; deviations from those of other people in standard deviations"
    return Listing(caption, heads, rows)


def _courses(results: Results, predictions: pl.DataFrame) -> Iterator[Block]:
    sensors = results.meta["modalities"]
    estimates = [f"reliability_{name}" for name in sensors] + ["coherence"]
    present = [name for name in estimates if name in predictions.columns]
    if not present or predictions.drop_nulls(present[-1:]).is_empty():
        return
    colours = style.sensor_colours(sensors)
    legend = {readable(name): colour for name, colour in colours.items()}
    legend |= {"coherence (dashed)": style.QUANTITY_COLOURS["coherence"]}
    # Whether sessions are clips is a property of all people, not of one with a single window.
    column = grouping(results.predictions)
    names = predictions[column].unique().sort().to_list()
    drawn = [names[number] for number in spread(len(names), MOST_COURSES)]
    extent = common_range(predictions, drawn, column)
    for number, name in enumerate(drawn):
        rows = predictions.filter(pl.col(column) == name).sort("session", "start_s")
        yield Figure(
            drawing(
                f"course-{number}",
                course(rows, name, sensors, colours, column, extent),
                rows.select("window", "start_s", *present, "verdict"),
                "horizontal axis: time; vertical axis: from 0 to 1.",
            ),
            caption=f"{name}: reliability of each sensor and coherence. {MARKS}",
            alt=f"{counted(rows.height, 'window')}.",
            legend=legend,
            mark="line",
        )


def _listed(
    title: str, results: Results, table: pl.DataFrame, person: str, what: str
) -> Iterator[Block]:
    of_person = table.filter(pl.col("subject") == person)
    rows = [
        (
            row["file"] or ABSENT,
            ABSENT if row["file_s"] is None else f"{row['file_s']:.1f}",
            readable_text(row[what], results.meta["modalities"]),
            ABSENT if row["actual"] is None else readable(row["actual"]),
            readable(row["predicted"]),
        )
        for row in of_person.head(MOST_LISTED).iter_rows(named=True)
    ]
    heads = ("file", "second", what, "label", "predicted")
    if rows:
        extent_listed = (
            f", the first {len(rows)} of {of_person.height}" if len(rows) < of_person.height else ""
        )
        yield Listing(f"{title}{extent_listed}", heads, rows)
