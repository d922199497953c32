import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.annotation.label_consensus import WindowLabel, label_windows
from consilience.core.errors import ConsilienceError
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.tables import Annotations, Trials, frame_of
from consilience.windows.layout import Window

CLASSES = ("calm", "happy", "sad")
WINDOW = Window("s", "t", 0.0, 4.0)
TRIALS = frame_of([{"session": "s", "trial": "t", "start_s": 0.0, "end_s": 4.0}], Trials)


def says(annotator: str, target: str, start: float, end: float, what: str | float) -> dict:
    kind = "label" if isinstance(what, str) else "value"
    row = {"session": "s", "annotator": annotator, "target": target, "label": None, "value": None}
    return {**row, "start_s": start, "end_s": end, kind: what}


def agree(rows: list[dict], **choice: object) -> WindowLabel:
    settings = AnnotationParams(**{"reaction_lag_s": 0.0, **choice})
    return label_windows(frame_of(rows, Annotations), [WINDOW], TRIALS, CLASSES, settings).labels[0]


def test_votes_become_a_distribution() -> None:
    rows = [says(name, "emotion", 0, 8, "happy") for name in ("a", "b", "c")]
    rows.append(says("d", "emotion", 0, 8, "sad"))
    found = agree(rows)
    assert found.vote_share == [0, 0.75, 0.25]
    assert found.class_probability is not None
    assert np.argmax(found.class_probability) == 1
    assert found.agreement == pytest.approx(3 / 6)
    assert found.n_annotators == 4
    assert found.valence is None


def test_two_cannot_outvote_each_other() -> None:
    rows = [says("a", "emotion", 0, 8, "happy"), says("b", "emotion", 0, 8, "sad")]
    found = agree(rows)
    assert found.class_probability == found.vote_share == [0, 0.5, 0.5]
    assert found.class_entropy == pytest.approx(1)


def test_a_vote_counts_by_its_overlap_with_the_window() -> None:
    rows = [says("a", "emotion", -5, 1, "calm"), says("a", "emotion", 1, 9, "sad")]
    found = agree(rows)
    assert found.class_probability == [0.25, 0, 0.75]
    assert found.agreement is None


def test_observers_weigh_the_same_however_often_they_speak() -> None:
    rows = [says("a", "emotion", start, start + 0.5, "calm") for start in np.arange(0, 4, 0.5)]
    rows.append(says("b", "emotion", 0, 4, "sad"))
    assert agree(rows).class_probability == [0.5, 0, 0.5]


def test_a_trace_is_shifted_by_the_reaction_lag_and_a_judgement_is_not() -> None:
    times = np.arange(0, 10, 0.25)
    trace = [says("a", "valence", t, t + 0.25, 1.0 if t >= 2 else -1.0) for t in times]
    assert agree(trace).valence == pytest.approx(0)
    assert agree(trace, reaction_lag_s=2.0).valence == pytest.approx(1)
    judgement = [says("a", "valence", 0, 4, 0.5)]
    assert agree(judgement, reaction_lag_s=2.0).valence == 0.5
    late = agree([says("a", "arousal", 4, 8, 0.5)], reaction_lag_s=2.0)
    assert late.arousal is None


def test_judgements_of_long_segments_are_not_late() -> None:
    segments = [says("a", "valence", t, t + 4, float(t == 0)) for t in (-8, -4, 0, 4)]
    assert agree(segments, reaction_lag_s=2.0).valence == 1


def test_the_subjects_own_report_is_kept_apart() -> None:
    rows = [says("self", "emotion", 0, 4, "sad"), says("self-2", "valence", 0, 4, 1.0)]
    found = agree([*rows, says("a", "emotion", 0, 4, "calm")])
    assert found.class_probability == [1, 0, 0]
    assert found.valence is None
    assert found.n_annotators == 1
    own = agree([*rows, says("a", "emotion", 0, 4, "calm")], source="self")
    assert own.class_probability == [0, 0, 1]
    assert own.valence == 1
    assert agree(rows[:1]) == WindowLabel(self_emotion="sad")


def test_sessions_do_not_mix_and_windows_keep_their_order() -> None:
    rows = [
        says("a", "emotion", 0, 9, "sad"),
        {**says("a", "emotion", 0, 9, "calm"), "session": "r"},
    ]
    windows = [Window("s", "t", 0.0, 4.0), Window("r", "t", 0.0, 4.0), Window("s", "t", 4.0, 8.0)]
    fixed = AnnotationParams(reaction_lag_s=0.0)
    found = label_windows(frame_of(rows, Annotations), windows, TRIALS, CLASSES, fixed)
    assert [label.class_probability for label in found.labels] == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_nothing_said_is_no_label() -> None:
    found = agree([says("a", "emotion", 10, 12, "calm")])
    assert found == WindowLabel()
    assert agree([]) == found


