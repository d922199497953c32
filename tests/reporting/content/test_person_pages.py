from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from consilience.reporting.content.person_links import file_name, link, people_with_pages
from consilience.reporting.content.person_pages import person_sections, person_tables


@pytest.mark.parametrize("person", ["../x", "a b", "a/b", "ä", "<b>", "", "person-2"])
def test_the_name_of_a_page_is_a_safe_file_name(person):
    name = file_name(person)
    assert name.endswith(".html")
    assert set(name.removesuffix(".html")) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
    )
    assert (name == f"{person}.html") == (person == "person-2")


def test_people_whose_names_differ_in_unsafe_characters_have_different_pages():
    assert len({file_name(name) for name in ("a b", "a_b", "a/b", "a-b")}) == 4


def test_a_link_escapes_the_name():
    assert link("<b>").endswith(">&lt;b&gt;</a>")


def test_a_single_person_has_no_page(results):
    one = results.predictions.filter(pl.col("subject") == "sub-01")
    assert people_with_pages(replace(results, predictions=one)) == []
    assert len(people_with_pages(results)) == 6


def test_a_page_shows_only_its_person(project, results):
    tables = person_tables(project, results)
    text = str(person_sections(results, tables, "sub-02"))
    assert "sub-02_ses-1" in text
    assert "sub-01" not in text
    assert "sub-03" not in text
    assert "of 6" in text  # the person's place


def test_a_person_without_labels_has_a_page_that_states_it(project, results):
    of_person = pl.col("subject") == "sub-02"
    predictions = results.predictions.with_columns(
        actual=pl.when(~of_person).then(pl.col("actual"))
    )
    hidden = replace(results, predictions=predictions)
    sections = person_sections(hidden, person_tables(project, hidden), "sub-02")
    assert "none with a label" in sections[0].blocks[0].text


def test_the_doubtful_labels_of_a_person_are_those_of_the_stage_query(project, results):
    look = person_sections(results, person_tables(project, results), "sub-01")[-1]
    listing = next(block for block in look.blocks if block.caption.startswith("Doubtful labels"))
    assert listing.heads[2] == "reason"
    assert len(listing.rows) == 2


def test_pages_are_written_without_the_stage_query(project, results):
    project.doubtful_labels.unlink()
    look = person_sections(results, person_tables(project, results), "sub-01")[-1]
    assert not any(block.caption.startswith("Doubtful labels") for block in look.blocks)
