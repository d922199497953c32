"""Lines and JSON of answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rich.console import Console

from consilience.evaluation.predict import LoadedModel
from consilience.live.engine import Answer, Engine
from consilience.live.outlet import channels_of
from consilience.live.run import summary
from consilience.live.score import Scorer
from consilience.live.view import JsonLines, Lines, Terminal, described, view_of

ROW: dict[str, Any] = {
    "start_s": 2.0,
    "end_s": 6.0,
    "predicted": "calm",
    "confidence": 0.75,
    "vacuity": 0.25,
    "verdict": "clear",
    "valence": float("nan"),
}
ANSWER = Answer(1, ROW, {"gsr": True, "video": False}, 0.0421, 0.03, False, {"video": "no face"})


@pytest.fixture
def engine(model: LoadedModel) -> Engine:
    return Engine(Scorer(model), lambda: 0.0, revise=False)


def test_an_answer_is_a_line() -> None:
    line = described(ANSWER)
    assert line.startswith("2.0 to 6.0 s: calm 0.75 ")
    assert line.endswith("vacuity 0.25, clear, from gsr, after 42 ms; video: no face")


def test_an_answer_without_a_prediction_is_a_line(engine: Engine) -> None:
    row = {**ROW, "predicted": None, "confidence": None, "verdict": "no sensor", "vacuity": 1.0}
    lines: list[str] = []
    answer = Answer(0, row, {"gsr": False}, 0.01, 0.01, True, {})
    Lines(lines.append).answer(answer, engine)
    assert lines == ["2.0 to 6.0 s: – –, vacuity 1.00, no sensor, from none, after 10 ms (revised)"]


def test_json_has_null_for_what_is_not_a_number(engine: Engine) -> None:
    lines: list[str] = []
    JsonLines(lines.append, print).answer(ANSWER, engine)
    content = json.loads(lines[0])
    assert content["valence"] is None
    assert content["sensors"] == ["gsr"]
    assert content["latency_ms"] == 42.1


def test_a_terminal_shows_the_latest_windows(engine: Engine) -> None:
    view = Terminal()
    view.answer(ANSWER, engine)
    console = Console(width=120, record=True)
    console.print(view._table(engine))
    view.close()
    text = console.export_text()
    assert "gsr: not found, video: not found" in text
    assert "2.0 to 6.0 s" in text


def test_output_that_is_no_terminal_gets_lines(engine: Engine) -> None:
    assert isinstance(view_of(False), Lines)
    assert isinstance(view_of(True), JsonLines)
    assert summary(engine.stats) == ["no window was scored"]


def test_the_channels_of_the_outlet_are_those_of_the_documentation() -> None:
    assert channels_of(["calm"], ["eeg"]) == [
        *("start_s", "end_s", "revised", "vacuity", "coherence"),
        *("p_calm", "reliability_eeg", "predicted_valence", "predicted_arousal"),
    ]
