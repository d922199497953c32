"""EAV cannot be had freely: these files have its layout and formats, from public descriptions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import soundfile

from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.datasets.eav import EMOTIONS, LAYOUT, dataset
from consilience.ingest.catalog import build_catalog
from consilience.schema.tables import Annotations

# Row of the label matrix of each trial: neutral heard and spoken, sadness heard, calmness spoken.
ROWS = (0, 1, 2, 9)
VIDEO = (
    "001_Trial_01_Listening_Neutral",
    "002_Trial_02_Speaking_Neutral",
    "003_Trial_03_Listening_Sadness",
    "004_Trial_04_Speaking_Calmness",
)
# The number after "Trial" counts otherwise in sound: only the first three digits are the index.
AUDIO = ("002_Trial_01_Speaking_Neutral_Aud", "004_Trial_02_Speaking_Calmness_aud")


def one_hot(rows: tuple[int, ...]) -> np.ndarray:
    label = np.zeros((10, len(rows)))
    label[rows, range(len(rows))] = 1
    return label


def subject(root: Path, number: int = 1, variable: str = "seg1", seconds: int = 1) -> Path:
    folder = root / f"subject{number}"
    for name in ("EEG", "Audio", "Video"):
        (folder / name).mkdir(parents=True)
    cube = generator("eav", number).normal(0, 20, (500 * seconds, 30, len(ROWS)))
    scipy.io.savemat(folder / f"EEG/subject{number}_eeg.mat", {variable: cube}, do_compression=True)
    scipy.io.savemat(folder / f"EEG/subject{number}_eeg_label.mat", {"label": one_hot(ROWS)})
    for name in AUDIO:
        noise = 0.1 * generator(name, number).standard_normal(8000)
        soundfile.write(folder / f"Audio/{name}.wav", noise, 8000)
    for name in VIDEO:
        (folder / f"Video/{name}.mp4").touch()
    return folder


def test_a_trial_is_a_session_of_its_recordings(tmp_path):
    subject(tmp_path)
    listing = dataset.list(tmp_path)
    assert not listing.problems
    assert {e.session: e.item for e in listing.entries if e.modality == "eeg"} == {
        "subject-01_001_listening": LAYOUT.item(0),
        "subject-01_002_speaking": LAYOUT.item(1),
        "subject-01_003_listening": LAYOUT.item(2),
        "subject-01_004_speaking": LAYOUT.item(3),
    }
    assert {(e.session, e.path) for e in listing.entries if e.modality == "audio"} == {
        ("subject-01_002_speaking", f"subject1/Audio/{AUDIO[0]}.wav"),
        ("subject-01_004_speaking", f"subject1/Audio/{AUDIO[1]}.wav"),
    }
    assert sum(e.modality == "video" for e in listing.entries) == 4


def test_row_by_two_is_the_emotion(tmp_path):
    subject(tmp_path)
    annotations = Annotations.validate(dataset.list(tmp_path).annotations)
    assert annotations["label"].to_list() == ["neutral", "neutral", "sadness", "calmness"]
    assert dataset.classes == EMOTIONS == ("neutral", "sadness", "anger", "happiness", "calmness")


@pytest.mark.parametrize("variable", ["seg", "seg1"])
def test_the_catalog_opens_trials_of_either_variable(tmp_path, variable):
    subject(tmp_path, variable=variable)
    catalog = build_catalog(dataset, tmp_path, ["eeg", "audio"])
    assert catalog.recordings["eeg"]["status"].to_list() == ["ok"] * 4
    assert catalog.recordings["eeg"]["rate_hz"].to_list() == [500.0] * 4
    assert catalog.recordings["eeg"]["content_hash"].n_unique() == 4
    assert catalog.recordings["audio"]["status"].to_list() == ["ok"] * 2


def test_the_layout_names_thirty_channels():
    assert len(LAYOUT.channels) == 30


def test_subjects_are_numbers_in_any_notation(tmp_path):
    for number in (10, 2, 1):
        subject(tmp_path, number)
    (tmp_path / "subject2").rename(tmp_path / "subject_02")
    subjects = list(dict.fromkeys(entry.subject for entry in dataset.list(tmp_path).entries))
    assert subjects == ["subject-01", "subject-02", "subject-10"]


def label(folder: Path, content: dict[str, object]) -> None:
    scipy.io.savemat(folder / "EEG/subject1_eeg_label.mat", content)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda f: (f / "EEG/subject1_eeg_label.mat").unlink(), "no label file"),
        (lambda f: (f / "EEG/subject1_eeg_label.mat").write_bytes(b"x" * 500), "not a MATLAB"),
        (lambda f: label(f, {"other": one_hot(ROWS)}), "called 'label'"),
        (lambda f: label(f, {"label": one_hot(ROWS).T}), r"shape (4, 10), not (10, trials)"),
        (lambda f: label(f, {"label": "words"}), "called 'label'"),
    ],
)
def test_without_a_label_file_labels_are_read_from_the_names(tmp_path, damage, what):
    damage(subject(tmp_path))
    listing = dataset.list(tmp_path)
    ((where, message, remedy),) = listing.problems
    assert where.startswith("subject1/EEG")
    assert what in message
    assert "names" in remedy
    assert listing.annotations["label"].to_list() == ["neutral", "neutral", "sadness", "calmness"]


@pytest.mark.parametrize(
    ("damage", "what", "labelled"),
    [
        (
            lambda f: (f / f"Video/{VIDEO[0]}.mp4").rename(f / "Video/clip.mp4"),
            "not an EAV file name",
            4,
        ),
        (
            lambda f: (f / f"Video/{VIDEO[2]}.mp4").rename(
                f / "Video/003_Trial_03_Listening_Anger.mp4"
            ),
            "trial 3 is listening sadness by its label, listening anger by its files",
            3,
        ),
        (
            lambda f: (f / "Video/001_Trial_05_Listening_Neutral.mp4").touch(),
            "trial 001 is also",
            4,
        ),
        (lambda f: label(f, {"label": one_hot(ROWS) + one_hot((3, 1, 2, 9))}), "2 classes", 4),
    ],
)
def test_contradictions_are_reported(tmp_path, damage, what, labelled):
    damage(subject(tmp_path))
    listing = dataset.list(tmp_path)
    assert what in " ".join(problem[1] for problem in listing.problems)
    assert listing.annotations.height == labelled


def test_a_folder_without_subjects_is_an_error_with_an_example(tmp_path):
    (tmp_path / "subject1").mkdir()
    with pytest.raises(ConsilienceError, match=r"subject1_eeg\.mat"):
        dataset.list(tmp_path)
