from __future__ import annotations

import stat

import polars as pl
import pytest

from consilience.core.errors import ConsilienceError
from consilience.core.pseudonyms import KEY_FILE, Names, load_key

RECORDINGS = [
    ("ada_1_eeg", "ada_1", "ada"),
    ("ada_1_audio", "ada_1", "ada"),
    ("bob_eeg", "bob", "bob"),
    ("7_eeg", "7", "7"),
]
NAMES = Names(bytes(32), RECORDINGS)


def test_a_key_is_created_once_and_readable_by_its_owner_alone(tmp_path):
    key = load_key(tmp_path)
    assert len(key) == 32
    assert load_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32])
def test_a_damaged_key_is_not_replaced(tmp_path, text):
    (tmp_path / KEY_FILE).write_text(text)
    with pytest.raises(ConsilienceError, match="not a key of 64 hexadecimal digits"):
        load_key(tmp_path)


def test_the_same_key_gives_the_same_pseudonym_and_another_key_another():
    assert NAMES.subject("ada") == Names(bytes(32), []).subject("ada")
    assert NAMES.subject("ada") != Names(b"\x01" * 32, []).subject("ada")
    assert NAMES.subject("ada") != NAMES.subject("bob")
    assert NAMES.subject("ada").startswith("person-")


def test_without_a_key_everything_stays_as_it_is():
    table = pl.DataFrame({"subject": ["ada"], "where": ["ada_1"], "path": ["a/b.wav"]})
    assert Names().mapped(table).equals(table)
    assert Names().text("ada in a/b.wav") == "ada in a/b.wav"
    assert not Names().are_pseudonyms


def test_a_recording_shows_its_session_and_sensor():
    assert NAMES.recording("ada_1_eeg") == NAMES.session("ada_1") + "_eeg"
    # Clips of a person count as one recording, which bears the person's name.
    assert NAMES.recording("ada") == NAMES.subject("ada")


def test_every_column_of_names_is_replaced_and_missing_ones_stay_missing():
    table = pl.DataFrame(
        {"subject": ["ada", None], "session": ["ada_1", "bob"], "window": ["ada_1_0", "bob_3"]}
        | {"annotator": ["self", "carol"], "file": ["ada/Voice.WAV", None], "start_s": [1.0, 2.0]}
    )
    mapped = NAMES.mapped(table)
    text = str(mapped.rows())
    assert not any(name in text for name in ("ada", "bob", "carol", "Voice"))
    assert mapped["subject"][1] is None
    assert mapped["file"][0].endswith(".wav")
    assert mapped["annotator"][0] == "self"
    assert mapped["start_s"].equals(table["start_s"])


def test_names_and_paths_within_text_are_replaced():
    text = NAMES.text("duplicate of ada/eeg.edf: used in session 'ada_1' of ada.")
    assert "ada" not in text
    assert text.startswith("duplicate of file-")
    assert f"'{NAMES.session('ada_1')}'" in text
    assert text.endswith(f"{NAMES.subject('ada')}.")
    # A number may be anything.
    assert NAMES.text("7 rows of 50.5 Hz") == "7 rows of 50.5 Hz"
