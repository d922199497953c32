from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from consilience.core.file_names import NamesOnDisk, is_side_file, near_name

COMPOSED = "Chloé/Größe 1.wav"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


@pytest.mark.parametrize(
    ("on_disk", "listed"),
    [
        (COMPOSED, COMPOSED),
        (DECOMPOSED, COMPOSED),
        (COMPOSED, DECOMPOSED),
        ("day 1/a.wav", "day 1\\a.wav"),
        (DECOMPOSED, COMPOSED.replace("/", "\\")),
        ("a\\b.wav", "a\\b.wav"),
        ("a.wav", "./a.wav"),
    ],
)
def test_a_name_is_returned_as_the_disk_spells_it(
    on_disk: str, listed: str, tmp_path: Path
) -> None:
    (tmp_path / on_disk).parent.mkdir(exist_ok=True)
    (tmp_path / on_disk).touch()
    assert NamesOnDisk(tmp_path).spelling(listed) == on_disk


@pytest.mark.parametrize("path", ["gone.wav", "../é.wav", "/é.wav", "x" * 300, "a\0b", "A.wav"])
def test_other_names_are_returned_as_they_are(path: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert NamesOnDisk(tmp_path).spelling(path) == path


def test_the_most_similar_name_of_the_folder(tmp_path: Path) -> None:
    for name in ("Voice.WAV", "voice_10.wav", "other.flac"):
        (tmp_path / name).touch()
    assert near_name(tmp_path, "voice.wav") == "Voice.WAV"
    assert near_name(tmp_path, "voice_1O.wav") == "voice_10.wav"
    assert near_name(tmp_path, "picture.mp4") is None
    assert near_name(tmp_path, "nowhere/voice.wav") is None


@pytest.mark.parametrize(
    ("listed", "near"),
    [
        ("sub-01/voice.wav", "Sub-01/Voice.flac"),  # other case and extension
        ("Sub-01\\voice.flac", "Sub-01/Voice.flac"),
        ("sub-O1/pulse.csv", "Sub-01/pulse.CSV"),
        ("sub-01/other.wav", None),
        ("Sub-01/eeg.edf", None),  # beside a side file only
    ],
)
def test_a_similar_path_may_differ_in_its_folders(
    listed: str, near: str | None, tmp_path: Path
) -> None:
    (tmp_path / "Sub-01").mkdir()
    for name in ("Voice.flac", "pulse.CSV", "._Voice.wav", "._eeg.edf"):
        (tmp_path / "Sub-01" / name).touch()
    assert near_name(tmp_path, listed) == near


def test_files_that_a_mac_leaves_beside_recordings() -> None:
    assert is_side_file(Path("day 1/._a.wav"))
    assert not is_side_file(Path("._day/a.wav"))
