import pickle

import pytest

from consilience.core.errors import ConsilienceError, RecordingError, one_line, unreadable


@pytest.mark.parametrize(
    ("remedy", "text"),
    [("", "a.edf: no samples"), ("export it again", "a.edf: no samples (export it again)")],
)
def test_the_message_names_place_problem_and_remedy(remedy, text):
    error = ConsilienceError("no samples", "a.edf", remedy)
    assert str(error) == text
    assert (error.what, error.where, error.remedy) == ("no samples", "a.edf", remedy)


def test_the_reason_of_a_recording_leaves_out_its_name():
    assert RecordingError("no samples", "a.edf").reason == "no samples"
    assert RecordingError("no samples", "a.edf", "skip it").reason == "no samples (skip it)"


def test_an_unexpected_exception_becomes_one_short_line():
    assert unreadable(ValueError("bad\n  header\t1")) == "cannot be read: ValueError: bad header 1"
    assert len(unreadable(ValueError("x" * 1000))) == 300


def test_control_and_undecodable_characters_are_escaped():
    assert one_line("a\nb\x1b[31m") == r"a\nb\x1b[31m"
    assert one_line("sub\udcff") == r"sub\udcff"
    assert one_line("naïve 1 µV") == "naïve 1 µV"


def test_an_error_passes_between_processes_and_holds_no_code_for_a_terminal():
    error = pickle.loads(pickle.dumps(RecordingError("no samples", "a\x1b[2J.edf", "skip it")))
    assert type(error) is RecordingError
    assert str(error) == r"a\x1b[2J.edf: no samples (skip it)"
