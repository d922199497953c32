from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.annotation.label_consensus import label_windows
from consilience.core.errors import ConsilienceError
from consilience.schema.constants import AFFECT_CLASSES
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.tables import Annotations, Trials, frame_of
from consilience.windows.layout import Window

CLASSES = ("calm", "happy", "sad")
WINDOW = Window("s", "t", 0.0, 4.0)
TRIALS = frame_of([{"session": "s", "trial": "t", "start_s": 0.0, "end_s": 4.0}], Trials)


def statement(annotator: str, target: str, start: float, end: float, what: str | float) -> dict:
    kind = "label" if isinstance(what, str) else "value"
    row = {"session": "s", "annotator": annotator, "target": target, "label": None, "value": None}
    return {**row, "start_s": start, "end_s": end, kind: what}


def consensus(rows: list[dict], **params: object) -> SimpleNamespace:
    """Return the label of one window."""
    settings = AnnotationParams(**{"reaction_lag_s": 0.0, **params})
    table = label_windows(frame_of(rows, Annotations), [WINDOW], TRIALS, CLASSES, settings).labels
    return SimpleNamespace(**table.row(0, named=True))


def stated(label: SimpleNamespace) -> dict[str, object]:
    """Return all of a label that is not null."""
    return {name: value for name, value in vars(label).items() if value is not None}


def test_votes_become_a_distribution() -> None:
    rows = [statement(name, "emotion", 0, 8, "happy") for name in ("a", "b", "c")]
    rows.append(statement("d", "emotion", 0, 8, "sad"))
    label = consensus(rows)
    assert label.vote_share == [0, 0.75, 0.25]
    assert label.class_probability is not None
    assert np.argmax(label.class_probability) == 1
    assert label.agreement == pytest.approx(3 / 6)
    assert label.n_annotators == 4
    assert label.valence is None


def test_two_annotators_give_shares_of_votes() -> None:
    rows = [statement("a", "emotion", 0, 8, "happy"), statement("b", "emotion", 0, 8, "sad")]
    label = consensus(rows)
    assert label.class_probability == label.vote_share == [0, 0.5, 0.5]
    assert label.class_entropy == pytest.approx(1)


def test_votes_are_weighted_by_their_overlap_with_the_window() -> None:
    rows = [statement("a", "emotion", -5, 1, "calm"), statement("a", "emotion", 1, 9, "sad")]
    label = consensus(rows)
    assert label.class_probability == [0.25, 0, 0.75]
    assert label.agreement is None


def test_observers_have_equal_weight_whatever_their_number_of_statements() -> None:
    rows = [statement("a", "emotion", start, start + 0.5, "calm") for start in np.arange(0, 4, 0.5)]
    rows.append(statement("b", "emotion", 0, 4, "sad"))
    assert consensus(rows).class_probability == [0.5, 0, 0.5]


def test_the_reaction_lag_shifts_continuous_ratings_only() -> None:
    times = np.arange(0, 10, 0.25)
    trace = [statement("a", "valence", t, t + 0.25, 1.0 if t >= 2 else -1.0) for t in times]
    assert consensus(trace).valence == pytest.approx(0)
    assert consensus(trace, reaction_lag_s=2.0).valence == pytest.approx(1)
    single = [statement("a", "valence", 0, 4, 0.5)]
    assert consensus(single, reaction_lag_s=2.0).valence == 0.5
    late = consensus([statement("a", "arousal", 4, 8, 0.5)], reaction_lag_s=2.0)
    assert late.arousal is None


def test_ratings_of_long_segments_have_no_lag() -> None:
    segments = [statement("a", "valence", t, t + 4, float(t == 0)) for t in (-8, -4, 0, 4)]
    assert consensus(segments, reaction_lag_s=2.0).valence == 1


