"""Recordings whose sensors contradict each other, as listed and printed."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from consilience.core.errors import ConsilienceError
from consilience.evaluation import contradictions
from consilience.evaluation.contradictions import RECORDINGS
from consilience.project import Project
from consilience.schema.tables import RecordingCoherence, frame_of, write_table


def rows(session: str, *sensors: tuple[str, float, float, bool, float | None]) -> list[object]:
    return [
        {
            "session": session,
            "subject": session[:2],
            "sensor": sensor,
            "windows": 10,
            "llr": llr,
            "probability": probability,
            "named": named,
            "shift_s": shift_s,
            "shift_gain": None if shift_s is None else abs(shift_s),
        }
        for sensor, llr, probability, named, shift_s in sensors
    ]


TABLE: pl.DataFrame = frame_of(
    [
        *rows("p1_sound", ("eeg", 6.0, 0.001, False, None), ("voice", 4.0, 0.001, False, None)),
        *rows("p2_two", ("eeg", -4.0, 0.4, False, None), ("voice", -4.0, 0.4, False, None)),
        *rows("p3_late", ("eeg", 2.0, 0.01, False, -2.0), ("voice", 2.0, 0.01, False, 2.0)),
        *rows("p4_[swap]", ("eeg", -9.0, 0.95, True, None), ("voice", 0.0, 0.04, False, None)),
    ],  # type: ignore[arg-type]
    RecordingCoherence,
)


def test_mismatches_and_shifts_are_listed_the_most_probable_first() -> None:
    listed = contradictions.contradictions(TABLE)
    assert [item.session for item in listed] == ["p4_[swap]", "p2_two", "p3_late"]
    assert [item.suspects() for item in listed] == ["eeg", "eeg or voice", "–"]
    assert [item.shifts() for item in listed] == ["–", "–", "eeg 2 s early or voice 2 s late"]
    assert [round(item.probability, 2) for item in listed] == [0.99, 0.8, 0.02]


def test_of_three_sensors_all_candidates_of_a_shift_are_listed() -> None:
    three = frame_of(
        rows(
            "p1",
            ("eeg", 1.0, 0.0, False, 2.0),
            ("voice", 1.0, 0.0, False, -6.0),
            ("face", 1.0, 0.0, False, None),
        ),  # type: ignore[arg-type]
        RecordingCoherence,
    )
    (item,) = contradictions.contradictions(three)
    assert item.shifts() == "voice 6 s early or eeg 2 s late"  # the largest gain first


def test_agreement_per_window_is_pooled_over_recordings() -> None:
    assert contradictions.agreement_per_window(TABLE) == pytest.approx(
        {"eeg": -5 / 40, "voice": 2 / 40}
    )


def test_what_is_printed_names_recordings_and_sensors() -> None:
    console = Console(width=200, record=True)
    contradictions.show(TABLE, console)
    text = console.export_text()
    assert "3 of 4 recordings" in text
    assert "p4_[swap]" in text
    assert "p1_sound" not in text
    assert "eeg 2 s early or voice 2 s late" in text


def test_a_long_list_is_cut_and_an_empty_one_has_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contradictions, "MAX_LINES", 1)
    console = Console(width=200, record=True)
    contradictions.show(TABLE, console)
    contradictions.show(TABLE.clear(), console)
    text = console.export_text()
    assert "and 2 more: --json FILE contains all" in text
    assert "0 of 0 recordings" in text
    assert "p2_two" not in text


def test_the_json_content_has_no_infinite_number_and_every_row() -> None:
    content = json.loads(json.dumps(contradictions.as_json(TABLE), allow_nan=False))
    assert len(content["recordings"]) == TABLE.height
    assert content["contradictions"][1]["sensors"] == ["eeg", "voice"]
    assert content["contradictions"][2]["shifts_s"] == {"eeg": -2.0, "voice": 2.0}


def test_a_project_must_be_evaluated(tmp_path: Path) -> None:
    project = Project(tmp_path)
    with pytest.raises(ConsilienceError, match=r"not evaluated yet.*run 'dvc repro'"):
        contradictions.load(project)
    write_table(project.evaluation / RECORDINGS, TABLE, RecordingCoherence)
    assert contradictions.load(project).equals(TABLE)
