"""Peak memory of the face: ``python -m benchmarks.speed.memory_video [MINUTES ...]``.

For each duration a process reads a recording, computes its features and those of noise, and prints
the largest resident set of memory after each step.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import av

from benchmarks.speed.child import run
from consilience.core import registry
from consilience.core.workers import one_numerical_thread
from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis.face import RATE_HZ, write_face
from consilience.synthesis.plan import sessions

MINUTES = (10.0, 60.0, 240.0)


def write_video(path: Path, minutes: float) -> None:
    """Write a video of a simulated face, whose encoded pictures are repeated up to a duration."""
    segment = path.with_name("segment.mp4")
    params = SynthesisParams(subjects=1, sessions=1, missing_fraction=0, faulty_fraction=0)
    write_face(sessions(params)[0], segment)
    n_frames = 0
    with av.open(str(path), "w") as target:
        while n_frames < minutes * 60 * RATE_HZ:
            with av.open(str(segment)) as source:
                track: Any = source.streams.video[0]
                if not n_frames:
                    copied = target.add_stream_from_template(track)
                frame = round(1 / (RATE_HZ * track.time_base))
                start = n_frames * frame
                for packet in source.demux(track):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.dts, packet.pts = packet.dts + start, packet.pts + start
                    packet.stream = copied
                    target.mux(packet)
                n_frames += track.frames
    segment.unlink()


def measure(path: Path) -> None:
    """Print the peak of this process in megabytes after reading, features and noise."""
    sensor = registry.get("modalities", "video")
    params = registry.params("modalities", "video")()
    with one_numerical_thread():
        signal = sensor.read(path, None, params)
        peaks = [_peak_mb()]
        features = sensor.features(signal, params)
        peaks.append(_peak_mb())
        for _ in sensor.corrupted_features(signal, features, "noise", params, "benchmark"):
            pass
        peaks.append(_peak_mb())
    print(*(f"{peak:.0f}" for peak in peaks))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(minutes: tuple[float, ...] = MINUTES) -> None:
    """Print a row of a Markdown table for each duration."""
    print("| minutes | read MB | features MB | noise MB |\n|---|---|---|---|")
    for duration in minutes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "face.mp4"
            write_video(path, duration)
            command = [sys.executable, "-m", "benchmarks.speed.memory_video", str(path)]
            ended = run(command, Path.cwd())
        print(f"| {duration:g} | {' | '.join(ended.printed.split())} |", flush=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    if words and Path(words[0]).is_file():
        measure(Path(words[0]))
    else:
        main(tuple(float(word) for word in words) or MINUTES)
