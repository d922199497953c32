"""Replay recordings over the Lab Streaming Layer at true speed, and compare with offline scoring.

``python -m benchmarks.live.replay BUNDLE FOLDER`` sends ``eeg.edf``, ``voice.flac`` and
``face.mp4`` of a folder, repeated up to the duration, with a loss of 10 s of the last stream.
Windows are scored by the code of ``consilience live`` on one core, and compared with offline
scoring of three recordings: the samples that were received, with their times, as a program that
records the same streams stores them; the samples that were sent; and those without the loss.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pylsl
from numpy.typing import NDArray

from benchmarks.live.senders import Manner, Replayed, Sender, read, start
from consilience.alignment.clock import Clock
from consilience.evaluation.predict import LoadedModel, load_bundle
from consilience.live.engine import Answer, Engine
from consilience.live.run import LiveSession, LiveSettings, run_session
from consilience.live.score import Scored, Scorer
from consilience.live.sensors import Sensor, StreamHeader
from consilience.live.streams import load_lsl
from consilience.modalities.video import Video
from consilience.readers.stream import without_jitter
from consilience.windows.cutting import Frames

FILES = {"eeg": "eeg.edf", "audio": "voice.flac", "video": "face.mp4"}
TOLERANCE = 1e-3  # of probabilities
START_S = 20.0  # for the connections, on a busy computer too
MEBI = 2**20

Array = NDArray[np.float64]


class RecordingEngine(Engine):
    """An engine that keeps all samples that it receives."""

    def __init__(self, scorer: Scorer, now_s: Callable[[], float]) -> None:
        super().__init__(scorer, now_s, revise=True)
        self.chunks: dict[str, list[tuple[NDArray[Any], Array]]] = {}

    def receive(self, kind: str, values: NDArray[Any], times_s: Array) -> None:
        """Append samples, shape (n, n_channels), at session times (n,)."""
        self.chunks.setdefault(kind, []).append((values.copy(), times_s.copy()))
        super().receive(kind, values, times_s)

    def received(self, recordings: Mapping[str, Replayed]) -> dict[str, Replayed]:
        """Return what was received of some recordings."""
        joined = {
            kind: [np.concatenate(arrays) for arrays in zip(*chunks, strict=True)]
            for kind, chunks in self.chunks.items()
        }
        return {
            kind: replace(recordings[kind], values=values, times_s=times_s)
            for kind, (values, times_s) in joined.items()
        }


class Collected:
    """A view that keeps the answers."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def note(self, line: str) -> None:
        """Print a line."""
        print(f"  {line}", flush=True)

    def answer(self, answer: Answer, engine: Engine) -> None:
        """Keep an answer."""
        self.answers.append(answer)

    def close(self) -> None:
        """Do nothing."""


def repeated(recording: Replayed, duration_s: float) -> Replayed:
    """Return a recording, repeated without a pause up to a duration."""
    period_s = 1 / recording.rate_hz
    n_samples = round(duration_s * recording.rate_hz)
    rows = np.arange(n_samples) % len(recording.values)
    return replace(
        recording,
        values=recording.values[rows],
        times_s=period_s * np.arange(n_samples, dtype=float),
    )


def header_of(recording: Replayed) -> StreamHeader:
    """Return the description of a recording's stream."""
    n_channels = recording.values.shape[1]
    return StreamHeader(
        recording.name,
        recording.type,
        recording.name,
        recording.rate_hz,
        tuple(recording.channels) or tuple(str(n) for n in range(1, n_channels + 1)),
        tuple(recording.units) or ("",) * n_channels,
        recording.values.dtype.name,
        recording.picture_size,
    )


