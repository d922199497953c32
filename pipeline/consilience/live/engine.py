"""Windows on a hop over streams that are being received, without a network.

A window is scored as soon as every stream that is alive has passed its end, or `PATIENCE_S` after
its end. Frames near the end of a window depend on samples after it, which have not been received
by then; a revision scores the window again when they have.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.live.buffer import RingBuffer
from consilience.live.score import Scored, Scorer
from consilience.live.sensors import STEP_S, StreamHeader
from consilience.windows.cutting import Frames

PATIENCE_S = 0.25  # after a window's end, for streams whose samples arrive in chunks
SILENT_S = 1.0  # without a sample for as long, a stream is not waited for
REVISION_S = 5.0  # after a window's end: all samples on which its frames depend are received
RESERVE_S = 0.2  # before a window's end, in which no revision begins
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
        By sensor, why no features could be computed.
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
        context_s = max(sensor.context_s for sensor in readers)
        length_s = context_s + STEP_S + revision_s + SLACK_S
        self.streams[kind] = Received(header, header.empty_buffer(length_s))

    def detach(self, kind: str) -> None:
        """Do not wait for a stream whose sender has stopped; its samples are kept."""
        if kind in self.streams:
            self.streams[kind].alive = False

    def receive(self, kind: str, values: NDArray[Any], times_s: Array) -> None:
        """Append samples, shape (n, n_channels), at session times (n,)."""
        self.streams[kind].buffer.append(values, times_s)

    def step(self, until_s: float = np.inf) -> list[Answer]:
        """Score the windows that are due.

        Parameters
        ----------
        until_s : float
            Windows that end later are not scored.

        Returns
        -------
        list of Answer
            The windows that have ended, then at most one revision; usually none.
        """
        answers = []
        while self._ends_s(self.next_number) <= until_s and self._is_due(self.next_number, 0.0):
            answers.append(self._answer(self.next_number, revised=False))
            if self.revise:
                self._to_revise.append(self.next_number)
            else:
                self.scorer.settle(self.next_number)
            self.next_number += 1
        while len(self._to_revise) > MOST_REVISIONS:  # the computer is too slow for them
            self.scorer.settle(self._to_revise.popleft())
        if self._may_revise():
            answers.append(self._answer(self._to_revise.popleft(), revised=True))
        return answers

    def _may_revise(self) -> bool:
        """Return whether a revision is due that does not delay the next answer."""
        if not self._to_revise or not self._is_due(self._to_revise[0], REVISION_S):
            return False
        ends_s = self._ends_s(self.next_number)
        return not ends_s - RESERVE_S < self.now_s() < ends_s + PATIENCE_S

    def _ends_s(self, number: int) -> float:
        return self.scorer.window(number).end_s

    def _is_due(self, number: int, delay_s: float) -> bool:
        end_s = self._ends_s(number) + delay_s
        now_s = self.now_s()
        if now_s < end_s or not self.streams:
            return False
        return now_s >= end_s + PATIENCE_S or all(
            _has_passed(stream, end_s, now_s) for stream in self.streams.values()
        )

    def _answer(self, number: int, *, revised: bool) -> Answer:
        end_s, began_s = self._ends_s(number), thread_time()
        recorded: dict[str, Frames] = {}
        notes: dict[str, str] = {}
        for sensor in self.scorer.sensors:
            stream = self.streams.get(sensor.kind)
            if stream is None:
                continue
            try:
                frames = sensor.frames(stream.header, stream.buffer, end_s)
            except RecordingError as error:
                notes[sensor.name] = error.reason
                continue
            if frames is not None:
                recorded[sensor.name] = frames
        scored = self.scorer.score(number, recorded)
        latency_s = self.now_s() - end_s - (REVISION_S if revised else 0.0)
        self._count(scored, latency_s, revised)
        if revised:
            self.scorer.settle(number)
        cpu_s = thread_time() - began_s
        return Answer(number, scored.row, scored.available, latency_s, cpu_s, revised, notes)

    def _count(self, scored: Scored, latency_s: float, revised: bool) -> None:
        if revised:
            self.stats.revised += 1
            return
        self.stats.answered += 1
        self.stats.latencies_s.append(latency_s)
        for name, has in scored.available.items():
            self.stats.without[name] += not has


def _has_passed(stream: Received, end_s: float, now_s: float) -> bool:
    """Return whether a stream is past a time, or need not be waited for."""
    last_s = stream.buffer.last_s
    if not stream.alive or last_s < now_s - SILENT_S:
        return True
    # The last sample before the end may be a period before it.
    period_s = 1.5 / stream.header.rate_hz if stream.header.rate_hz else 0.0
    return last_s >= end_s - period_s
