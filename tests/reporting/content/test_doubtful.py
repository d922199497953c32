from __future__ import annotations

import polars as pl
import pytest

from consilience.reporting.content.doubtful import doubtful, doubtful_labels, sensor_votes
from consilience.schema.tables import SensorPredictions, frame_of

CLASSES = ["calm", "angry"]


def windows(*rows: tuple[str | None, float]) -> pl.DataFrame:
    """Return windows with a label and the probability of calm."""
    return pl.DataFrame(
        [
            {"window": f"w{n}", "actual": label, "p_calm": p, "p_angry": 1 - p}
            for n, (label, p) in enumerate(rows)
        ]
    )


def test_a_label_is_doubtful_if_another_class_is_as_probable_as_usual():
    # Windows labelled calm have .66 on average, those labelled angry .55.
    table = doubtful_labels(
        windows(("calm", 0.9), ("calm", 0.88), ("calm", 0.2), ("angry", 0.1), ("angry", 0.8)),
        CLASSES,
    )
    assert table.select("window", "instead").rows() == [("w4", "calm"), ("w2", "angry")] or (
        table.select("window", "instead").rows() == [("w2", "angry"), ("w4", "calm")]
    )
    assert table["margin"].to_list() == pytest.approx([0.6, 0.6])


def test_a_prediction_that_is_less_certain_than_usual_raises_no_doubt():
    table = doubtful_labels(
        windows(("calm", 0.95), ("calm", 0.95), ("angry", 0.05), ("angry", 0.6)), CLASSES
    )
    assert table.is_empty()


def test_windows_without_a_label_are_not_doubted():
    assert doubtful_labels(windows((None, 0.9)), CLASSES).is_empty()


def test_the_sensors_that_predict_the_other_class_are_counted():
    table = doubtful_labels(windows(("calm", 0.9), ("angry", 0.05), ("angry", 0.95)), CLASSES)
    rows: list[dict[str, object]] = [
        {"window": "w2", "sensor": sensor, "probability": [p, 1 - p]}
        for sensor, p in (("eeg", 0.8), ("audio", 0.3), ("video", 0.6))
    ]
    voted = sensor_votes(table, frame_of(rows, SensorPredictions), CLASSES)
    assert voted.select("window", "votes", "sensors").rows() == [("w2", 2, 3)]
    none = sensor_votes(table, frame_of([], SensorPredictions), CLASSES)
    assert none.select("votes", "sensors").rows() == [(0, 0)]


def test_a_doubtful_label_is_listed_with_file_and_second(project, results):
    section = doubtful(project, results)
    assert section is not None
    (listing,) = [block for block in section.blocks if block.kind == "listing"]
    assert listing.heads[:2] == ("file", "second")
    assert any(str(row[0]).endswith(".bin") for row in listing.rows)