def recordings_of(
    scorer: Scorer, folder: Path, duration_s: float, *, face_features: bool
) -> dict[str, Replayed]:
    """Return the recordings to send by kind, with features in place of pictures if required."""
    recordings = {}
    for sensor in scorer.sensors:
        path = folder / FILES[sensor.kind]
        params: Any = sensor.cutter.params  # of the sensor's own class
        if face_features and isinstance(sensor.modality, Video):
            features = sensor.modality.features(sensor.modality.read(path, None, params), params)
            rate_hz = 1 / float(np.median(np.diff(features.times_s)))
            sent = Replayed(
                sensor.name, "Face", rate_hz, features.values, features.times_s, features.names
            )
        else:
            sent = read(sensor.kind, path, params, sensor.name)
        name = f"{sent.name}-{os.getpid()}"
        recordings[sensor.kind] = repeated(replace(sent, name=name), duration_s)
    return recordings


def without(recording: Replayed, lost_s: tuple[float, float]) -> Replayed:
    """Return a recording without a stretch."""
    sent = (recording.times_s < lost_s[0]) | (recording.times_s >= lost_s[1])
    return replace(recording, values=recording.values[sent], times_s=recording.times_s[sent])


def offline(model: LoadedModel, recordings: Mapping[str, Replayed], n_windows: int) -> list[Scored]:
    """Return the predictions of the windows from whole recordings."""
    scorer = Scorer(model)
    recorded = {
        sensor.name: frames_of(sensor, recordings[sensor.kind])
        for sensor in scorer.sensors
        if sensor.kind in recordings
    }
    scored = []
    for number in range(n_windows):
        scored.append(scorer.score(number, recorded))
        scorer.settle(number)
    return scored


def frames_of(sensor: Sensor, recording: Replayed) -> Frames:
    """Return the feature frames of a whole recording."""
    header = header_of(recording)
    if sensor.reads_features(header):
        times_s = without_jitter(recording.times_s, header.rate_hz, header.can_drop_samples)
        return Frames(recording.values.astype(np.float32), times_s, Clock())
    samples = header.recording(recording.values, recording.times_s)
    signal = sensor.modality.stream_signal(samples, sensor.cutter.params)
    features = sensor.modality.features(signal, sensor.cutter.params)
    return Frames(features.values, features.times_s, Clock())


def equality(model: LoadedModel, answers: list[Answer], whole: list[Scored]) -> tuple[float, float]:
    """Return the shares of windows of the same class, and of probabilities within `TOLERANCE`."""
    names = [f"p_{name}" for name in model.card["classes"]]
    same, within = [], []
    for answer in answers:
        row = whole[answer.number].row
        same.append(answer.row["predicted"] == row["predicted"])
        apart = max(abs(answer.row[name] - row[name]) for name in names)
        within.append(apart <= TOLERANCE)
    return float(np.mean(same)), float(np.mean(within))


def report(
    model: LoadedModel,
    answers: list[Answer],
    references: Mapping[str, list[Scored]],
    lost: Mapping[str, tuple[float, float]],
    expected: int,
) -> None:
    """Print latencies, windows without a sensor, and the equality with offline scoring."""
    first = [answer for answer in answers if not answer.revised]
    revised = [answer for answer in answers if answer.revised]
    print(f"windows scored: {len(first)} of {expected}")
    for name, values in (
        ("from window end to answer", [answer.latency_s for answer in first]),
        ("processor time of an answer", [answer.cpu_s for answer in first]),
    ):
        milliseconds = 1e3 * np.percentile(values, [50, 99, 100])
        print("{}: median {:.0f} ms, p99 {:.0f} ms, largest {:.0f} ms".format(name, *milliseconds))
    sent = references["sent"]
    for sensor in first[0].available:
        missing = [answer.number for answer in first if not answer.available[sensor]]
        further = [number for number in missing if sent[number].available[sensor]]
        mark = ", lost from {:g} to {:g} s".format(*lost[sensor]) if sensor in lost else ""
        print(
            f"windows without {sensor}{mark}: {len(missing)}, of which {len(further)} have enough "
            "of the frames that were sent"
        )
    for reference, whole in references.items():
        for name, of in (("first answers", first), ("revised answers", revised)):
            if of:
                same, within = equality(model, of, whole)
                print(
                    f"{name}, offline from the samples {reference}: {100 * same:.1f} % of the same "
                    f"class, {100 * within:.1f} % of probabilities within {TOLERANCE:g}"
                )