def test_self_reports_are_separate_from_observers() -> None:
    rows = [statement("self", "emotion", 0, 4, "sad"), statement("self-2", "valence", 0, 4, 1.0)]
    label = consensus([*rows, statement("a", "emotion", 0, 4, "calm")])
    assert label.class_probability == [1, 0, 0]
    assert label.valence is None
    assert label.n_annotators == 1
    self_label = consensus([*rows, statement("a", "emotion", 0, 4, "calm")], source="self")
    assert self_label.class_probability == [0, 0, 1]
    assert self_label.valence == 1
    assert stated(consensus(rows[:1])) == {"n_annotators": 0, "self_emotion": "sad"}


def test_sessions_are_separate_and_windows_keep_their_order() -> None:
    rows = [
        statement("a", "emotion", 0, 9, "sad"),
        {**statement("a", "emotion", 0, 9, "calm"), "session": "r"},
    ]
    windows = [Window("s", "t", 0.0, 4.0), Window("r", "t", 0.0, 4.0), Window("s", "t", 4.0, 8.0)]
    fixed = AnnotationParams(reaction_lag_s=0.0)
    labelling = label_windows(frame_of(rows, Annotations), windows, TRIALS, CLASSES, fixed)
    assert labelling.labels["class_probability"].to_list() == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_a_window_without_statements_has_no_label() -> None:
    label = consensus([statement("a", "emotion", 10, 12, "calm")])
    assert stated(label) == {"n_annotators": 0}
    assert consensus([]) == label


def test_an_unknown_class_is_an_error() -> None:
    with pytest.raises(ConsilienceError, match="session s: unknown class 'sd' by annotator 'a'"):
        consensus([statement("a", "emotion", 0, 4, "sd")])


statements = st.lists(
    st.tuples(
        st.sampled_from("abcd"), st.sampled_from(CLASSES), st.floats(-2, 5), st.floats(0.01, 5)
    ),
    max_size=12,
)


@given(statements=statements, seed=st.integers(0, 1000))
def test_distributions_sum_to_one_and_ignore_the_order_of_rows(
    statements: list[tuple[str, str, float, float]], seed: int
) -> None:
    rows = [statement(who, "emotion", start, start + d, what) for who, what, start, d in statements]
    label = consensus(rows)
    if label.class_probability is not None:
        assert sum(label.class_probability) == pytest.approx(1)
    assert label.agreement is None or 0 <= label.agreement <= 1
    assert (label.agreement is not None) == (label.n_annotators > 1)
    order = np.random.default_rng(seed).permutation(len(rows))
    again = consensus([rows[i] for i in order])
    assert again.n_annotators == label.n_annotators
    np.testing.assert_allclose(again.class_probability or [], label.class_probability or [])
    assert pl.Series([again.agreement]).fill_null(-1)[0] == pytest.approx(
        -1 if label.agreement is None else label.agreement
    )


def test_a_label_contradicted_by_observers_is_flagged() -> None:
    rows = [statement("self", "emotion", 0, 4, "sad"), statement("self", "valence", 0, 4, 0.9)]
    rows += [statement(name, "emotion", 0, 4, "calm") for name in "abc"]
    rows += [
        statement(name, "valence", 0, 4, value)
        for name, value in zip("abc", (0.1, 0.2, 0.3), strict=True)
    ]
    self_label = consensus(rows, source="self")
    assert self_label.contradicted
    assert self_label.vote_share == [1, 0, 0]
    assert (self_label.self_emotion, self_label.self_valence, self_label.self_arousal) == (
        "sad",
        0.9,
        None,
    )
    observed = consensus(rows)
    assert observed.contradicted is False
    assert observed.self_emotion == "sad"
    assert consensus(rows[:2], source="self").contradicted is None
    assert consensus([rows[1], *rows[5:]], source="self").contradicted


def test_ratings_have_a_mean_and_a_standard_deviation() -> None:
    rows = [
        statement(name, "valence", 0, 4, value)
        for name, value in zip("abc", (1.0, 2.0, 3.0), strict=True)
    ]
    label = consensus(rows)
    assert label.valence == pytest.approx(2)
    assert label.valence_sd is not None
    assert label.arousal_sd is None
    outlier = [*rows[:2], statement("c", "valence", 0, 4, 300.0)]
    assert consensus(outlier, scale="ordinal").valence == pytest.approx(2)
    assert consensus(outlier).valence > 50


