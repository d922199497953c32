"""Every kind of bad input among valid recordings: the valid are processed, the bad listed."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import edfio
import numpy as np
import polars as pl
import pytest
import soundfile

from consilience.core.seeds import generator
from consilience.datasets.demo import dataset as demo
from consilience.schema.params.synthesis import SynthesisParams
from consilience.schema.tables import Annotations, Ingested, Problems, Recordings, read_table
from consilience.synthesis.corpus import write_corpus
from consilience.synthesis.plan import FILES, RATES_HZ

if TYPE_CHECKING:
    from conftest import ProjectCopy

pytestmark = pytest.mark.slow

CORPUS = SynthesisParams(
    subjects=2, sessions=1, trials=1, trial_s=3, missing_fraction=0, faulty_fraction=0
)
GOOD = ("sub-01_ses-1", "sub-02_ses-1")
ROOT = "data/raw/mixed"
Maker = Callable[[Path, Path], object]  # (valid recording of the modality, path to write)


def nothing(good: Path, bad: Path) -> None:
    """Write no file."""


def empty(good: Path, bad: Path) -> None:
    bad.write_bytes(b"")


def half(good: Path, bad: Path) -> None:
    content = good.read_bytes()
    bad.write_bytes(content[: len(content) // 2])


def random_bytes(good: Path, bad: Path) -> None:
    bad.write_bytes(generator(bad.name).bytes(20000))


def of_other_modality(good: Path, bad: Path) -> None:
    """Write another modality's recording with this one's file extension."""
    kinds = list(FILES.values())
    other = kinds[(kinds.index(good.name) + 1) % len(kinds)]
    bad.write_bytes(good.with_name(other).read_bytes())


def edf_without_records(good: Path, bad: Path) -> None:
    content = good.read_bytes()
    header = bytearray(content[: int(content[184:192])])
    header[236:244] = b"0       "
    bad.write_bytes(header)


def flat_edf(good: Path, bad: Path) -> None:
    names = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2")
    flat = np.zeros(2500)
    edfio.Edf(
        [edfio.EdfSignal(flat, 250, label=name, physical_range=(-100, 100)) for name in names]
    ).write(bad)


def wav_of(sound: np.ndarray) -> Maker:
    return lambda good, bad: soundfile.write(bad, sound, 16000, format="WAV", subtype="FLOAT")


def video_of(pictures: np.ndarray) -> Maker:
    """Write grey frames, shape (n, height, width); an empty stream if n is 0."""

    def write(good: Path, bad: Path) -> None:
        with av.open(str(bad), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
            container.start_encoding()
            for picture in pictures:
                frame = av.VideoFrame.from_ndarray(picture, format="gray")
                container.mux(stream.encode(frame.reformat(format="yuv420p")))
            if len(pictures):
                container.mux(stream.encode(None))

    return write


def sound_only(good: Path, bad: Path) -> None:
    with av.open(str(bad), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        silence = np.zeros((1, 16000), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


NOISE = generator("bad input").normal(0, 0.1, 32000).astype(np.float32)
GREY = np.full((50, 96, 128), 120, np.uint8)
WALL = generator("wall").integers(100, 140, (50, 96, 128), np.uint8)


@dataclass(frozen=True)
class Bad:
    """A bad recording, and a pattern that its reason must match."""

    modality: str
    ending: str
    make: Maker
    reason: str
    status: str = "quarantined"
    rate_hz: float | None = None


BAD = {
    "eeg-missing": Bad("eeg", ".edf", nothing, "does not exist", status="missing"),
    "eeg-empty": Bad("eeg", ".edf", empty, "empty"),
    "eeg-truncated": Bad("eeg", ".edf", half, "truncated"),
    "eeg-zero-length": Bad("eeg", ".edf", edf_without_records, "no samples"),
    "eeg-other-kind": Bad("eeg", ".edf", of_other_modality, "not a readable EDF"),
    "eeg-extension": Bad(
        "eeg", ".docx", shutil.copyfile, r"unsupported eeg file extension '\.docx'"
    ),
    "eeg-random": Bad("eeg", ".edf", random_bytes, "not a readable EDF"),
    "eeg-flat": Bad("eeg", ".edf", flat_edf, "flat|unusable"),
    "eeg-rate": Bad("eeg", ".edf", shutil.copyfile, "250 Hz in the header, 500 Hz", rate_hz=500),
    "eeg-duplicate": Bad("eeg", ".edf", shutil.copyfile, r"duplicate of sub-01/ses-1/eeg\.edf"),
    "audio-missing": Bad("audio", ".flac", nothing, "does not exist", status="missing"),
    "audio-empty": Bad("audio", ".flac", empty, "empty"),
    "audio-truncated": Bad("audio", ".flac", half, "truncated"),
    "audio-zero-length": Bad("audio", ".wav", wav_of(NOISE[:0]), "no samples"),
    "audio-other-kind": Bad("audio", ".flac", of_other_modality, "not a readable sound"),
    "audio-extension": Bad(
        "audio", ".docx", shutil.copyfile, r"unsupported audio file extension '\.docx'"
    ),
    "audio-wrong-ending": Bad("audio", ".wav", shutil.copyfile, "the content is FLAC, not WAV"),
    "audio-random": Bad("audio", ".flac", random_bytes, "not a readable sound"),
    "audio-nan": Bad("audio", ".wav", wav_of(np.where(NOISE > 0.3, np.nan, NOISE)), "NaN"),
    "audio-flat": Bad("audio", ".wav", wav_of(0 * NOISE), "silent|flat"),
    "audio-rate": Bad("audio", ".flac", shutil.copyfile, "44100 Hz in the dataset", rate_hz=44100),
    "audio-duplicate": Bad("audio", ".flac", shutil.copyfile, "duplicate of sub-01/ses-1/voice"),
    "video-missing": Bad("video", ".mp4", nothing, "does not exist", status="missing"),
    "video-empty": Bad("video", ".mp4", empty, "empty"),
    "video-truncated": Bad("video", ".mp4", half, "not a readable media file|cut off|breaks off"),
    "video-zero-length": Bad("video", ".avi", video_of(WALL[:0]), "0 frames|not a readable"),
    "video-other-kind": Bad(
        "video", ".mp4", of_other_modality, "not a readable media file|the content is"
    ),
    "video-extension": Bad(
        "video", ".txt", shutil.copyfile, r"unsupported video file extension '\.txt'"
    ),
    "video-wrong-ending": Bad("video", ".avi", shutil.copyfile, "the content is .*mp4.*, not avi"),
    "video-random": Bad("video", ".mp4", random_bytes, "not a readable media file"),
    "video-flat": Bad("video", ".mp4", video_of(GREY), "never changes"),
    "video-no-face": Bad("video", ".mp4", video_of(WALL), "no face"),
    "video-sound-only": Bad("video", ".mp4", sound_only, "no video stream"),
    "video-rate": Bad("video", ".mp4", shutil.copyfile, "25 Hz in the header, 60 Hz", rate_hz=60),
    "video-duplicate": Bad("video", ".mp4", shutil.copyfile, "duplicate of sub-01/ses-1/face"),
}


@dataclass(frozen=True)
class Outcome:
    """Output and tables of the catalog and ingest stages."""

    project: ProjectCopy
    printed: str
    catalog: dict[str, dict[str, object]]
    ingested: dict[str, dict[str, object]]
    problems: pl.DataFrame


@pytest.fixture(scope="module")
def outcome(make_project: Callable[[], ProjectCopy]) -> Outcome:
    project = make_project()
    write_mixed(project.folder / ROOT, project.folder / "truth")
    project.configure(root=ROOT)
    printed = project.run("consilience", "stage", "catalog").stdout
    for modality in FILES:
        printed += project.run("consilience", "stage", "ingest", modality).stdout
    data = project.folder / "data"
    catalog, ingested = (
        {
            str(row["recording"]): row
            for modality in FILES
            for row in read_table(data / name.format(modality), schema).iter_rows(named=True)
        }
        for name, schema in (
            ("catalog/recordings/{}.parquet", Recordings),
            ("signals/{}.frames/recordings.parquet", Ingested),
        )
    )
    problems = read_table(data / "catalog/problems.parquet", Problems)
    return Outcome(project, printed, catalog, ingested, problems)


def write_mixed(root: Path, truth: Path) -> None:
    """Write a small corpus with every bad recording added."""
    write_corpus(CORPUS, root, truth)
    (root / "bad").mkdir()
    with (root / "recordings.csv").open("a", newline="") as manifest:
        rows = csv.writer(manifest)
        for name, bad in BAD.items():
            good = root / "sub-01/ses-1" / FILES[bad.modality]
            bad.make(good, root / path_of(name))
            rate_hz = bad.rate_hz or RATES_HZ[bad.modality]
            rows.writerow([f"sub-{name}", session_of(name), bad.modality, path_of(name), rate_hz])
    with (root / "annotations.csv").open("a", newline="") as annotations:
        csv.writer(annotations).writerow(["nobody", "rater-1", "emotion", 1.0, 2.0, "happy", ""])
    shutil.copyfile(root / "sub-01/ses-1/voice.flac", root / "unlisted.flac")


def session_of(name: str) -> str:
    return f"zz-{name}"  # sorted after the valid ones, because the first of two duplicates is kept


def path_of(name: str) -> str:
    return f"bad/{name}{BAD[name].ending}"


@pytest.mark.parametrize("session", GOOD)
@pytest.mark.parametrize("modality", FILES)
def test_a_valid_recording_is_processed(outcome: Outcome, session: str, modality: str) -> None:
    recording = f"{session}_{modality}"
    assert outcome.catalog[recording]["status"] == "ok"
    assert outcome.ingested[recording]["status"] == "ok", outcome.ingested[recording]["reason"]
    with np.load(
        outcome.project.folder / f"data/signals/{modality}.frames/{recording}.npz"
    ) as arrays:
        assert np.isfinite(arrays["clean"]).any(axis=1).mean() > 0.9


@pytest.mark.parametrize("name", BAD)
def test_a_bad_recording_is_listed_with_file_and_cause(outcome: Outcome, name: str) -> None:
    bad = BAD[name]
    recording = f"{session_of(name)}_{bad.modality}"
    row = outcome.ingested[recording]
    assert row["status"] == bad.status
    assert re.search(bad.reason, str(row["reason"])), row["reason"]
    assert "\n" not in str(row["reason"])
    assert outcome.catalog[recording]["path"] == path_of(name)
    signals = outcome.project.folder / "data/signals" / f"{bad.modality}.frames"
    assert not (signals / f"{recording}.npz").exists()
    lines = [line for line in outcome.printed.splitlines() if re.search(bad.reason, line)]
    assert any(path_of(name) in line or recording in line for line in lines)


def test_every_recording_is_in_both_tables(outcome: Outcome) -> None:
    listed = {f"{session}_{modality}" for session in GOOD for modality in FILES}
    listed |= {f"{session_of(name)}_{bad.modality}" for name, bad in BAD.items()}
    assert set(outcome.catalog) == listed
    assert set(outcome.ingested) == listed


def test_annotations_without_a_recording_are_a_problem_and_left_out(outcome: Outcome) -> None:
    annotations = read_table(
        outcome.project.folder / "data/catalog/annotations.parquet", Annotations
    )
    assert set(annotations["session"]) == set(GOOD)
    problems = outcome.problems.filter(pl.col("what").str.contains("nobody"))
    assert problems["where"].to_list() == ["annotations"]


def test_an_unlisted_file_is_a_note(outcome: Outcome) -> None:
    assert outcome.problems.filter(pl.col("what").str.contains("unlisted")).is_empty()
    notes = demo.list(outcome.project.folder / ROOT).notes
    what = "1 recording is not listed and not used, such as unlisted.flac"
    assert ("recordings.csv", what) in notes


@pytest.mark.parametrize(
    ("parameter", "misspelt", "message"),
    [
        ("hop_s:", "hop_z:", "unknown parameter windows.hop_z; did you mean 'hop_s'"),
        ("flash_grey:", "flash_gray:", "video.flash_gray; did you mean 'flash_grey'"),
        ("  video:", "  vidio:", "unknown modality 'vidio' (did you mean 'video'"),
    ],
)
def test_a_misspelt_parameter_stops_the_run_in_one_line(
    outcome: Outcome, parameter: str, misspelt: str, message: str
) -> None:
    path = outcome.project.folder / "params.yaml"
    right = path.read_text()
    at = right.rindex(parameter)
    path.write_text(right[:at] + misspelt + right[at + len(parameter) :])
    try:  # the first stage of every run, which checks all parameters
        done = outcome.project.run("consilience", "stage", "code", check=False)
    finally:
        path.write_text(right)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_run_with_the_policy_fail_stops_at_problems(outcome: Outcome) -> None:
    path = outcome.project.folder / "params.yaml"
    right = path.read_text()
    path.write_text(right.replace("on_problem: quarantine", "on_problem: fail"))
    try:
        done = outcome.project.run("consilience", "stage", "catalog", check=False)
    finally:
        path.write_text(right)
    assert done.returncode == 1
    assert "problems, listed above" in done.stderr
    assert path_of("eeg-truncated") in done.stdout
