from __future__ import annotations

from pathlib import Path

import pytest

from consilience.core.errors import ConsilienceError
from consilience.datasets.ravdess import VOICES, dataset
from consilience.ingest.catalog import build_catalog
from consilience.schema.tables import Annotations


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def listed(root: Path) -> set[tuple[str, str]]:
    return {(entry.modality, entry.path) for entry in dataset.list(root).entries}


def test_all_three_official_kinds_are_read(tmp_path):
    touch(
        tmp_path,
        "Actor_01/03-01-06-02-01-01-01.wav",
        "Actor_02/02-01-05-01-01-01-02.mp4",
        "Actor_03/01-01-04-01-01-01-03.mp4",
    )
    assert listed(tmp_path) == {
        *((voice, "Actor_01/03-01-06-02-01-01-01.wav") for voice in VOICES),
        ("video", "Actor_02/02-01-05-01-01-01-02.mp4"),
        *((voice, "Actor_03/01-01-04-01-01-01-03.mp4") for voice in VOICES),
        ("video", "Actor_03/01-01-04-01-01-01-03.mp4"),
    }


def test_a_single_file_is_preferred_to_the_full_one(tmp_path):
    touch(tmp_path, "a/03-01-06-02-01-01-01.wav", "a/01-01-06-02-01-01-01.mp4")
    assert listed(tmp_path) == {
        *((voice, "a/03-01-06-02-01-01-01.wav") for voice in VOICES),
        ("video", "a/01-01-06-02-01-01-01.mp4"),
    }


def test_song_is_left_out_and_other_names_are_reported(tmp_path):
    touch(tmp_path, "a/03-02-06-02-01-01-01.wav", "a/03-01-06-02-01-01-01.wav", "a/notes.wav")
    listing = dataset.list(tmp_path)
    assert {entry.path for entry in listing.entries} == {"a/03-01-06-02-01-01-01.wav"}
    assert listing.problems == [("a/notes.wav", "not a RAVDESS file name", "rename or remove it")]


def test_the_intended_emotion_and_the_actor_come_from_the_name(tmp_path):
    touch(tmp_path, "a/03-01-06-02-01-02-17.wav")
    listing = dataset.list(tmp_path)
    assert listing.entries[0].subject == "Actor_17"
    assert Annotations.validate(listing.annotations)["label"].to_list() == ["fearful"]


def test_a_folder_without_clips_is_an_error_with_an_example(tmp_path):
    with pytest.raises(ConsilienceError, match="03-01-06-02-01-01-17"):
        dataset.list(tmp_path)


def test_the_table_is_read_as_the_whole_face_and_its_two_halves(tmp_path):
    (tmp_path / "openface_au35_clipmean.csv").write_text("clip,AU01_r\n01-06-02-01-01-17,1\n")
    items = {entry.modality: entry.item for entry in dataset.list(tmp_path).entries}
    assert items == dict.fromkeys(
        ("face_au", "upper_face_au", "lower_face_au"), "01-06-02-01-01-17"
    )
    assert {*items, "audio"} <= set(dataset.modalities)


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_corpus(real_data):
    root = real_data / "ravdess"
    catalog = build_catalog(dataset, root, ["audio", "face_au"])
    counts = catalog.summary()["modalities"]
    assert counts["face_au"]["ok"] == 1080
    # Nine clips are there once more at 48 kHz, and two files of actor 07 hold the same bytes.
    assert (counts["audio"]["ok"], counts["audio"]["quarantined"]) == (1079, 10)
    assert catalog.annotations["session"].n_unique() == 1080


def test_the_sex_of_an_actor_follows_from_the_number(tmp_path):
    touch(tmp_path, "a/03-01-06-02-01-02-17.wav", "a/03-01-06-02-01-02-18.wav")
    people = dataset.list(tmp_path).people
    assert people.select("subject", "sex").rows() == [("Actor_17", "male"), ("Actor_18", "female")]
