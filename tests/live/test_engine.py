"""Windows on a hop over samples that arrive, without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.live.senders import Replayed
from consilience.alignment.clock import Clock
from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.evaluation.predict import LoadedModel
from consilience.live.engine import Answer, Engine
from consilience.live.score import Scorer
from consilience.live.sensors import Sensor, StreamHeader
from consilience.readers.stream import StreamRecording
from consilience.windows.cutting import Frames
from tests.live.conftest import CLASSES, HOP_S, LENGTH_S, face, params_of, skin

KINDS = {"GSR": "gsr", "Face": "video"}


def header(recording: Replayed) -> StreamHeader:
    return StreamHeader(
        recording.name,
        recording.type,
        recording.name,
        recording.rate_hz,
        tuple(recording.channels),
        tuple(recording.units) or ("",) * len(recording.channels),
        recording.values.dtype.name,
    )


class Simulated:
    """Hands recordings to an engine as time passes."""

    def __init__(self, model: LoadedModel, *, revise: bool = False) -> None:
        self.time_s = 0.0
        self.engine = Engine(Scorer(model), lambda: self.time_s, revise=revise)
        self.sent: dict[str, int] = {}

    def run(
        self,
        recordings: list[Replayed],
        until_s: float,
        step_s: float = 0.05,
        lost: Callable[[str, float], bool] = lambda kind, time_s: False,
    ) -> list[Answer]:
        answers = []
        for recording in recordings:
            kind = KINDS[recording.type]
            if kind not in self.engine.streams:
                self.engine.attach(kind, header(recording))
        while self.time_s < until_s - 1e-9:
            self.time_s += step_s
            for recording in recordings:
                kind = KINDS[recording.type]
                start = self.sent.get(kind, 0)
                stop = int(np.searchsorted(recording.times_s, self.time_s))
                self.sent[kind] = stop
                if stop > start and not lost(kind, self.time_s):
                    rows = slice(start, stop)
                    self.engine.receive(kind, recording.values[rows], recording.times_s[rows])
            answers += self.engine.step()
        return answers


def offline(model: LoadedModel, recordings: list[Replayed], n: int) -> list[dict[str, Any]]:
    """Return the predictions of the windows from features of the whole recordings."""
    recorded = {}
    for recording in recordings:
        name = KINDS[recording.type]
        if name == "video":
            recorded[name] = Frames(recording.values, recording.times_s, Clock())
            continue
        modality, params = registry.get("modalities", name), params_of(name)
        opened = StreamRecording(
            recording.name,
            tuple(recording.channels),
            tuple(recording.units),
            recording.rate_hz,
            recording.values,
            recording.times_s,
        )
        features = modality.features(modality.stream_signal(opened, params), params)
        recorded[name] = Frames(features.values, features.times_s, Clock())
    scorer = Scorer(model)
    return [scorer.score(number, recorded).row for number in range(n)]


def probabilities(row: dict[str, Any]) -> list[float]:
    return [row[f"p_{name}"] for name in CLASSES]


def test_revised_windows_equal_those_of_whole_recordings(model: LoadedModel) -> None:
    # Of the face alone: skin conductance is relative to its spread in the whole recording.
    answers = Simulated(model, revise=True).run([face(20)], 20, step_s=0.2)
    revised = [answer for answer in answers if answer.revised]
    first = [answer for answer in answers if not answer.revised]
    assert [answer.number for answer in first] == list(range(18))
    assert [answer.number for answer in revised] == list(range(13))
    whole = offline(model, [face(20)], 18)
    for answer in answers:
        expected = probabilities(whole[answer.number])
        np.testing.assert_allclose(probabilities(answer.row), expected, atol=1e-4)


def test_the_baseline_of_an_enrolment_is_that_of_its_windows_alone(model: LoadedModel) -> None:
    settings = model.card["training"] | {
        "baseline": "enrolment",
        "enrolment": "rest",
        "enrolment_s": 6.0,
    }
    enrolled = model._replace(card=model.card | {"training": settings})

    def answers(changed_s: float) -> list[Answer]:
        recording = face(16)
        changed = (recording.times_s >= changed_s) & (recording.times_s < changed_s + 1)
        values = np.where(changed[:, None], recording.values + 1, recording.values)
        return Simulated(enrolled).run([replace(recording, values=values)], 16, step_s=0.2)

    first, other_rest, other_later = answers(100), answers(2), answers(8)
    assert [answer.row["verdict"] == "enrolment" for answer in first[:6]] == [True] * 5 + [False]
    assert first[4].row["predicted"] is None
    last = first[-1].number
    before = probabilities(first[last].row)
    assert probabilities(other_later[last].row) == pytest.approx(before, abs=1e-6)
    assert probabilities(other_rest[last].row) != pytest.approx(before, abs=1e-6)


def test_a_window_is_answered_when_every_stream_has_passed_its_end(model: LoadedModel) -> None:
    answers = Simulated(model).run([skin(7), face(7)], 6.2, step_s=0.02)
    assert len(answers) == 5
    assert all(0 <= answer.latency_s <= 0.061 for answer in answers)
    assert all(all(answer.available.values()) for answer in answers)


def test_the_picture_after_a_window_is_waited_for(model: LoadedModel) -> None:
    recording = face(14)
    # Stamps of a clock with an error, so that the picture is before or after the window's end.
    for error_s in (-1e-4, 1e-4):
        moved = replace(recording, times_s=recording.times_s + error_s)
        whole = offline(model, [moved], 12)
        answers = Simulated(model).run([moved], 12.9, step_s=0.02)
        assert len(answers) == 11
        for answer in answers:
            assert answer.latency_s < 0.05
            expected = probabilities(whole[answer.number])
            np.testing.assert_allclose(probabilities(answer.row), expected, atol=1e-6)


def test_frames_of_a_stream_that_has_passed_are_computed_before_the_others(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[tuple[str, float]] = []
    session = Simulated(model)
    original = Sensor.frames

    def frames(self: Sensor, *args: Any) -> Frames | None:
        computed.append((self.name, round(session.time_s, 2)))
        return original(self, *args)

    monkeypatch.setattr(Sensor, "frames", frames)
    late = replace(face(4), times_s=face(4).times_s + 0.01)
    session.run([skin(4), late], 2.3, step_s=0.01)
    computed = [(name, time_s) for name, time_s in computed if time_s >= 2]
    assert [name for name, _ in computed] == ["gsr", "video"]
    assert computed[0][1] == 2.0
    assert computed[1][1] > 2.0  # when the picture at 2.01 s is there


def test_sensors_that_remember_compute_ahead_once(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Simulated(model)
    skin_sensor = session.engine.scorer.sensors[0]
    skin_sensor.memo.put(b"", (np.zeros(1),))
    computed: list[tuple[str, float]] = []
    original = Sensor.frames

    def frames(self: Sensor, *args: Any) -> Frames | None:
        computed.append((self.name, round(session.time_s, 1)))
        return original(self, *args)

    monkeypatch.setattr(Sensor, "frames", frames)
    session.run([skin(4), face(4)], 3.1)
    ahead = [(name, time_s) for name, time_s in computed if time_s % 1 > 0.5]
    assert ahead == [("gsr", 1.6), ("gsr", 2.6)]


def test_windows_at_the_end_are_scored_without_waiting(model: LoadedModel) -> None:
    session = Simulated(model)
    assert not session.run([face(2)], 2.0)
    assert [answer.number for answer in session.engine.step(2.0, wait=False)] == [0]


def test_a_late_stream_joins(model: LoadedModel) -> None:
    session = Simulated(model)
    first = session.run([skin(12)], 5)
    later = session.run([skin(12), face(12)], 12)
    assert all(not answer.available["video"] for answer in first)
    # A window of which half is covered counts.
    assert [answer.available["video"] for answer in later][:1] == [True]
    assert all(answer.available["video"] for answer in later[2:])


def test_a_lost_stream_costs_its_own_windows_only(model: LoadedModel) -> None:
    def lost(kind: str, time_s: float) -> bool:
        return kind == "video" and 8 < time_s <= 18

    # The last window waits in vain for the picture after it.
    answers = Simulated(model).run([skin(30), face(30)], 30.3, lost=lost)
    assert len(answers) == 29
    for answer in answers:
        start_s, end_s = answer.number * HOP_S, answer.number * HOP_S + LENGTH_S
        missing_s = max(0.0, min(end_s, 18) - max(start_s, 8))
        assert answer.available["gsr"]
        if abs(missing_s - LENGTH_S / 2) > 0.1:
            assert answer.available["video"] == (missing_s < LENGTH_S / 2), answer.number


def test_without_any_sensor_nothing_is_stated(model: LoadedModel) -> None:
    def lost(kind: str, time_s: float) -> bool:
        return time_s > 4

    answers = Simulated(model).run([skin(9), face(9)], 9, lost=lost)
    last = answers[-1]
    assert last.row["vacuity"] == 1
    assert last.row["verdict"] == "no sensor"
    assert last.row["predicted"] is None
    assert probabilities(last.row) == pytest.approx([1 / 3] * 3)


def test_a_stream_is_refused_with_one_line(model: LoadedModel) -> None:
    engine = Simulated(model).engine
    slow = header(skin(1))
    slow = StreamHeader("Slow", "GSR", "u", 2.0, slow.channels, slow.units)
    with pytest.raises(ConsilienceError, match=r"2 samples a second, where gsr needs 3\.5"):
        engine.attach("gsr", slow)
    pictures = StreamHeader("Cam", "Video", "u", 25.0, ("1", "2", "3"), ("",) * 3)
    with pytest.raises(ConsilienceError, match="pictures of 0 x 0 pixels in 3 channels"):
        engine.attach("video", pictures)


@pytest.mark.slow
def test_memory_stays_the_same_over_an_hour(model: LoadedModel) -> None:
    session = Simulated(model)
    minute = [skin(60), face(60)]
    session.run(minute, 60, step_s=0.5)
    sizes = {kind: stream.buffer.nbytes for kind, stream in session.engine.streams.items()}
    held = len(session.engine.scorer._pending)
    for number in range(1, 5):
        shifted = [
            Replayed(
                r.name, r.type, r.rate_hz, r.values, r.times_s + 60 * number, r.channels, r.units
            )
            for r in minute
        ]
        session.sent = {}
        session.run(shifted, 60.0 * (number + 1), step_s=0.5)
    assert {k: s.buffer.nbytes for k, s in session.engine.streams.items()} == sizes
    assert len(session.engine.scorer._pending) == held <= 2
    session.engine.step(wait=False)  # the last window, without the picture after it
    assert session.engine.stats.answered == 299
