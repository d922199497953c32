"""Scores streams of the Lab Streaming Layer while they are received."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from consilience.core.errors import ConsilienceError
from consilience.core.wording import counted
from consilience.evaluation.predict import LoadedModel, load_bundle
from consilience.live.engine import Engine, Stats
from consilience.live.outlet import Outlet
from consilience.live.score import Scorer
from consilience.live.streams import Event, Streams, load_lsl
from consilience.live.view import View

PAUSE_S = 0.004  # between two looks at the streams
WAIT_S = 30.0  # for the first stream


@dataclass(frozen=True)
class LiveSettings:
    """Options of a run.

    Attributes
    ----------
    streams : mapping of str to str
        Name of the stream by sensor; others are found by their type.
    duration_s : float or None
        After which the run ends, from the first sample; None for no end.
    wait_s : float
        Longest wait for the first stream.
    outlet : str or None
        Name of an outlet with the predictions.
    revise : bool
        Whether each window is scored a second time; see `Engine`.
    origin_s : float or None
        LSL time of session time 0; by default that of the first sample.
    """

    streams: Mapping[str, str] = field(default_factory=dict)
    duration_s: float | None = None
    wait_s: float = WAIT_S
    outlet: str | None = None
    revise: bool = False
    origin_s: float | None = None


def live(bundle: Path, settings: LiveSettings, view: View) -> Stats:
    """Score windows until the duration is over, or the user interrupts.

    Parameters
    ----------
    bundle : Path
        Folder of a trained model.
    settings : LiveSettings
    view : View

    Raises
    ------
    ConsilienceError
        If pylsl is missing, the bundle is damaged, an option names a sensor that it does not have,
        no stream is found in time, or a stream is unsuitable.
    """
    load_lsl()
    return run(load_bundle(bundle), settings, view)


def run(
    model: LoadedModel,
    settings: LiveSettings,
    view: View,
    stop: Callable[[], bool] = lambda: False,
) -> Stats:
    """Score windows with a loaded model; see `live`. Ends also when `stop` returns true."""
    return run_session(LiveSession(model, settings, view), stop)


def run_session(session: LiveSession, stop: Callable[[], bool] = lambda: False) -> Stats:
    """Run a session to its end; see `run`."""
    try:
        while not (session.over or stop()):
            if not session.step():
                time.sleep(PAUSE_S)
        session.finish()
    except KeyboardInterrupt:
        session.view.note("interrupted")
    finally:
        session.close()
    return session.engine.stats


class LiveSession:
    """The streams, the engine, and where its answers go.

    Parameters
    ----------
    model : LoadedModel
    settings : LiveSettings
    view : View
    """

    def __init__(self, model: LoadedModel, settings: LiveSettings, view: View) -> None:
        self.settings, self.view = settings, view
        self.lsl = load_lsl()
        self.engine = Engine(Scorer(model), self.now_s, revise=settings.revise)
        self.origin_s = settings.origin_s
        self.streams = Streams(stream_names(self.engine, settings.streams))
        self.outlet = Outlet(settings.outlet, model.card) if settings.outlet else None
        self._began_s = self.lsl.local_clock()
        if model.training.baseline in ("recording", "person"):
            view.note(
                f"the baseline of the training is that of the whole {model.training.baseline}: "
                "here it is the mean of the windows so far"
            )
        view.note(f"waiting for streams: {', '.join(self.streams.names)}")

    def now_s(self) -> float:
        """Return the session time."""
        now_s: float = self.lsl.local_clock() - (self.origin_s or 0.0)
        return now_s

    @property
    def over(self) -> bool:
        """Whether the duration is over."""
        duration_s = self.settings.duration_s
        return duration_s is not None and self.origin_s is not None and self.now_s() >= duration_s

    def step(self) -> bool:
        """Receive what has arrived and score what is due; return whether there was anything.

        Raises
        ------
        ConsilienceError
            If no stream is found in time, or one is unsuitable.
        """
        events = self.streams.poll()
        for event in events:
            self._handle(event)
        if self.origin_s is None or not self.engine.streams:
            self._check_found()
            return bool(events)
        return self._answer() or bool(events)

    def finish(self) -> None:
        """Score the windows that ended within the duration, if the computer or a stream is late."""
        if self.origin_s is not None:
            self._answer(wait=False)

    def _answer(self, *, wait: bool = True) -> bool:
        """Score what is due; return whether there was anything."""
        assert self.origin_s is not None
        duration_s = self.settings.duration_s
        answers = self.engine.step(np.inf if duration_s is None else duration_s, wait=wait)
        for answer in answers:
            if self.outlet:
                self.outlet.send(answer, self.origin_s)
            self.view.answer(answer, self.engine)
        return bool(answers)

    def close(self) -> None:
        """Disconnect, and end the view."""
        self.streams.close()
        self.view.close()

    def _handle(self, event: Event) -> None:
        if event.what == "found":
            if not self._attach(event):
                return
            rate = f"{event.header.rate_hz:g} Hz" if event.header.rate_hz else "no fixed rate"
            self.view.note(
                f"{event.kind}: receives '{event.header.name}', {len(event.header.channels)} "
                f"channels, {rate}"
            )
        elif event.what == "lost":
            self.engine.detach(event.kind)
            self.view.note(f"{event.kind}: lost '{event.header.name}', waiting for its return")
        elif event.kind in self.streams.connections:  # it was not refused
            if self.origin_s is None:
                self.origin_s = float(event.times_s[0])
            self.engine.receive(event.kind, event.values, event.times_s - self.origin_s)

    def _attach(self, event: Event) -> bool:
        """Begin to receive a stream; one that has come back must be as before to be received."""
        try:
            self.engine.attach(event.kind, event.header)
        except ConsilienceError as error:
            if event.kind not in self.engine.streams:
                raise
            self.streams.refuse(event.kind)
            self.view.note(f"{event.kind}: not received: {error}")
            return False
        return True

    def _check_found(self) -> None:
        """Raise if no stream has been found, or none has sent a sample, for too long."""
        if self.lsl.local_clock() - self._began_s < self.settings.wait_s:
            return
        listed = self.streams.listed()
        what = "sample" if self.engine.streams else "stream"
        raise ConsilienceError(
            f"no {what} of {', '.join(self.streams.names)} within {self.settings.wait_s:g} s",
            "Lab Streaming Layer",
            "start the sender, or name its stream: --stream SENSOR=NAME; found: "
            + (", ".join(listed[:8]) or "none"),
        )


def summary(stats: Stats) -> list[str]:
    """Return lines on a run."""
    if not stats.answered:
        return ["no window was scored"]
    without = ", ".join(f"{name} {count}" for name, count in stats.without.items() if count)
    revised = f", {stats.revised} of them again" if stats.revised else ""
    return [
        f"{counted(stats.answered, 'window')} scored{revised}; answer after "
        f"{stats.latency_ms(50):.0f} ms "
        f"(median), 99 % within {stats.latency_ms(99):.0f} ms",
        f"windows without a sensor: {without or 'none'}",
    ]


def stream_names(engine: Engine, named: Mapping[str, str]) -> dict[str, str | None]:
    """Return the name of the stream by kind, None for the first of the kind.

    Raises
    ------
    ConsilienceError
        If the model has no sensor of a name.
    """
    kinds = {sensor.name: sensor.kind for sensor in engine.scorer.sensors}
    names: dict[str, str | None] = dict.fromkeys(engine.kinds)
    for sensor, name in named.items():
        if sensor not in kinds and sensor not in names:
            raise ConsilienceError(
                f"the model has no sensor '{sensor}'",
                "--stream",
                f"its sensors are {', '.join(kinds)}",
            )
        names[kinds.get(sensor, sensor)] = name
    return names


def parse_streams(options: list[str]) -> dict[str, str]:
    """Return the names of streams by sensor, of options such as ``eeg=MyAmp``.

    Raises
    ------
    ConsilienceError
        If an option has another form.
    """
    named = {}
    for option in options:
        sensor, equals, name = option.partition("=")
        if not (sensor and equals and name):
            raise ConsilienceError(
                f"'{option}' does not name a stream", "--stream", "use --stream eeg=NAME"
            )
        named[sensor.strip()] = name.strip()
    return named
