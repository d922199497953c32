"""Real streams of the Lab Streaming Layer on loopback."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pylsl = pytest.importorskip("pylsl", reason="the extra 'live' is not installed")

from benchmarks.live.senders import Manner, Replayed, Sender, start  # noqa: E402
from consilience.cli.commands import app  # noqa: E402
from consilience.core.errors import ConsilienceError  # noqa: E402
from consilience.evaluation.predict import LoadedModel  # noqa: E402
from consilience.live import streams  # noqa: E402
from consilience.live.engine import Answer, Engine  # noqa: E402
from consilience.live.outlet import channels_of  # noqa: E402
from consilience.live.run import LiveSettings, parse_streams, run  # noqa: E402
from consilience.live.streams import Streams, header_of, is_of_kind  # noqa: E402
from tests.live.conftest import CLASSES, HOP_S, LENGTH_S, face, skin  # noqa: E402
from tests.live.test_engine import offline, probabilities  # noqa: E402


class Kept:
    """A view that keeps what it is shown."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.answers: list[Answer] = []

    def note(self, line: str) -> None:
        self.notes.append(line)

    def answer(self, answer: Answer, engine: Engine) -> None:
        self.answers.append(answer)

    def close(self) -> None:
        pass


def replay(
    model: LoadedModel, senders: list[Sender], duration_s: float, **options: Any
) -> tuple[Kept, float]:
    """Score recordings sent at true speed; names of streams are those of this run alone."""
    view = Kept()
    origin_s = pylsl.local_clock() + 10.0  # until streams are found and connected
    named = {"gsr": "", "video": ""}
    for sender in senders:
        named[{"GSR": "gsr", "Face": "video"}[sender.replayed.type]] = sender.replayed.name
    settings = LiveSettings(
        {kind: name for kind, name in named.items() if name},
        duration_s,
        origin_s=origin_s,
        **options,
    )
    threads = start(senders, origin_s, duration_s)
    run(model, settings, view)
    for thread in threads:
        thread.join()
    return view, origin_s


def unique(recording: Replayed) -> Replayed:
    return replace(recording, name=f"{recording.name}-{time.time_ns()}")


@pytest.mark.slow
def test_streams_on_loopback_are_scored_as_offline_and_sent_on(model: LoadedModel) -> None:
    recordings = [unique(skin(12)), unique(face(12))]
    received: list[tuple[list[float], float]] = []
    outlet = f"predictions-{time.time_ns()}"
    done = threading.Event()

    def listen() -> None:
        (info,) = pylsl.resolve_byprop("name", outlet, timeout=10)
        inlet = pylsl.StreamInlet(info)
        while not done.is_set():
            sample, stamp_s = inlet.pull_sample(timeout=0.2)
            if sample:
                received.append((sample, stamp_s))

    listener = threading.Thread(target=listen)
    listener.start()
    manner = Manner(jitter_s=0.001)
    senders = [Sender(recording, manner) for recording in recordings]
    view, origin_s = replay(model, senders, 12.0, outlet=outlet)
    time.sleep(0.3)
    done.set()
    listener.join()
    assert [answer.number for answer in view.answers] == list(range(11))
    # Frames of the face depend on no sample outside the window: the numbers are those of offline.
    assert all(answer.available == {"gsr": True, "video": True} for answer in view.answers[2:])
    names = channels_of(CLASSES, ["gsr", "video"])
    assert len(received) >= len(view.answers) - 1
    sample, stamp_s = received[-1]
    last = dict(zip(names, sample, strict=True))
    row = view.answers[-1].row
    assert last["p_calm"] == pytest.approx(row["p_calm"])
    assert last["end_s"] == row["end_s"]
    assert stamp_s == pytest.approx(origin_s + row["end_s"])


@pytest.mark.slow
def test_features_of_a_stream_give_the_predictions_of_a_recording(model: LoadedModel) -> None:
    recording = unique(face(9))
    view, _ = replay(model, [Sender(recording)], 9.0)
    whole = offline(model, [face(9)], len(view.answers))
    assert len(view.answers) == 8
    for answer in view.answers:
        expected = probabilities(whole[answer.number])
        np.testing.assert_allclose(probabilities(answer.row), expected, atol=1e-3)


