"""Invented results of a bench, and small corpora."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest

PEOPLE = ("ada", "ben", "cy", "dot")
CLASSES = ("calm", "angry")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Restore the handlers of signals, which a bench replaces."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write a folder with feature tables, recordings of a wristband, and notes."""
    folder = tmp_path / "data"
    for name in ("tables", "wristband", "notes", ".hidden"):
        (folder / name).mkdir(parents=True)
    _write_tables(folder / "tables")
    _write_recordings(folder / "wristband")
    (folder / "notes/readme.txt").write_text("not a corpus")
    return folder


def _write_tables(folder: Path) -> None:
    rng = np.random.default_rng(0)
    rows, ecg, face = ["clip,subject,label,order"], ["clip,rate,power"], ["clip,smile,frown"]
    for person in PEOPLE:
        for number in range(12):
            clip, label = f"{person}{number}", number % 2
            rows.append(f"{clip},{person},{CLASSES[label]},{number}")
            first, second = rng.normal(label, 0.5, (2, 2))
            ecg.append(f"{clip},{first[0]},{first[1]}")
            face.append(f"{clip},{second[0]},{second[1]}")
    for name, lines in (("clips", rows), ("ecg", ecg), ("face", face)):
        (folder / f"{name}.csv").write_text("\n".join(lines))


def _write_recordings(folder: Path) -> None:
    rng = np.random.default_rng(1)
    manifest = ["session,subject,modality,path"]
    trials = ["session,trial,start_s,end_s"]
    labels = ["session,annotator,target,start_s,end_s,label,value"]
    for person in PEOPLE:
        level = np.repeat([1.0, 3.0, 1.2, 2.8], 80) + rng.normal(0, 0.05, 320)
        signal = edfio.EdfSignal(level, 4, label="EDA", physical_dimension="uS")
        edfio.Edf([signal]).write(folder / f"{person}.edf")
        manifest.append(f"{person},{person},gsr,{person}.edf")
        for number in range(4):
            times = f"{20 * number},{20 * number + 20}"
            trials.append(f"{person},t{number},{times}")
            labels.append(f"{person},rater,emotion,{times},{CLASSES[number % 2]},")
    tables = {"recordings": manifest, "trials": trials, "annotations": labels}
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines))


def record(**lead: float) -> dict[str, Any]:
    """Return what a bench keeps of an evaluated corpus with two methods."""
    values = {"all": 0.8, "all_low": 0.7, "all_high": 0.9, "grid": 0.6, "grid_low": 0.5}
    values |= {"grid_high": 0.7, "ece": 0.05, "ece_low": 0.04, "ece_high": 0.07, "noise": 0.55}
    return {
        "state": "evaluated",
        "settings": {"dataset": "features", "root": "tables"},
        "code": "1.0",
        "people": 12,
        "windows": 480,
        "sensors": ["ecg_features", "face_au"],
        "classes": ["calm", "angry"],
        "chance": 0.5,
        "reference": "coherence_transfer",
        "methods": {"coherence_transfer": values, "concat": {**values, "all": 0.75, "ece": 0.1}},
        "leads": {"concat": lead or {"all": 0.05, "all_low": 0.01, "all_high": 0.09}},
    }


@pytest.fixture
def content() -> dict[str, Any]:
    """Return the content of ``bench.json``: two evaluated corpora, a failed and an open one."""
    other = {"settings": {"dataset": "eav", "root": "eav"}}
    behind = {"all": -0.05, "all_low": -0.09, "all_high": -0.01}
    return {
        "code": "1.0 (abc)",
        "methods": ["coherence_transfer", "concat"],
        "corpora": {
            "tables": record(),
            "wristband": record(**behind) | {"chance": 0.25},
            "eav": other | {"state": "failed", "reason": "ingest@eeg: <all> files are damaged"},
            "deap": other | {"state": "not run yet"},
        },
        "left_out": {"notes": "not the layout of any <dataset>"},
    }
