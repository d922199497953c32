"""Peak memory of reading one recording, its features and noise, by its duration.

``python -m benchmarks.speed.memory [MINUTES ...]`` writes recordings of 10 minutes, 1 hour and 4
hours and processes each in two processes of its own:

- *noise*: `Modality.read`, `Modality.features` and `Modality.corrupted_features` of noise at five
  severities;
- *ingest*: what a worker of stage ingest computes and writes for a recording, findings included.

``python -m benchmarks.speed.memory child WHAT MODALITY PATH`` is such a process; it prints its
largest resident set in bytes (VmHWM).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import soundfile

from benchmarks.speed.memory_video import write_video
from benchmarks.speed.session import SOUND_HZ, write_eeg, write_sound
from consilience.core import registry
from consilience.core.store import Store
from consilience.core.workers import one_numerical_thread
from consilience.ingest import features

MINUTES = (10, 60, 240)
BLOCK_S = 60  # of the recordings: a minute is written again and again
N_RECORDS_AT, N_RECORDS_SIZE = 236, 8  # the number of records in the header of an EDF file


def write_long_eeg(path: Path, minutes: int) -> None:
    """Write 30 channels at 500 Hz as EDF."""
    write_eeg(path, BLOCK_S)
    content = path.read_bytes()
    n_header = int(content[184:192])  # bytes
    header, records = bytearray(content[:n_header]), content[n_header:]
    n_records = f"{minutes * BLOCK_S:<{N_RECORDS_SIZE}d}".encode()
    header[N_RECORDS_AT : N_RECORDS_AT + N_RECORDS_SIZE] = n_records
    with path.open("wb") as file:
        file.write(header)
        for _ in range(minutes):
            file.write(records)


def write_long_sound(path: Path, minutes: int) -> None:
    """Write a voice at 44.1 kHz as WAV."""
    write_sound(path, BLOCK_S)
    block, _ = soundfile.read(path, dtype="int16")
    with soundfile.SoundFile(path, "w", SOUND_HZ, 1, "PCM_16") as file:
        for _ in range(minutes):
            file.write(block)


# Function that writes a recording of some minutes, and the ending of its name, by modality.
RECORDINGS: dict[str, tuple[Callable[[Path, int], None], str]] = {
    "eeg": (write_long_eeg, ".edf"),
    "audio": (write_long_sound, ".wav"),
    "video": (write_video, ".mp4"),
}


def compute_noise(modality: str, path: Path) -> None:
    """Read a recording and compute its features and those of noise."""
    sensor = registry.get("modalities", modality)
    params = registry.params("modalities", modality)()
    signal = sensor.read(path, None, params)
    clean = sensor.features(signal, params)
    for _ in sensor.corrupted_features(signal, clean, "noise", params, "benchmark"):
        pass


def ingest(modality: str, path: Path) -> None:
    """Compute and write what stage ingest keeps of a recording."""
    row = {"recording": path.stem, "path": path.name, "item": None, "bad_channels": None}
    params = registry.params("modalities", modality)()
    arrays, outcome = features.compute(row, path.parent, modality, params)
    with tempfile.TemporaryDirectory() as folder:
        Store(Path(folder)).save("key", outcome, arrays)


WORK = {"noise": compute_noise, "ingest": ingest}


def peak_bytes() -> int:
    """Return the largest resident set of this process so far."""
    status = Path("/proc/self/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None
    return 1024 * int(match[1])


def measure(what: str, modality: str, path: Path) -> int:
    """Return the largest resident set in bytes of a process for one recording."""
    command = (sys.executable, "-m", "benchmarks.speed.memory", "child", what, modality, str(path))
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(result.stdout.split()[-1])


def main(minutes: Sequence[int] = MINUTES) -> None:
    """Print the peaks as rows of a Markdown table, and the ratio of the last to the first."""
    columns = ("", *(f"{number} min" for number in minutes), "last / first")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    with tempfile.TemporaryDirectory() as folder:
        for modality, (write, suffix) in RECORDINGS.items():
            peaks: dict[str, list[int]] = {what: [] for what in WORK}
            for number in minutes:
                path = Path(folder) / f"{modality}{suffix}"
                write(path, number)
                for what in WORK:
                    peaks[what].append(measure(what, modality, path))
                path.unlink()
            for what, values in peaks.items():
                cells = [f"{value / 1e6:.0f} MB" for value in values]
                ratio = values[-1] / values[0]
                print(f"| {modality}, {what} | {' | '.join(cells)} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["child"]:
        with one_numerical_thread():
            WORK[words[1]](words[2], Path(words[3]))
        print(peak_bytes())
    else:
        main([int(word) for word in words] or MINUTES)
