"""The page of predictions for invented clips."""

from __future__ import annotations

import re
from html import unescape

import polars as pl

from consilience.prediction.page import render_predictions
from consilience.prediction.run import Predicted

N_CLIPS = 150


def clips() -> Predicted:
    """Return predictions for many sessions of one window, by three people."""
    numbers = range(N_CLIPS)
    windows = pl.DataFrame(
        {
            "window": [f"w{n:03}" for n in numbers],
            "session": [f"s{n:03}" for n in numbers],
            "subject": [f"p{n % 3}" for n in numbers],
            "start_s": [0.0] * N_CLIPS,
            "predicted": ["calm", "sad"] * (N_CLIPS // 2),
            "verdict": ["clear", "failing sensor: face_au", None] * (N_CLIPS // 3),
        }
        | {name: [0.5] * N_CLIPS for name in ("confidence", "vacuity", "coherence")}
    )
    recordings = pl.DataFrame(
        schema={"recording": pl.String, "sensor": pl.String, "differs": pl.Boolean}
        | {"deviation": pl.Float64}
    )
    card = {"classes": ["calm", "sad"], "method": "concat", "dataset": "films"}
    return Predicted(windows, recordings, card | {"features": {"face_au": []}}, [], [])


def text_of(html: str) -> str:
    """Return the text of a page's body without its scripts."""
    body = re.sub(r"<script.*?</script>", "", html[html.index("<body>") :], flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", body)).split())


def test_all_people_with_clips_are_drawn() -> None:
    text = text_of(render_predictions(clips()))
    assert "Predictions for 150 sessions" in text
    assert "The first" not in text


def test_verdicts_are_counted_in_words() -> None:
    text = text_of(render_predictions(clips()))
    for counted in ("50 clear", "50 failing sensor: face AU", "50 without a verdict"):
        assert counted in text
