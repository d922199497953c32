import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.annotation.label_score import (
    TrueState,
    accuracy,
    brier_score,
    concordance,
    true_states,
    value_concordance,
)
from consilience.windows.layout import Window


def test_true_state_is_the_longest_emotion_and_the_mean() -> None:
    truth = pl.DataFrame(
        {
            "session": "s",
            "time_s": [0.0, 1.0, 2.0, 3.0],
            "valence": [0.0, 1.0, 2.0, 9.0],
            "arousal": 0.5,
            "emotion": ["sad", "calm", "calm", "sad"],
        }
    )
    windows = [Window("s", "t", 0.0, 3.0), Window("s", "t", 9.0, 12.0), Window("r", "t", 0.0, 3.0)]
    assert true_states(truth, windows) == [TrueState("calm", 1.0, 0.5), None, None]


def test_accuracy_ignores_windows_without_label_or_truth() -> None:
    sad = TrueState("sad", 0, 0)
    labels = [[0.2, 0.8], [0.6, 0.4], None, [1.0, 0.0]]
    assert accuracy(labels, [sad, sad, sad, None], ("calm", "sad")) == 0.5
    assert accuracy(labels, [None] * 4, ("calm", "sad")) is None


def test_brier_score_is_0_for_certainty_and_2_for_error() -> None:
    sad = TrueState("sad", 0, 0)
    assert brier_score([[0.0, 1.0], None], [sad, sad], ("calm", "sad")) == 0
    assert brier_score([[1.0, 0.0]], [sad], ("calm", "sad")) == 2
    assert brier_score([[0.5, 0.5], [1.0, 0.0]], [sad, None], ("calm", "sad")) == 0.5
    assert brier_score([None], [sad], ("calm", "sad")) is None


def test_concordance_decreases_with_bias_and_scale() -> None:
    x = np.array([0.0, 1.0, 2.0, 3.0])
    assert concordance(x, x) == 1
    assert concordance(x, -x + 3) == -1
    assert concordance(x, x + 1) == pytest.approx(2 * 1.25 / (2.5 + 1), abs=1e-4)
    assert concordance(x[:1], x[:1]) is None


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=2, max_size=20))
def test_concordance_is_symmetric_and_bounded(pairs: list[tuple[float, float]]) -> None:
    x, y = np.array(pairs).T
    ccc = concordance(x, y)
    assert ccc is not None
    assert abs(ccc) <= 1 + 1e-9
    assert ccc == concordance(y, x)


def test_missing_values_are_ignored() -> None:
    states: list[TrueState | None] = [TrueState("sad", float(i), 0.0) for i in range(4)]
    columns = {"valence": [0.0, 1.0, None, 3.0], "arousal": [None] * 4}
    labels = pl.DataFrame(columns, dict.fromkeys(columns, pl.Float64))
    assert value_concordance(labels, states) == {"valence": 1.0, "arousal": None}
