"""More than 130 hostile files among valid ones: each is listed, the valid are processed."""

from __future__ import annotations

import csv
import json
import os
import resource
import runpy
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edfio
import pytest
import scipy.io
import soundfile

from consilience import params
from consilience.core.seeds import generator
from consilience.datasets.eav import LAYOUT
from consilience.schema.params.synthesis import SynthesisParams
from consilience.schema.tables import Ingested, Recordings, read_table
from consilience.synthesis.corpus import write_corpus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parent.parent
HOSTILE = runpy.run_path(str(Path(__file__).parent / "hostile.py"))
FILES, NAMES, SESSION = HOSTILE["FILES"], HOSTILE["NAMES"], HOSTILE["SESSION"]
CORPUS = SynthesisParams(
    subjects=2, sessions=1, trials=1, trial_s=3, missing_fraction=0, faulty_fraction=0
)
# Folders of the valid recordings: spaces, other scripts, and deep nesting.
FOLDERS = {"sub-01": "sub 01 ü 音/été", "sub-02": "/".join("d" * 60)}
MODALITIES = ("eeg", "audio", "video", "face_au")
LIMIT_S = 10  # to open a file: about a hundred times the slowest valid one
INGEST_LIMIT_S = 300  # to ingest a file on a busy machine
MAX_CPU_S = 400  # in total
MAX_KB = 2_000_000  # memory of the largest process
# Damage that no reader can detect, or none: any status is accepted.
ANY_STATUS = {name for name in FILES if name.startswith("flipped")} | {
    *("truncated-1.mp3", "negative.edf", "itself.vhdr", "words.csv"),
    *("truncated-1.avi", "truncated-1.mkv"),
}


@dataclass(frozen=True)
class Outcome:
    """Results of check, catalog and ingest, with their processor time and memory."""

    outside: Path
    checked: dict[str, Any]
    catalog: dict[str, dict[str, Any]]
    ingested: dict[str, dict[str, Any]]
    processor_s: float
    largest_kb: int


