import pytest

from consilience.reporting import words


@pytest.mark.parametrize(
    ("name", "expected"),
    [("face_au", "face AU"), ("eeg", "EEG"), ("coherence_transfer", "coherence transfer")],
)
def test_readable_splits_words_and_capitalises_acronyms(name: str, expected: str) -> None:
    assert words.readable(name) == expected


@pytest.mark.parametrize(
    ("names", "expected"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_enumerated_joins_the_last_name_by_and(names: list[str], expected: str) -> None:
    assert words.enumerated(names) == expected


def test_the_sensor_of_a_verdict_is_in_words() -> None:
    assert words.readable_verdict("failing sensor: face_au") == "failing sensor: face AU"
    assert words.readable_verdict("ambiguous state") == "ambiguous state"


def test_the_sensors_of_a_sentence_are_in_words() -> None:
    text = "label calm, but eeg sad, face_au angry; not eeg_2"
    expected = "label calm, but EEG sad, face AU angry; not eeg_2"
    assert words.readable_text(text, ["eeg", "face_au"]) == expected


def test_numbers_have_fixed_precision_and_none_is_a_dash() -> None:
    assert words.percent(0.8505) == "85.0\u00a0%"
    assert words.decimal(0.12345) == "0.123"
    assert words.brief(1234.5) == "1234"
    assert words.brief(-12.345) == "−12.3"
    assert words.percent(None) == words.decimal(None) == words.brief(None) == "–"


def test_points_are_signed_with_a_true_minus() -> None:
    assert words.points(0.0123) == "+1.2"
    assert words.points(-0.0123) == "−1.2"
