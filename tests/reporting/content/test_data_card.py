from __future__ import annotations

from dataclasses import replace

import polars as pl

from consilience import params
from consilience.core.files import write_json
from consilience.project import Project
from consilience.reporting.content.data_card import NOT_STATED, SIMULATED, card, data_card, markdown
from consilience.reporting.results import load_results
from consilience.schema.tables import Recordings, read_table, write_table


def real(project: Project) -> Project:
    """Return the project with recordings of people instead of simulated ones."""
    content = params.read_yaml(project.params_file)
    content["dataset"]["synthetic"] = []
    project.params_file.write_text(params.document(content))
    return Project(project.root)


def test_what_the_dataset_does_not_state_is_given_as_such(project, results):
    project = real(project)
    rows = dict(data_card(project, results))
    assert rows["dataset"] == "Invented <films>"
    assert rows["consent"] == rows["licence"] == rows["site"] == rows["recorded on"] == NOT_STATED
    assert rows["people"] == "6"
    assert rows["sex"] == "3 female, 3 male"
    assert rows["age"] == "20 to 65 years, median 42.5"


def test_simulated_recordings_need_no_consent(project, results):
    rows = dict(data_card(project, results))
    assert rows["people"] == rows["consent"] == SIMULATED


def test_consent_and_licence_come_from_the_description(project, results):
    project = real(project)
    stated = {"Consent": "written, for research", "License": "CC BY 4.0"}
    write_json(project.catalog / "description.json", stated)
    rows = dict(data_card(project, results))
    assert rows["consent"] == "written, for research"
    assert rows["licence"] == "CC BY 4.0"
    assert rows["dataset"] == "demo"


def test_dates_are_months(project, results):
    path = project.recordings_table("eeg")
    starts = ["2024-03-05T10:00:00", "2023-11-20T09:30:00"]
    table = read_table(path, Recordings)
    dated = table.with_columns(
        start_time=pl.Series(starts + [None] * (table.height - 2), dtype=pl.String)
    )
    write_table(path, dated, Recordings)
    assert dict(data_card(project, results))["recorded on"] == SIMULATED
    assert dict(data_card(real(project), results))["recorded on"] == "2023-11 to 2024-03"


def test_the_document_and_the_section_have_the_same_rows(project, results):
    rows = data_card(project, results)
    section = card(project, results)
    table = section.blocks[0].table
    assert [(row.title, row.cells[0].text) for row in table.rows] == rows
    assert table.has_words
    text = markdown(rows)
    assert text.count("\n|") == len(rows) + 2
    assert "Invented \\<films\\>" in text


def test_the_card_states_whether_names_are_pseudonyms(project, results):
    assert dict(data_card(project, results))["names in this report"] == "as in the dataset"
    content = params.read_yaml(project.params_file)
    content["privacy"]["pseudonyms"] = True
    project.params_file.write_text(params.document(content))
    fresh = Project(project.root)
    hidden = load_results(fresh)
    assert dict(data_card(fresh, hidden))["names in this report"].startswith("pseudonyms")
    assert replace(hidden, scores={}).names.are_pseudonyms