def write_root(base: Path) -> Path:
    """Write the valid recordings, the hostile files, and a manifest of both."""
    root, outside = base / "root", base / "outside"
    outside.mkdir()
    write_corpus(CORPUS, root, base / "truth")
    rows = _move(root)
    examples = HOSTILE["ExampleFiles"](_examples(root, base, outside), outside)
    (root / "bad").mkdir()
    for name, bad in FILES.items():
        bad.make(examples, root / "bad" / bad.path)
        place = bad.path if bad.path[0] in "/.~" else f"bad/{bad.path}"
        rows.append([SESSION.format(name), "mallory", bad.modality, place, bad.item])
    for number, session in enumerate(NAMES):
        noise = generator("name", number).normal(0, 0.1, 16000)
        soundfile.write(root / f"bad/name-{number}.wav", noise, 16000)
        rows.append([session, "mallory", "audio", f"bad/name-{number}.wav", ""])
    (root / "good.csv").write_text("clip,AU01_r,AU12_r\nwanted,0.5,1.5\n")
    rows.append(["sub-01_ses-1", "sub-01", "face_au", "good.csv", "wanted"])
    with (root / "recordings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["session", "subject", "modality", "path", "item"], *rows])
    (root / "matlab.json").write_text(LAYOUT.model_dump_json())
    with (root / "annotations.csv").open("a") as file:  # a million invalid rows
        file.write("sub-01_ses-1,rater-1,emotion,5,4,happy,\n" * 10**6)
    return root


def _move(root: Path) -> list[list[str]]:
    """Move the valid recordings to folders with unusual names, and return their rows."""
    with (root / "recordings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        place = f"{FOLDERS[row['subject']]}/{Path(row['path']).name}"
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / row["path"]).rename(root / place)
        row["path"] = place
    return [
        [row[name] for name in ("session", "subject", "modality", "path")] + [""] for row in rows
    ]


def _examples(root: Path, base: Path, outside: Path) -> dict[str, Path]:
    """Return a valid recording of every format."""
    folder = root / FOLDERS["sub-01"]
    files = {
        ".edf": folder / "eeg.edf",
        ".flac": folder / "voice.flac",
        ".mp4": folder / "face.mp4",
    }
    files |= {ending: base / f"good{ending}" for ending in (".wav", ".mp3", ".bdf", ".mat", ".xdf")}
    files |= {ending: base / f"good{ending}" for ending in (".avi", ".mkv")}
    sound, rate_hz = soundfile.read(files[".flac"])
    for ending in (".wav", ".mp3"):
        soundfile.write(files[ending], sound, rate_hz)
    for ending in (".avi", ".mkv"):
        HOSTILE["video"](30)(None, files[ending])
    edfio.Bdf(
        [
            edfio.BdfSignal(
                signal.data,
                signal.sampling_frequency,
                label=signal.label,
                physical_dimension=signal.physical_dimension,
                physical_range=(-8000, 8000),
            )
            for signal in edfio.read_edf(files[".edf"]).signals
        ]
    ).write(files[".bdf"])
    scipy.io.savemat(files[".mat"], {"seg1": HOSTILE["CUBE"]})
    HOSTILE["valid_xdf"](None, files[".xdf"])
    shutil.copyfile(files[".wav"], outside / "secret.wav")
    shutil.copyfile(files[".mp4"], outside / "secret.mp4")
    return files


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    base, folder = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("run")
    root = write_root(base)
    (folder / "params.yaml").write_text(params.document(params.defaults("folder", str(root))))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = base / "report.json"
    check = "from consilience.cli import main; main()"
    arguments = ["check", str(root), "--dataset", "folder", "--json", str(report)]
    bounded(folder, "-c", check, *arguments)
    bounded(folder, "-m", "consilience", "stage", "catalog")
    for modality in MODALITIES:
        bounded(folder, "-m", "consilience", "stage", "ingest", modality)
    data = folder / "data"
    catalog, ingested = {}, {}
    for modality in MODALITIES:
        table = read_table(data / f"catalog/recordings/{modality}.parquet", Recordings)
        catalog |= {row["recording"]: row for row in table.iter_rows(named=True)}
        path = data / f"signals/{modality}.frames/recordings.parquet"
        if path.is_file():
            rows = read_table(path, Ingested).iter_rows(named=True)
            ingested |= {row["recording"]: row for row in rows}
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    checked = json.loads(report.read_text())
    return Outcome(base / "outside", checked, catalog, ingested, processor_s, used.ru_maxrss)


def bounded(folder: Path, *arguments: str) -> None:
    """Run Python in a folder; it must end in time and without a traceback."""
    limit_s = INGEST_LIMIT_S if "ingest" in arguments else LIMIT_S
    environment = {
        **os.environ,
        "CONSILIENCE_LIMIT_S": str(limit_s),
        "CONSILIENCE_WORKERS": "2",
        "PYTHONPATH": str(ROOT / "pipeline"),
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "Traceback" not in done.stderr, done.stderr[-4000:]


def recording_of(session: str, modality: str) -> str:
    from consilience.core.errors import one_line

    return one_line(f"{session}_{modality}")


def test_there_are_more_than_130_hostile_inputs():
    assert len(FILES) + len(NAMES) > 130


@pytest.mark.parametrize("name", [name for name in FILES if name not in ANY_STATUS])
def test_a_hostile_file_is_listed_with_a_reason(outcome: Outcome, name: str) -> None:
    recording = recording_of(SESSION.format(name), FILES[name].modality)
    row = outcome.ingested.get(recording) or outcome.catalog[recording]
    assert row["status"] in ("quarantined", "missing"), row
    assert row["reason"]
    assert "\n" not in row["reason"]
    status = {row["recording"]: row["status"] for row in outcome.checked["recordings"]}
    assert status[recording] == outcome.catalog[recording]["status"]


@pytest.mark.parametrize("name", sorted(ANY_STATUS))
def test_a_file_with_undetectable_damage_is_listed(outcome: Outcome, name: str) -> None:
    recording = recording_of(SESSION.format(name), FILES[name].modality)
    row = outcome.ingested.get(recording) or outcome.catalog[recording]
    assert row["status"] == "ok" or row["reason"]


@pytest.mark.parametrize("session", NAMES)
def test_an_unsafe_session_name_is_quarantined(outcome: Outcome, session: str) -> None:
    row = outcome.catalog[recording_of(session, "audio")]
    assert row["status"] == "quarantined"
    assert "name" in row["reason"]


@pytest.mark.parametrize("session", ["sub-01_ses-1", "sub-02_ses-1"])
@pytest.mark.parametrize("modality", ["eeg", "audio", "video"])
def test_a_valid_recording_is_processed(outcome: Outcome, session: str, modality: str) -> None:
    row = outcome.ingested[f"{session}_{modality}"]
    assert row["status"] == "ok", row["reason"]


def test_a_pipe_is_not_opened(outcome: Outcome) -> None:
    row = outcome.catalog[recording_of(SESSION.format("pipe.vhdr"), "eeg")]
    assert "is a pipe or device, not a file" in row["reason"]


def test_no_content_is_executed_and_nothing_is_written_elsewhere(outcome: Outcome) -> None:
    names = {path.name for path in outcome.outside.parent.iterdir()}
    assert not {name for name in names if "escape" in name}
    assert {path.name for path in outcome.outside.iterdir()} == {"secret.wav", "secret.mp4"}


def test_a_million_bad_rows_are_counted(outcome: Outcome) -> None:
    rows = [row for row in outcome.checked["problems"] if row["where"] == "annotations.csv"]
    assert any("999980 more such rows" in row["what"] for row in rows)
    assert outcome.checked["annotations"]["rows"] > 0


def test_time_and_memory_are_bounded(outcome: Outcome) -> None:
    assert outcome.largest_kb < MAX_KB
    assert outcome.processor_s < MAX_CPU_S
