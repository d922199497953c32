"""Small good folders of every built-in dataset.

A dataset that is not here gives its own: `write_root(folder)` in tests/datasets/test_NAME.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from pipeline.seeds import generator

RATE_HZ = 16000


def write_voice(path: Path, duration_s: float = 2.0) -> None:
    """Write a buzz that no other path has."""
    rng = generator("voice", path.name)
    times_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    sound = 0.1 * ((times_s * rng.uniform(90, 250)) % 1 - 0.5) + 0.001 * rng.standard_normal(
        times_s.size
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, RATE_HZ)


def demo(folder: Path) -> Path:
    for session in ("sub-01_ses-1", "sub-02_ses-1"):
        write_voice(folder / f"{session}.wav")
    tables = {
        "recordings": "subject,session,modality,path,rate_hz\n"
        + "".join(f"{s[:6]},{s},audio,{s}.wav,16000\n" for s in ("sub-01_ses-1", "sub-02_ses-1")),
        "trials": "session,trial,start_s,end_s\nsub-01_ses-1,t1,0,2\nsub-02_ses-1,t1,0,2\n",
        "pulses": "session,time_s\nsub-01_ses-1,0.5\nsub-02_ses-1,0.5\n",
        "annotations": "session,annotator,target,start_s,end_s,label,value\n"
        "sub-01_ses-1,self,emotion,0,2,happy,\nsub-02_ses-1,rater-1,valence,0,2,,0.5\n",
    }
    for name, content in tables.items():
        (folder / f"{name}.csv").write_text(content)
    return folder


def of_folder(folder: Path) -> Path:
    demo(folder)
    (folder / "classes.txt").write_text("happy\nsad\n")
    return folder


def ravdess(folder: Path) -> Path:
    clips = [f"01-{emotion}-01-01-01-{actor}" for emotion in ("03", "05") for actor in ("01", "02")]
    for clip in clips:
        write_voice(folder / f"Actor_{clip[-2:]}" / f"03-{clip}.wav")
    rows = [f"{clip},{0.1 * n:.1f},{0.2 * n:.1f}" for n, clip in enumerate(clips)]
    table = "\n".join(["clip,AU01_r,AU12_r", *rows]) + "\n"
    (folder / "openface_au35_clipmean.csv").write_text(table)
    return folder


ROOTS: dict[str, Callable[[Path], Path]] = {"demo": demo, "folder": of_folder, "ravdess": ravdess}
