from __future__ import annotations

from dataclasses import replace

import polars as pl

from consilience.reporting.content.time_course import (
    grouping,
    most_noteworthy,
    noteworthy,
    time_course,
)


def windows(*rows: tuple[str, str, str | None, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"window": f"{session}_{n}", "session": session, "subject": subject}
            | {"verdict": verdict, "coherence": coherence, "vacuity": 0.1, "start_s": float(n)}
            for n, (session, subject, verdict, coherence) in enumerate(rows)
        ],
        schema_overrides={"verdict": pl.String},
    )


TABLE = windows(
    ("a", "p", "clear", 0.9),
    ("a", "p", "ambiguous", 0.8),
    ("b", "p", "failing: eeg", 0.7),
    ("b", "p", "contradicting: audio", 0.2),
    ("b", "p", "contradicting: eeg", 0.1),
    ("b", "p", None, 0.5),
)


def test_contradictions_come_before_failing_sensors_and_ambiguous_states():
    assert noteworthy(TABLE)["window"].to_list() == ["b_4", "b_3", "b_2", "a_1"]


def test_a_method_without_verdicts_has_no_noteworthy_window():
    untyped = TABLE.with_columns(verdict=pl.lit(None))
    assert noteworthy(untyped).is_empty()
    assert noteworthy(TABLE.drop("verdict")).is_empty()


def test_the_recording_with_the_most_noteworthy_windows_comes_first():
    assert most_noteworthy(TABLE, 5) == ["b", "a"]
    assert most_noteworthy(TABLE, 1) == ["b"]


def test_clips_are_grouped_by_person():
    assert grouping(TABLE) == "session"
    assert grouping(windows(("a", "p", "clear", 1.0), ("b", "p", "clear", 1.0))) == "subject"


def test_the_section_draws_recordings_and_lists_windows_with_file_and_second(project, results):
    section = time_course(project, results)
    assert section is not None
    figures = [block for block in section.blocks if block.kind == "figure"]
    assert 1 < len(figures) <= 6
    assert figures[0].chart.svg.startswith("<svg")
    (listing,) = [block for block in section.blocks if block.kind == "listing"]
    assert listing.rows[0][3].startswith("contradicting")


def test_without_estimates_there_is_no_section(project, results):
    bare = results.predictions.select(
        name for name in results.predictions.columns if "reliab" not in name and name != "coherence"
    )
    assert time_course(project, replace(results, predictions=bare)) is None
