from __future__ import annotations

from dataclasses import replace

import polars as pl

from consilience.core.pseudonyms import Names
from consilience.reporting.content.doubtful import doubtful, ranking
from consilience.reporting.results import renamed
from consilience.schema.tables import DoubtfulLabels, Ranking, frame_of, read_table, write_table


def test_the_doubtful_labels_are_those_of_the_stage_query(project, results):
    section = doubtful(project, results)
    assert section is not None
    (listing,) = section.blocks
    table = read_table(project.doubtful_labels, DoubtfulLabels)
    assert listing.heads[:2] == ("file", "second")
    first = (table["file"][0], "1.2", table["subject"][0], table["label"][0])
    assert listing.rows[0][:4] == first
    assert [row[6] for row in listing.rows] == ["yes", "no"]
    assert listing.rows[0][5] == "90.0\u00a0%"
    assert listing.rows[0][7] == table["reason"][0].replace("eeg", "EEG")
    assert f", 2 ({100 * 2 / results.predictions.height:.1f}" in section.intro[0]


def test_windows_to_annotate_again_are_listed_in_their_order(project, results):
    section = ranking(project, results)
    assert section is not None
    (listing,) = section.blocks
    assert [row[0] for row in listing.rows] == ["1", "2", "3"]
    assert listing.rows[2][1:3] == ("–", "–")
    assert listing.rows[2][4] == "–"


def test_a_study_whose_query_was_not_run_has_no_such_section(project, results):
    project.doubtful_labels.unlink()
    project.ranking.unlink()
    assert doubtful(project, results) is None
    assert ranking(project, results) is None


def test_empty_tables_and_predictions_without_labels_are_accepted(project, results):
    write_table(project.doubtful_labels, frame_of([], DoubtfulLabels), DoubtfulLabels)
    write_table(project.ranking, frame_of([], Ranking), Ranking)
    section = doubtful(project, results)
    assert section is not None
    assert section.blocks == ()
    assert ranking(project, results) is None
    without = results.predictions.with_columns(actual=pl.lit(None, pl.String))
    assert doubtful(project, replace(results, predictions=without)) is None


def test_names_and_files_are_pseudonyms_where_the_report_has_them(project, results):
    names = Names(b"k" * 32, results.recordings.select("recording", "session", "subject").rows())
    hidden = renamed(results, names)
    text = str(doubtful(project, hidden)) + str(ranking(project, hidden))
    assert "sub-01" not in text
    assert "person-" in text
