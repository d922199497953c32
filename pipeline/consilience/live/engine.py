"""Windows on a hop over streams that are being received, without a network.

The frames of a sensor are computed as soon as its stream has passed the end of a window, and the
window is scored when every stream that is alive has, or `PATIENCE_S` after its end. So the frames
of fast streams are computed while the last picture is on its way. Shortly before the end, what the
received samples already determine is computed and remembered. Frames near the end of a window may
depend on samples after it, which have not been received by then; a revision scores the window
again when they have.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.live.buffer import RingBuffer
from consilience.live.score import Scored, Scorer
from consilience.live.sensors import Sensor, StreamHeader
from consilience.windows.cutting import Frames
from consilience.windows.layout import Window

PATIENCE_S = 0.25  # after a window's end, for streams whose samples arrive in chunks
SILENT_S = 1.0  # without a sample for as long, a stream is not waited for
REVISION_S = 5.0  # after a window's end: all samples on which its frames depend are received
RESERVE_S = 0.2  # before a window's end, in which no other computation begins
AHEAD_S = 0.4  # before a window's end, from which its frames are computed once as far as they go
MOST_REVISIONS = 20  # that wait
SLACK_S = 5.0  # of the buffers, for a computer that is late
MOST_LATENCIES = 100_000

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """The prediction of a window.

    Attributes
    ----------
    number : int
        Of the window, from 0.
    row : dict
        Columns of the predictions.
    available : dict of str to bool
        Whether a sensor covers the window.
    latency_s : float
        From the window's end, or from the time at which its revision was due.
    cpu_s : float
        Seconds that the processor took for it.
    revised : bool
    notes : dict of str to str
        See `WindowFrames`.
    """

    number: int
    row: dict[str, Any]
    available: dict[str, bool]
    latency_s: float
    cpu_s: float
    revised: bool
    notes: dict[str, str]


@dataclass
class Stats:
    """Counts of a run.

    Attributes
    ----------
    answered, revised : int
        Windows.
    without : dict of str to int
        By sensor, the windows that it did not cover.
    latencies_s : deque of float
        Of the first answers.
    """

    answered: int = 0
    revised: int = 0
    without: dict[str, int] = field(default_factory=dict)
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_LATENCIES))

    def latency_ms(self, percent: float) -> float:
        """Return a percentile of the latencies; NaN without any."""
        return 1e3 * float(np.percentile(self.latencies_s, percent)) if self.latencies_s else np.nan


@dataclass
class Received:
    """A stream that is received.

    Attributes
    ----------
    header : StreamHeader
    buffer : RingBuffer
        Times are those of the session.
    alive : bool
        False once the sender has stopped.
    """

    header: StreamHeader
    buffer: RingBuffer
    alive: bool = True


@dataclass
class WindowFrames:
    """Feature frames of the sensors for a window.

    Attributes
    ----------
    frames : dict of str to (Frames or None)
        By sensor; None without a sample.
    notes : dict of str to str
        By sensor, why no features could be computed.
    cpu_s : float
        Seconds that the processor took.
    """

    frames: dict[str, Frames | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    cpu_s: float = 0.0

    def add(self, sensor: Sensor, stream: Received, window: Window) -> None:
        """Compute the frames of a sensor."""
        began_s = thread_time()
        try:
            self.frames[sensor.name] = sensor.frames(stream.header, stream.buffer, window.end_s)
        except RecordingError as error:
            self.frames[sensor.name] = None
            self.notes[sensor.name] = error.reason
        self.cpu_s += thread_time() - began_s


class Engine:
    """Scores windows while samples arrive.

    Parameters
    ----------
    scorer : Scorer
    now_s : callable
        Returns the session time.
    revise : bool
        Whether each window is scored a second time, `REVISION_S` after its end.
    """

    def __init__(self, scorer: Scorer, now_s: Callable[[], float], *, revise: bool) -> None:
        self.scorer, self.now_s, self.revise = scorer, now_s, revise
        self.streams: dict[str, Received] = {}
        self.stats = Stats(without={sensor.name: 0 for sensor in scorer.sensors})
        self.next_number = 0
        self._next = WindowFrames()  # of the next window
        self._ahead = -1  # the latest window of which frames were computed ahead
        self._to_revise: deque[int] = deque()

    @property
    def kinds(self) -> list[str]:
        """Kinds of streams that the model's sensors read."""
        return list(dict.fromkeys(sensor.kind for sensor in self.scorer.sensors))

    def attach(self, kind: str, header: StreamHeader) -> None:
        """Begin to receive a stream, or receive it again from another sender.

        Raises
        ------
        ConsilienceError
            If a sensor cannot be read from it.
        """
        readers = [sensor for sensor in self.scorer.sensors if sensor.kind == kind]
        for sensor in readers:
            sensor.check(header)
        before = self.streams.get(kind)
        same = before is not None and (before.header.channels, before.header.rate_hz) == (
            header.channels,
            header.rate_hz,
        )
        if before is not None and same and before.header.dtype == header.dtype:
            self.streams[kind] = Received(header, before.buffer)
            return
        for sensor in readers:
            sensor.warm_up(header)
        # The start of the stretch of samples moves in steps.
        revision_s = REVISION_S if self.revise else 0.0
        context_s = max(sensor.context_s + sensor.step_s(header) for sensor in readers)
        length_s = context_s + revision_s + SLACK_S
        self.streams[kind] = Received(header, header.empty_buffer(length_s))

    def detach(self, kind: str) -> None:
        """Do not wait for a stream whose sender has stopped; its samples are kept."""
        if kind in self.streams:
            self.streams[kind].alive = False

    def receive(self, kind: str, values: NDArray[Any], times_s: Array) -> None:
        """Append samples, shape (n, n_channels), at session times (n,)."""
        self.streams[kind].buffer.append(values, times_s)

    def step(self, until_s: float = np.inf, *, wait: bool = True) -> list[Answer]:
        """Score the windows that are due.

        Parameters
        ----------
        until_s : float
            Windows that end later are not scored.
        wait : bool
            Whether windows that have ended wait for streams that have not passed their end.

        Returns
        -------
        list of Answer
            The windows that have ended, then at most one revision; usually none.
        """
        answers = []
        while self._window(self.next_number).end_s <= until_s and self._prepared(wait):
            answers.append(self._answer(self.next_number, self._next, revised=False))
            if self.revise:
                self._to_revise.append(self.next_number)
            else:
                self.scorer.settle(self.next_number)
            self.next_number += 1
            self._next = WindowFrames()
        while len(self._to_revise) > MOST_REVISIONS:  # the computer is too slow for them
            self.scorer.settle(self._to_revise.popleft())
        if self._may_revise():
            answers.append(self._revision(self._to_revise.popleft()))
        elif not answers:
            self._compute_ahead()
        return answers

    def _compute_ahead(self) -> None:
        """Let sensors that remember results compute those of the next window's samples so far."""
        end_s = self._window(self.next_number).end_s
        is_time = end_s - AHEAD_S <= self.now_s() < end_s - RESERVE_S
        # A short hop leaves no idle time, and less of a window is new.
        if not is_time or self._ahead == self.next_number or self.scorer.hop_s < 2 * AHEAD_S:
            return
        self._ahead = self.next_number
        for sensor, stream in self._received():
            if len(sensor.memo):
                with suppress(RecordingError):
                    sensor.frames(stream.header, stream.buffer, end_s)

    def _window(self, number: int) -> Window:
        return self.scorer.window(number)

    def _prepared(self, wait: bool) -> bool:
        """Compute the frames of streams that have passed the next window; return whether all have.

        A sensor whose stream has never been found is not waited for, and none if not `wait`.
        """
        window, now_s = self._window(self.next_number), self.now_s()
        if now_s < window.end_s or not self.streams:
            return False
        is_late, complete = not wait or now_s >= window.end_s + PATIENCE_S, True
        for sensor, stream in self._received():
            if sensor.name in self._next.frames:
                continue
            if is_late or _has_passed(stream, sensor.needs_s(stream.header, window), now_s):
                self._next.add(sensor, stream, window)
            else:
                complete = False
        return complete

    def _received(self) -> list[tuple[Sensor, Received]]:
        """Return the sensors whose streams have been found, and the streams."""
        sensors = self.scorer.sensors
        return [
            (sensor, self.streams[sensor.kind]) for sensor in sensors if sensor.kind in self.streams
        ]

    def _may_revise(self) -> bool:
        """Return whether a revision is due that does not delay the next answer."""
        if not self._to_revise or not self._is_past(self._to_revise[0], REVISION_S):
            return False
        end_s = self._window(self.next_number).end_s
        return not end_s - RESERVE_S < self.now_s() < end_s + PATIENCE_S

    def _is_past(self, number: int, delay_s: float) -> bool:
        """Return whether every stream has passed a time after a window."""
        end_s, now_s = self._window(number).end_s + delay_s, self.now_s()
        return now_s >= end_s + PATIENCE_S or (
            now_s >= end_s
            and all(_has_passed(stream, end_s, now_s) for stream in self.streams.values())
        )

    def _revision(self, number: int) -> Answer:
        inputs = WindowFrames()
        for sensor, stream in self._received():
            inputs.add(sensor, stream, self._window(number))
        return self._answer(number, inputs, revised=True)

    def _answer(self, number: int, inputs: WindowFrames, *, revised: bool) -> Answer:
        began_s = thread_time()
        recorded = {name: frames for name, frames in inputs.frames.items() if frames is not None}
        scored = self.scorer.score(number, recorded)
        end_s = self._window(number).end_s
        latency_s = self.now_s() - end_s - (REVISION_S if revised else 0.0)
        self._count(scored, latency_s, revised)
        if revised:
            self.scorer.settle(number)
        cpu_s = inputs.cpu_s + thread_time() - began_s
        return Answer(number, scored.row, scored.available, latency_s, cpu_s, revised, inputs.notes)

    def _count(self, scored: Scored, latency_s: float, revised: bool) -> None:
        if revised:
            self.stats.revised += 1
            return
        self.stats.answered += 1
        self.stats.latencies_s.append(latency_s)
        for name, has in scored.available.items():
            self.stats.without[name] += not has


def _has_passed(stream: Received, until_s: float, now_s: float) -> bool:
    """Return whether a stream is past a time, or need not be waited for."""
    last_s = stream.buffer.last_s
    return not stream.alive or last_s < now_s - SILENT_S or last_s >= until_s
