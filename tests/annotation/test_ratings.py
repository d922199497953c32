import numpy as np
import polars as pl
import pytest

from consilience.annotation.lags import Lag
from consilience.annotation.ratings import (
    LONGEST_SAMPLE_S,
    Ratings,
    reaction_lags,
    split_by_source,
    window_ratings,
)
from consilience.core.errors import ConsilienceError
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.tables import Annotations, Trials, frame_of
from consilience.windows.layout import Window

CLASSES = ("calm", "happy", "sad")
TRIALS = frame_of([{"session": "s", "trial": "t", "start_s": 0.0, "end_s": 20.0}], Trials)
WINDOWS = [Window("s", "t", start, start + 4) for start in (0.0, 4.0, 8.0)]
FIXED = AnnotationParams(reaction_lag_s=1.5)


def statement(
    annotator: str, start_s: float, end_s: float, value: float | str, target: str = "valence"
) -> dict[str, object]:
    row = {"session": "s", "annotator": annotator, "target": target, "label": None, "value": None}
    key = "label" if isinstance(value, str) else "value"
    return {**row, "start_s": start_s, "end_s": end_s, key: value}


def trace(annotator: str, step_s: float, change_s: float) -> list[dict[str, object]]:
    """Return samples of 0 before and of 1 after a change, over 20 s."""
    times = np.arange(0, 20, step_s)
    return [statement(annotator, t, t + step_s, float(t >= change_s)) for t in times]


def rated(*rows: dict[str, object], lags: dict[str, Lag] | None = None) -> dict[str, Ratings]:
    table = frame_of(list(rows), Annotations)
    names = table["annotator"].unique().sort().to_list()
    return window_ratings(table, WINDOWS, TRIALS, CLASSES, names, lags or {})


def test_self_reports_are_split_from_observers() -> None:
    rows = [statement(name, 0, 4, 0.5) for name in ("self", "self-2", "a", "myself")]
    parts = split_by_source(frame_of(rows, Annotations))
    assert parts["self"]["annotator"].to_list() == ["self", "self-2"]
    assert parts["observers"]["annotator"].to_list() == ["a", "myself"]


def test_only_continuous_ratings_have_a_lag() -> None:
    rows = [
        *trace("continuous", 0.5, 10),
        *trace("segments", LONGEST_SAMPLE_S + 1, 10),
        statement("single", 0, 20, 0.5),
    ]
    lags = reaction_lags(frame_of(rows, Annotations), TRIALS, CLASSES, FIXED)
    assert list(lags) == ["continuous"]
    assert (lags["continuous"].lag_s, lags["continuous"].anchored) == (1.5, False)


def test_lags_are_estimated_relative_to_the_usual_one() -> None:
    rows = [*trace("early", 0.5, 8), *trace("late", 0.5, 10)]
    params = AnnotationParams(usual_reaction_lag_s=3.0)
    lags = reaction_lags(frame_of(rows, Annotations), TRIALS, CLASSES, params)
    assert lags["late"].lag_s - lags["early"].lag_s == pytest.approx(2, abs=0.1)
    assert (lags["late"].lag_s + lags["early"].lag_s) / 2 == pytest.approx(3)


def test_statements_are_averaged_by_overlap() -> None:
    ratings = rated(statement("a", -9, 1, 0.0), statement("a", 1, 6, 1.0))["valence"]
    assert ratings.window.tolist() == [0, 1]
    assert ratings.values[:, 0].tolist() == [0.75, 1.0]
    assert not ratings.continuous


def test_a_lag_is_removed_from_the_continuous_target_only() -> None:
    lag = {"a": Lag(2.0, None, False, None, None, None, None)}
    ratings = rated(*trace("a", 0.5, 6), statement("a", 0, 4, 0.5, "arousal"), lags=lag)
    assert ratings["valence"].continuous
    assert not ratings["arousal"].continuous
    assert ratings["valence"].values[:, 0].tolist() == [0.0, 1.0, 1.0]
    assert ratings["arousal"].window.tolist() == [0]


def test_ratings_are_sorted_by_window_and_annotator() -> None:
    rows = [statement(name, 0, 8, name_value) for name, name_value in (("b", 2.0), ("a", 1.0))]
    ratings = rated(*rows)["valence"]
    assert ratings.window.tolist() == [0, 0, 1, 1]
    assert ratings.annotator.tolist() == [0, 1, 0, 1]
    assert ratings.values[:, 0].tolist() == [1, 2, 1, 2]


def test_classes_are_shares() -> None:
    rows = [statement("a", -5, 1, "calm", "emotion"), statement("a", 1, 8, "sad", "emotion")]
    ratings = rated(*rows)["emotion"]
    assert ratings.values.tolist() == [[0.25, 0, 0.75], [0, 0, 1]]


def test_targets_without_statements_are_empty() -> None:
    ratings = rated(statement("a", 0, 4, 0.5))
    assert ratings["emotion"].values.shape == (0, 3)
    assert ratings["arousal"].values.shape == (0, 1)


def test_an_unknown_class_is_an_error() -> None:
    with pytest.raises(ConsilienceError, match=r"unknown class 'glad' .*classes are calm, happy"):
        rated(statement("a", 0, 4, "glad", "emotion"))


def test_one_statement_gives_the_same_ratings_as_its_parts() -> None:
    whole = rated(statement("a", 0, 12, 0.5))["valence"]
    parts = rated(statement("a", 0, 5, 0.5), statement("a", 5, 12, 0.5))["valence"]
    assert pl.Series(whole.values[:, 0]).to_list() == pytest.approx(parts.values[:, 0])
    assert whole.window.tolist() == parts.window.tolist() == [0, 1, 2]