@pytest.mark.slow
def test_a_stream_may_start_late_stop_and_return(model: LoadedModel) -> None:
    late = Sender(unique(face(20)), Manner(delay_s=4.0, losses_s=((8.0, 13.0),)))
    view, _ = replay(model, [Sender(unique(skin(20))), late], 20.0)
    assert len(view.answers) == 19
    assert any("lost" in note for note in view.notes)
    has = {answer.number * HOP_S + LENGTH_S: answer.available["video"] for answer in view.answers}
    assert not has[3.0]
    assert has[8.0]
    assert not has[11.0]
    assert not has[13.0]
    assert has[18.0]
    assert all(answer.available["gsr"] for answer in view.answers[2:])


def test_a_missing_stream_is_an_error_of_one_line(model: LoadedModel) -> None:
    settings = LiveSettings({"gsr": "nobody"}, 1.0, wait_s=0.5)
    with pytest.raises(ConsilienceError, match=r"no stream of gsr, video within 0\.5 s") as raised:
        run(model, settings, Kept())
    assert "\n" not in str(raised.value)


def test_a_sensor_that_the_model_does_not_have_is_an_error(model: LoadedModel) -> None:
    with pytest.raises(ConsilienceError, match=r"the model has no sensor 'eeg' .*gsr, video"):
        run(model, LiveSettings({"eeg": "Amp"}), Kept())
    with pytest.raises(ConsilienceError, match="'eeg' does not name a stream"):
        parse_streams(["eeg"])
    assert parse_streams(["eeg=My Amp", "gsr=A=B"]) == {"eeg": "My Amp", "gsr": "A=B"}


def test_without_pylsl_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pylsl", None)
    with pytest.raises(ConsilienceError, match=r"pylsl is not installed .*consilience\[live\]"):
        streams.load_lsl()


def test_the_command_prints_json_lines(bundle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = unique(face(6))
    origin_s = pylsl.local_clock() + 2.0
    threads = start([Sender(recording)], origin_s, 6.0)
    arguments = ["live", str(bundle), "--stream", f"video={recording.name}", "--duration", "4.5"]
    done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    for thread in threads:
        thread.join()
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["number"] for row in rows] == [0, 1, 2]
    assert rows[0]["sensors"] == ["video"]
    assert "99 % within" in done.stderr


@pytest.mark.parametrize(
    ("kind", "type_", "name", "expected"),
    [
        ("eeg", "EEG", "Amp", True),
        ("eeg", "", "MyEEG", False),
        ("eeg", "", "my eeg", True),
        ("eeg", "Video", "eeg room camera", False),
        ("audio", "Audio", "mic", True),
        ("video", "VideoRaw", "x", True),
        ("gsr", "EDA", "wrist", True),
        ("temperature", "Temperature", "wrist", True),
        ("upper_face_au", "Upper Face AU", "x", True),
        ("ecg", "EEG", "Amp", False),
    ],
)
def test_streams_are_recognised_by_type_or_name(
    kind: str, type_: str, name: str, expected: bool
) -> None:
    assert is_of_kind(kind, type_, name) == expected


def test_the_description_of_a_stream_is_read() -> None:
    info = pylsl.StreamInfo("Cam", "VideoRaw", 6, 25.0, pylsl.cf_int16, "source")
    info.desc().append_child_value("height", "2")
    info.desc().append_child_value("width", "3")
    header = header_of(info)
    assert (header.picture_size, header.dtype, header.rate_hz) == ((2, 3), "int16", 25.0)
    assert header.channels == ("1", "2", "3", "4", "5", "6")
    assert not header.can_drop_samples


@pytest.mark.slow
def test_the_offset_of_a_clock_is_measured() -> None:
    recording = unique(face(4))
    threads = start([Sender(recording)], pylsl.local_clock(), 4.0)
    received = Streams({"video": recording.name})
    times_s: list[float] = []
    while len(times_s) < 20:
        for event in received.poll():
            times_s += event.times_s.tolist()
        time.sleep(0.01)
    clock = received.connections["video"].clock
    assert abs(clock.offset_s) < 0.01  # the same computer
    received.close()
    for thread in threads:
        thread.join()