def test_a_statement_without_end_lasts_until_the_last_window() -> None:
    rows = [statement("a", "emotion", 0, np.inf, "sad"), statement("a", "valence", 1, np.inf, 0.5)]
    label = consensus([*rows, statement("a", "valence", 0, 1, 0.1)])
    assert label.class_probability == [0, 0, 1]
    assert label.valence == pytest.approx(0.4)


def test_reliabilities_differ_and_windows_of_one_rating_count_once() -> None:
    rng = np.random.default_rng(0)
    rows, windows, trials = [], [], []
    for number in range(40):
        session, actual = f"s{number}", int(rng.integers(3))
        for name, right in (("good", 0.95), ("fair", 0.8), ("poor", 0.4)):
            named = actual if rng.random() < right else int(rng.integers(3))
            rows.append({**statement(name, "emotion", 0, 8, CLASSES[named]), "session": session})
        trials.append({"session": session, "trial": "t", "start_s": 0.0, "end_s": 8.0})
        windows += [Window(session, "t", start, start + 4) for start in (0.0, 2.0, 4.0)]
    annotations, borders = frame_of(rows, Annotations), frame_of(trials, Trials)
    labelling = label_windows(annotations, windows, borders, CLASSES, AnnotationParams())
    reliability = dict(labelling.annotators.select("annotator", "reliability").iter_rows())
    assert reliability["good"] > reliability["fair"] > reliability["poor"]
    assert labelling.confusions.height == 3 * 9
    assert set(labelling.annotators["n_windows"]) == {120}
    once = label_windows(annotations, windows[::3], borders, CLASSES, AnnotationParams())
    for label, again in zip(
        labelling.labels["class_probability"][::3], once.labels["class_probability"], strict=True
    ):
        np.testing.assert_allclose(label, again)
    assert labelling.agreement["emotion"] == once.agreement["emotion"]


def test_icc_uses_windows_that_all_have_rated() -> None:
    rng = np.random.default_rng(1)
    windows = [Window("s", f"t{n}", 4.0 * n, 4.0 * n + 4) for n in range(20)]
    rows = [
        statement(name, "valence", window.start_s, window.end_s, float(n + rng.normal()))
        for n, window in enumerate(windows)
        for name in ("a", "b", "c")[: 3 if n % 2 else 2]
    ]
    trials = frame_of(
        [
            {"session": "s", "trial": w.trial, "start_s": w.start_s, "end_s": w.end_s}
            for w in windows
        ],
        Trials,
    )
    annotations = frame_of(rows, Annotations)
    labelling = label_windows(annotations, windows, trials, CLASSES, AnnotationParams())
    figures = labelling.agreement["valence"]
    assert figures["icc_single"] == pytest.approx(0.97, abs=0.03)
    assert figures["icc_mean"] > figures["icc_single"]
    assert figures["krippendorff_alpha"] == pytest.approx(0.97, abs=0.03)


@pytest.mark.parametrize(
    ("valence", "arousal", "expected"),
    [
        (-0.4, 0.8, [0, 1, 0, 0]),
        (0.4, -0.8, [0, 0, 1, 0]),
        (0.0, 0.5, [0, 0.5, 0, 0.5]),
        (0.5, None, None),
    ],
)
def test_ratings_alone_give_the_class_of_a_quadrant(valence, arousal, expected) -> None:
    values = {"valence": valence, "arousal": arousal}
    rows = [
        statement("a", name, 0, 8, value) for name, value in values.items() if value is not None
    ]
    classes = AFFECT_CLASSES["valence", "arousal"]
    table = frame_of(rows, Annotations)
    labelling = label_windows(table, [WINDOW], TRIALS, classes, AnnotationParams())
    label = labelling.labels.row(0, named=True)
    assert label["class_probability"] == expected
    assert label["valence"] == valence
    assert label["self_emotion"] is None
