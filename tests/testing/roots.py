"""Small good folders of every built-in dataset.

A dataset that is not listed provides `write_root(folder)` in tests/datasets/test_NAME.py.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import edfio
import numpy as np
import soundfile

from consilience.core.seeds import generator

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


def written(name: str) -> dict[str, Any]:
    """Return the names of the dataset's test test, which write its files."""
    return runpy.run_path(str(Path(__file__).parents[1] / f"datasets/test_{name}.py"))


def write_face(path: Path) -> None:
    """Write a second of a moving edge."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for number in range(25):
            picture = np.full((96, 128), 60, np.uint8)
            picture[:, number * 4 : number * 4 + 20 + len(path.stem)] = 200
            frame = av.VideoFrame.from_ndarray(picture, format="gray")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))


def play(root: Path) -> Path:
    """Fill empty sounds and videos with real ones."""
    for path in sorted(root.rglob("*")):
        if path.suffix in (".wav", ".mp4", ".avi") and not path.stat().st_size:
            (write_voice if path.suffix == ".wav" else write_face)(path)
    return root


def bids(folder: Path) -> Path:
    test = written("bids")
    test["eeg"](folder / f"{test['RUN']}_eeg.edf")
    test["put"](folder, f"{test['RUN']}_events.tsv", test["EVENTS"])
    for name in ("audio.wav", "video.mp4"):
        test["put"](folder, f"sub-01/ses-1/beh/sub-01_ses-1_task-film_run-01_{name}")
    return play(folder)


def crema_d(folder: Path) -> Path:
    test = written("crema_d")
    return play(test["put"](folder, "AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1002_DFA_SAD_XX.wav"))


def dasps(folder: Path) -> Path:
    names = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
    table = ["file,subject,situation,phase,onset_s,duration_s,valence,arousal,match_r"]
    for number in (1, 2):
        rng, n_samples = generator("dasps", number), 128 * 32
        signals = [
            edfio.EdfSignal(rng.normal(0, 20, n_samples), 128, label=name, physical_dimension="uV")
            for name in names
        ]
        counter = np.arange(n_samples) % 129
        signals.append(
            edfio.EdfSignal.from_digital(
                counter.astype(np.int16),
                128,
                label="COUNTER",
                physical_range=(-32768, 32767),
                digital_range=(-32768, 32767),
            )
        )
        edfio.Edf(signals).write(folder / f"S0{number}.edf")
        for phase, onset_s in (("recitation", 0), ("recall", 15)):
            table.append(f"S0{number}.edf,S0{number},1,{phase},{onset_s},15,1,{4 * number},0.9")
    (folder / "events.csv").write_text("\n".join(table) + "\n")
    return folder


def deap(folder: Path) -> Path:
    test = written("deap")
    test["bdf"].__globals__["RATE_HZ"] = 512  # as the real files have
    test["bdf"](folder / "data_original/s01.bdf", test["status"]())
    test["ratings"](folder, 1)
    return folder


def eav(folder: Path) -> Path:
    written("eav")["subject"](folder)
    return play(folder)


def mahnob_hci(folder: Path) -> Path:
    written("mahnob_hci")["session"](folder)
    return play(folder)


def xdf(folder: Path) -> Path:
    test = runpy.run_path(str(Path(__file__).parents[1] / "conftest.py"))
    times_s = np.arange(600) / 100
    for name in ("P001", "P002"):
        wave = np.sin(times_s * 7 + len(name))
        test["write_xdf_file"](
            folder / f"sub-{name}_ses-S001_task-film_run-001_eeg.xdf",
            test["XdfStream"]("Muse", "EEG", 100, wave, 50 + times_s, ("Cz",), offsets=((50, 7),)),
            test["XdfStream"]("Said", "Markers", 0, ["emotion=calm"], [51.0], offsets=((50, 7),)),
            test["XdfStream"]("Sync", "Markers", 0, ["1", "2"], [52.0, 53.0], offsets=((50, 7),)),
        )
    (folder / "classes.txt").write_text("calm\nangry\n")
    return folder


ROOTS: dict[str, Callable[[Path], Path]] = {
    "bids": bids,
    "crema_d": crema_d,
    "dasps": dasps,
    "deap": deap,
    "demo": demo,
    "eav": eav,
    "folder": of_folder,
    "mahnob_hci": mahnob_hci,
    "ravdess": ravdess,
    "xdf": xdf,
}