def test_a_class_the_dataset_does_not_have_is_told() -> None:
    with pytest.raises(ConsilienceError, match="session s: annotator 'a' names the class 'sd'"):
        agree([says("a", "emotion", 0, 4, "sd")])


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
    rows = [says(who, "emotion", start, start + d, what) for who, what, start, d in statements]
    found = agree(rows)
    if found.class_probability is not None:
        assert sum(found.class_probability) == pytest.approx(1)
    assert found.agreement is None or 0 <= found.agreement <= 1
    assert (found.agreement is not None) == (found.n_annotators > 1)
    order = np.random.default_rng(seed).permutation(len(rows))
    again = agree([rows[i] for i in order])
    assert again.n_annotators == found.n_annotators
    np.testing.assert_allclose(again.class_probability or [], found.class_probability or [])
    assert pl.Series([again.agreement]).fill_null(-1)[0] == pytest.approx(
        -1 if found.agreement is None else found.agreement
    )


def test_a_label_its_observers_contradict_is_flagged() -> None:
    rows = [says("self", "emotion", 0, 4, "sad"), says("self", "valence", 0, 4, 0.9)]
    rows += [says(name, "emotion", 0, 4, "calm") for name in "abc"]
    rows += [
        says(name, "valence", 0, 4, value)
        for name, value in zip("abc", (0.1, 0.2, 0.3), strict=True)
    ]
    own = agree(rows, source="self")
    assert own.contradicted
    assert own.vote_share == [1, 0, 0]
    assert (own.self_emotion, own.self_valence, own.self_arousal) == ("sad", 0.9, None)
    observed = agree(rows)
    assert observed.contradicted is False
    assert observed.self_emotion == "sad"
    assert agree(rows[:2], source="self").contradicted is None
    assert agree([rows[1], *rows[5:]], source="self").contradicted


def test_ratings_and_their_spread() -> None:
    rows = [
        says(name, "valence", 0, 4, value)
        for name, value in zip("abc", (1.0, 2.0, 3.0), strict=True)
    ]
    found = agree(rows)
    assert found.valence == pytest.approx(2)
    assert found.valence_sd is not None
    assert found.arousal_sd is None
    far = [*rows[:2], says("c", "valence", 0, 4, 300.0)]
    assert agree(far, scale="ordinal").valence == pytest.approx(2)
    assert agree(far).valence > 50


def test_a_statement_without_end_lasts_as_long_as_the_windows() -> None:
    rows = [says("a", "emotion", 0, np.inf, "sad"), says("a", "valence", 1, np.inf, 0.5)]
    found = agree([*rows, says("a", "valence", 0, 1, 0.1)])
    assert found.class_probability == [0, 0, 1]
    assert found.valence == pytest.approx(0.4)


def test_annotators_are_told_apart_and_windows_of_one_judgement_count_once() -> None:
    rng = np.random.default_rng(0)
    rows, windows, trials = [], [], []
    for number in range(40):
        session, actual = f"s{number}", int(rng.integers(3))
        for name, right in (("good", 0.95), ("fair", 0.8), ("poor", 0.4)):
            said = actual if rng.random() < right else int(rng.integers(3))
            rows.append({**says(name, "emotion", 0, 8, CLASSES[said]), "session": session})
        trials.append({"session": session, "trial": "t", "start_s": 0.0, "end_s": 8.0})
        windows += [Window(session, "t", start, start + 4) for start in (0.0, 2.0, 4.0)]
    said, borders = frame_of(rows, Annotations), frame_of(trials, Trials)
    found = label_windows(said, windows, borders, CLASSES, AnnotationParams())
    reliability = dict(found.annotators.select("annotator", "reliability").iter_rows())
    assert reliability["good"] > reliability["fair"] > reliability["poor"]
    assert found.confusions.height == 3 * 9
    assert set(found.annotators["n_windows"]) == {120}
    once = label_windows(said, windows[::3], borders, CLASSES, AnnotationParams())
    for label, again in zip(found.labels[::3], once.labels, strict=True):
        np.testing.assert_allclose(label.class_probability, again.class_probability)
    assert found.agreement["emotion"] == once.agreement["emotion"]


def test_agreement_is_of_what_all_have_rated() -> None:
    rng = np.random.default_rng(1)
    windows = [Window("s", f"t{n}", 4.0 * n, 4.0 * n + 4) for n in range(20)]
    rows = [
        says(name, "valence", window.start_s, window.end_s, float(n + rng.normal()))
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
    said = frame_of(rows, Annotations)
    found = label_windows(said, windows, trials, CLASSES, AnnotationParams())
    figures = found.agreement["valence"]
    assert figures["icc_single"] == pytest.approx(0.97, abs=0.03)
    assert figures["icc_mean"] > figures["icc_single"]
    assert figures["krippendorff_alpha"] == pytest.approx(0.97, abs=0.03)
