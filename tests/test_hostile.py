"""More than a hundred hostile files among good ones: each is listed, the good are processed."""

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
# Where the good recordings are put: names with spaces, other scripts, and many folders.
PLACES = {"sub-01": "sub 01 ü 音/été", "sub-02": "/".join("d" * 60)}
MODALITIES = ("eeg", "audio", "video", "face_au")
LIMIT_S = 10  # to open a file: some hundred times what the slowest takes
INGEST_LIMIT_S = 300  # to ingest one, on however busy a machine
MOST_S = 400  # of processor time, all in all
MOST_KB = 2_000_000  # of memory, of the largest process
# These are damaged where no reader can tell, or not at all: what comes of them is their own affair.
TOLERATED = {name for name in FILES if name.startswith("flipped")} | {
    *("truncated-1.mp3", "negative.edf", "itself.vhdr", "words.csv"),
    *("truncated-1.avi", "truncated-1.mkv"),
}


@dataclass(frozen=True)
class Outcome:
    """What check, catalog and ingests said, and how long and how much it took."""

    outside: Path
    checked: dict[str, Any]
    catalog: dict[str, dict[str, Any]]
    ingested: dict[str, dict[str, Any]]
    processor_s: float
    largest_kb: int


def write_root(base: Path) -> Path:
    """Write the good recordings, all that is hostile, and a manifest of both."""
    root, outside = base / "root", base / "outside"
    outside.mkdir()
    write_corpus(CORPUS, root, base / "truth")
    rows = _move(root)
    goods = HOSTILE["Goods"](_spoilable(root, base, outside), outside)
    (root / "bad").mkdir()
    for name, bad in FILES.items():
        bad.make(goods, root / "bad" / bad.path)
        place = bad.path if bad.path[0] in "/.~" else f"bad/{bad.path}"
        rows.append([SESSION.format(name), "mallory", bad.modality, place, bad.item])
    for number, session in enumerate(NAMES):
        noise = generator("name", number).normal(0, 0.1, 16000)
        soundfile.write(root / f"bad/name-{number}.wav", noise, 16000)
        rows.append([session, "mallory", "audio", f"bad/name-{number}.wav", ""])
    with (root / "recordings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["session", "subject", "modality", "path", "item"], *rows])
    (root / "matlab.json").write_text(LAYOUT.model_dump_json())
    with (root / "annotations.csv").open("a") as file:  # a million rows of nonsense
        file.write("sub-01_ses-1,rater-1,emotion,5,4,happy,\n" * 10**6)
    return root


def _move(root: Path) -> list[list[str]]:
    """Put the good recordings where their names are unusual, and return their rows."""
    with (root / "recordings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        place = f"{PLACES[row['subject']]}/{Path(row['path']).name}"
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / row["path"]).rename(root / place)
        row["path"] = place
    return [
        [row[name] for name in ("session", "subject", "modality", "path")] + [""] for row in rows
    ]


def _spoilable(root: Path, base: Path, outside: Path) -> dict[str, Path]:
    """Return a good recording of every kind."""
    own = root / PLACES["sub-01"]
    files = {".edf": own / "eeg.edf", ".flac": own / "voice.flac", ".mp4": own / "face.mp4"}
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
    HOSTILE["good_xdf"](None, files[".xdf"])
    shutil.copyfile(files[".wav"], outside / "secret.wav")
    shutil.copyfile(files[".mp4"], outside / "secret.mp4")
    return files


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    base, folder = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("run")
    root = write_root(base)
    (folder / "params.yaml").write_text(params.document(params.defaults("folder", str(root))))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = base / "found.json"
    check = "from consilience.cli import main; main()"
    words = ["check", str(root), "--dataset", "folder", "--json", str(report)]
    bounded(folder, "-c", check, *words)
    bounded(folder, "-m", "consilience.stages.catalog")
    for modality in MODALITIES:
        done = bounded(
            folder, "-m", "consilience.stages.ingest", modality, check=modality != "face_au"
        )
    assert "Traceback" not in done.stderr
    data = folder / "data"
    catalog, ingested = {}, {}
    for modality in MODALITIES:
        table = read_table(data / f"catalog/recordings/{modality}.parquet", Recordings)
        catalog |= {row["recording"]: row for row in table.iter_rows(named=True)}
        path = data / f"signals/{modality}/recordings.parquet"
        if path.is_file():
            rows = read_table(path, Ingested).iter_rows(named=True)
            ingested |= {row["recording"]: row for row in rows}
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    found = json.loads(report.read_text())
    return Outcome(base / "outside", found, catalog, ingested, processor_s, used.ru_maxrss)


def bounded(folder: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder; it must end, without a traceback."""
    limit_s = INGEST_LIMIT_S if "consilience.stages.ingest" in words else LIMIT_S
    environment = {
        **os.environ,
        "CONSILIENCE_LIMIT_S": str(limit_s),
        "CONSILIENCE_WORKERS": "2",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=580,
    )
    assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "Traceback" not in done.stderr, done.stderr[-4000:]
    return done


def recording_of(session: str, modality: str) -> str:
    from consilience.core.errors import one_line

    return one_line(f"{session}_{modality}")


def test_there_are_more_than_a_hundred():
    assert len(FILES) + len(NAMES) > 130


@pytest.mark.parametrize("name", [name for name in FILES if name not in TOLERATED])
def test_a_hostile_file_is_listed_with_a_reason(outcome: Outcome, name: str) -> None:
    recording = recording_of(SESSION.format(name), FILES[name].modality)
    row = outcome.ingested.get(recording) or outcome.catalog[recording]
    assert row["status"] in ("quarantined", "missing"), row
    assert row["reason"]
    assert "\n" not in row["reason"]
    known = {row["recording"]: row["status"] for row in outcome.checked["recordings"]}
    assert known[recording] == outcome.catalog[recording]["status"]


@pytest.mark.parametrize("name", sorted(TOLERATED))
def test_what_no_reader_can_tell_is_at_least_accounted_for(outcome: Outcome, name: str) -> None:
    recording = recording_of(SESSION.format(name), FILES[name].modality)
    row = outcome.ingested.get(recording) or outcome.catalog[recording]
    assert row["status"] == "ok" or row["reason"]


@pytest.mark.parametrize("session", NAMES)
def test_a_session_name_that_leads_elsewhere_is_refused(outcome: Outcome, session: str) -> None:
    row = outcome.catalog[recording_of(session, "audio")]
    assert row["status"] == "quarantined"
    assert "name" in row["reason"]


@pytest.mark.parametrize("session", ["sub-01_ses-1", "sub-02_ses-1"])
@pytest.mark.parametrize("modality", ["eeg", "audio", "video"])
def test_a_good_recording_is_processed(outcome: Outcome, session: str, modality: str) -> None:
    row = outcome.ingested[f"{session}_{modality}"]
    assert row["status"] == "ok", row["reason"]


def test_the_one_that_waits_for_ever_is_told_as_such(outcome: Outcome) -> None:
    row = outcome.catalog[recording_of(SESSION.format("pipe.vhdr"), "eeg")]
    assert f"not done after {LIMIT_S} s" in row["reason"]


def test_nothing_was_run_and_nothing_written_elsewhere(outcome: Outcome) -> None:
    left = {path.name for path in outcome.outside.parent.iterdir()}
    assert not {name for name in left if "escape" in name}
    assert {path.name for path in outcome.outside.iterdir()} == {"secret.wav", "secret.mp4"}


def test_a_million_bad_rows_are_counted(outcome: Outcome) -> None:
    told = [row for row in outcome.checked["problems"] if row["where"] == "annotations.csv"]
    assert any("999980 more such rows" in row["what"] for row in told)
    assert outcome.checked["annotations"]["rows"] > 0


def test_time_and_memory_are_bounded(outcome: Outcome) -> None:
    assert outcome.largest_kb < MOST_KB
    assert outcome.processor_s < MOST_S