def replay(
    model: LoadedModel, folder: Path, duration_s: float, lost_s: float, *, face_features: bool
) -> None:
    """Replay three streams at true speed, and print the comparison."""
    load_lsl()
    scorer = Scorer(model)
    recordings = recordings_of(scorer, folder, duration_s, face_features=face_features)
    lost_kind = list(recordings)[-1]
    middle_s = duration_s / 2
    lost = {lost_kind: (middle_s, middle_s + lost_s)} if lost_s else {}
    origin_s = pylsl.local_clock() + START_S
    senders = [
        Sender(recording, Manner(losses_s=(lost[kind],) if kind in lost else ()))
        for kind, recording in recordings.items()
    ]
    named = {kind: recording.name for kind, recording in recordings.items()}
    view = Collected()
    threads = start(senders, origin_s, duration_s)
    settings = LiveSettings(named, duration_s, revise=True, origin_s=origin_s)
    session = LiveSession(model, settings, view)
    engine = RecordingEngine(session.engine.scorer, session.now_s)
    session.engine = engine
    run_session(session)
    for thread in threads:
        thread.join()
    expected = int((duration_s - scorer.length_s) / scorer.hop_s + 1e-9) + 1
    sent = {
        kind: without(recording, lost[kind]) if kind in lost else recording
        for kind, recording in recordings.items()
    }
    compared = {"received": engine.received(recordings), "sent": sent}
    if lost:
        compared["without the loss"] = recordings
    references = {name: offline(model, samples, expected) for name, samples in compared.items()}
    report(model, view.answers, references, lost, expected)


def accelerated(
    model: LoadedModel, folder: Path, duration_s: float, *, face_features: bool
) -> None:
    """Hand recordings to the engine as fast as it takes them, and print the memory over time."""
    time_s = 0.0
    scorer = Scorer(model)
    engine = Engine(scorer, lambda: time_s, revise=True)
    length_s = min(duration_s, 60.0)
    recordings = recordings_of(scorer, folder, length_s, face_features=face_features)
    for kind, recording in recordings.items():
        engine.attach(kind, header_of(recording))
    sizes: list[float] = []
    while time_s < duration_s:
        until_s = time_s + 0.5
        for kind, recording in recordings.items():
            # Half a second lies within one repetition, because its length is a multiple.
            begin_s = time_s % length_s
            rows = slice(
                *np.searchsorted(recording.times_s, [begin_s - 1e-9, begin_s + 0.5 - 1e-9])
            )
            engine.receive(kind, recording.values[rows], recording.times_s[rows] - begin_s + time_s)
        time_s = until_s
        engine.step()
        if time_s % (duration_s / 12) < 0.5:
            sizes.append(psutil.Process().memory_info().rss / MEBI)
    third = len(sizes) // 3
    print(
        f"memory over {duration_s:g} s of accelerated replay, in MiB: "
        f"{', '.join(f'{size:.0f}' for size in sizes)}; from the second third to the last "
        f"{np.mean(sizes[-third:]) - np.mean(sizes[third : 2 * third]):+.1f}"
    )


def main() -> None:
    """Run the replay of the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--lost", type=float, default=10.0, help="seconds; 0: none")
    parser.add_argument("--accelerated", type=float, default=0.0, help="seconds instead")
    parser.add_argument("--face-features", action="store_true", help="instead of pictures")
    options = parser.parse_args()
    model = load_bundle(options.bundle)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if options.accelerated:
        accelerated(model, options.folder, options.accelerated, face_features=options.face_features)
        return
    replay(
        model,
        options.folder,
        options.seconds,
        options.lost,
        face_features=options.face_features,
    )


if __name__ == "__main__":
    main()
