"""Streams of the Lab Streaming Layer: found, received, lost and received again.

Senders may start late, stop, and come back under the same name. Connecting waits for the network,
and is done in a thread of its own.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import ConsilienceError, one_line
from consilience.datasets.xdf import KINDS
from consilience.live.clock import OnlineClock
from consilience.live.sensors import StreamHeader

if TYPE_CHECKING:
    import pylsl

PATTERNS = {
    **KINDS,
    "audio": re.compile(r"(?<![a-z])(audio|voice|mic|sound)", re.IGNORECASE),
    "video": re.compile(r"(?<![a-z])(video|face|camera|webcam)", re.IGNORECASE),
}
OWN_TYPE = "Prediction"  # of the outlet of predictions, which is not an input
CONNECT_S = 5.0  # time-out of a connection
LOOK_S = 0.25  # from one look at the list of streams to the next
MEASURE_S = 1.0  # from one look at the clock offset to the next
SILENT_S = 3.0  # without a sample for as long, another sender of the name is looked for
FORGET_S = 2.0  # after which a sender that does not answer is not listed
RECEIVED_S = 60  # of samples that LSL keeps while a window is computed
LARGEST = 2**21  # numbers received at a time

Array = NDArray[np.float64]


def load_lsl() -> Any:
    """Import pylsl.

    Raises
    ------
    ConsilienceError
        If it is not installed, or its library cannot be loaded.
    """
    try:
        import pylsl
    except ImportError:
        raise ConsilienceError(
            "pylsl is not installed", "consilience live", "pip install 'consilience[live]'"
        ) from None
    except (RuntimeError, OSError) as error:
        raise ConsilienceError(
            f"the library liblsl cannot be loaded: {' '.join(str(error).split())[:200]}",
            "consilience live",
            "install liblsl, see the documentation of pylsl",
        ) from None
    if not any(path.is_file() for path in _configurations()):
        # Its log reports on stderr what is reported here in words.
        with suppress(NotImplementedError):
            pylsl.util.set_config_content("[log]\nlevel = -3\n")
    return pylsl


def _configurations() -> list[Path]:
    """Return where liblsl looks for a user's configuration."""
    folders = [Path(), Path.home() / "lsl_api", Path("/etc/lsl_api")]
    named = os.environ.get("LSLAPICFG")
    return [folder / "lsl_api.cfg" for folder in folders] + ([Path(named)] if named else [])


@dataclass
class Connection:
    """A stream that is received.

    Attributes
    ----------
    header : StreamHeader
    inlet : pylsl.StreamInlet
    clock : OnlineClock
        From the sender's clock to LSL's on this computer.
    measured_s, received_s : float
        When LSL was last asked for the offset, and when a sample last arrived.
    offset_s : float
        The offset that LSL measured last.
    """

    header: StreamHeader
    inlet: pylsl.StreamInlet
    clock: OnlineClock
    measured_s: float
    received_s: float
    offset_s: float


@dataclass(frozen=True)
class Event:
    """A change of a stream, or samples of it.

    Attributes
    ----------
    kind : str
        Which sensor's stream.
    what : str
        ``"found"``, ``"samples"`` or ``"lost"``.
    header : StreamHeader
    values : ndarray, shape (n, n_channels)
    times_s : ndarray of float64, shape (n,)
        On LSL's clock of this computer.
    """

    kind: str
    what: str
    header: StreamHeader
    values: NDArray[Any] = field(default_factory=lambda: np.empty((0, 0)))
    times_s: Array = field(default_factory=lambda: np.empty(0))


class Streams:
    """The streams of some sensors.

    Parameters
    ----------
    names : dict of str to (str or None)
        By kind, the name of its stream; None for the first whose type or name is of the kind.
    """

    def __init__(self, names: dict[str, str | None]) -> None:
        self.lsl = load_lsl()
        self.names = names
        self.connections: dict[str, Connection] = {}
        self._resolver = self.lsl.ContinuousResolver(forget_after=FORGET_S)
        self._connecting: set[str] = set()
        self._connected: SimpleQueue[tuple[str, str, Connection | None]] = SimpleQueue()
        self._barred_s: dict[str, float] = {}  # until when, by uid
        self._looked_s = -np.inf  # when the list of streams was last read

    def listed(self) -> list[str]:
        """Return the streams on the network, one text each."""
        return sorted(
            one_line(f"{info.name()} ({info.type()})")
            for info in self._resolver.results()
            if info.type() != OWN_TYPE
        )

    def poll(self) -> list[Event]:
        """Return what has happened since the last call, without waiting."""
        events = self._finished()
        for kind in list(self.connections):
            events += self._received(kind)
        self._connect()
        return events

    def close(self) -> None:
        """Disconnect."""
        for connection in self.connections.values():
            connection.inlet.close_stream()
        self.connections.clear()

    def _finished(self) -> list[Event]:
        """Return events of the connections that have been established."""
        events: list[Event] = []
        while True:
            try:
                kind, uid, connection = self._connected.get_nowait()
            except Empty:
                return events
            self._connecting.discard(kind)
            if connection is None:
                self._bar(uid)
                continue
            self.connections[kind] = connection
            events.append(Event(kind, "found", connection.header))

    def _received(self, kind: str) -> list[Event]:
        connection = self.connections[kind]
        header, now_s = connection.header, self.lsl.local_clock()
        try:
            if now_s - connection.measured_s >= MEASURE_S:
                connection.measured_s = now_s
                self._measure(connection)
            values, stamps_s = connection.inlet.pull_chunk(
                timeout=0.0, max_samples=max(1, LARGEST // len(header.channels)), as_numpy=True
            )
        except self.lsl.util.LostError:
            return [self._lose(kind)]
        if len(stamps_s):
            connection.received_s = now_s
            return [Event(kind, "samples", header, values, connection.clock.to_session(stamps_s))]
        if now_s - connection.received_s > SILENT_S:
            connection.received_s = now_s  # look again as much later
            if self._candidates(kind, header.uid):
                return [self._lose(kind)]
        return []

    def _measure(self, connection: Connection) -> None:
        try:
            offset_s = connection.inlet.time_correction(timeout=0.01)
        except self.lsl.util.TimeoutError:
            return
        if offset_s != connection.offset_s:  # LSL measures more rarely than it is asked
            connection.clock.add(self.lsl.local_clock() - offset_s, offset_s)
            connection.offset_s = offset_s

    def _lose(self, kind: str) -> Event:
        connection = self.connections.pop(kind)
        self._bar(connection.header.uid)
        return Event(kind, "lost", connection.header)

    def refuse(self, kind: str) -> None:
        """Disconnect from a stream that cannot be used, for good."""
        self._barred_s[self.connections.pop(kind).header.uid] = np.inf

    def _bar(self, uid: str) -> None:
        """Do not connect to a sender until the list of streams has forgotten it, if it is gone."""
        self._barred_s[uid] = self.lsl.local_clock() + FORGET_S + LOOK_S

    def _connect(self) -> None:
        """Begin to connect to the streams that are listed."""
        now_s = self.lsl.local_clock()
        absent = [
            kind
            for kind in self.names
            if kind not in self.connections and kind not in self._connecting
        ]
        if not absent or now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        for kind in absent:
            for info in self._candidates(kind)[:1]:
                self._connecting.add(kind)
                threading.Thread(target=self._open, args=(kind, info), daemon=True).start()

    def _candidates(self, kind: str, without: str = "") -> list[Any]:
        """Return the streams of a kind that are not barred, by name."""
        name, now_s = self.names[kind], self.lsl.local_clock()
        matching = [
            info
            for info in self._resolver.results()
            if self._barred_s.get(info.uid(), 0.0) <= now_s
            and info.uid() != without
            and info.type() != OWN_TYPE
            and info.channel_format() != self.lsl.cf_string  # markers
            and (info.name() == name if name else is_of_kind(kind, info.type(), info.name()))
        ]
        return sorted(matching, key=lambda info: (info.name(), info.uid()))

    def _open(self, kind: str, info: Any) -> None:
        """Connect to a stream; runs in a thread."""
        uid = info.uid()
        try:
            # Lost streams are found again by name: a sender may come back as another source.
            inlet = self.lsl.StreamInlet(info, max_buflen=RECEIVED_S, recover=False)
            header = header_of(inlet.info(timeout=CONNECT_S))
            inlet.open_stream(timeout=CONNECT_S)
            offset_s = inlet.time_correction(timeout=CONNECT_S)
        except (self.lsl.util.LostError, self.lsl.util.TimeoutError, RuntimeError):
            self._connected.put((kind, uid, None))
            return
        now_s, clock = self.lsl.local_clock(), OnlineClock()
        clock.add(now_s - offset_s, offset_s)
        self._connected.put((kind, uid, Connection(header, inlet, clock, now_s, now_s, offset_s)))


def is_of_kind(kind: str, type_: str, name: str) -> bool:
    """Return whether a stream is of a kind by its declared type, or else by its name."""
    pattern = PATTERNS.get(kind) or re.compile(
        "(?<![a-z])" + re.escape(kind).replace("_", "[ _-]?"), re.IGNORECASE
    )
    others = [other for other in PATTERNS if other != kind]
    if any(PATTERNS[other].search(type_) for other in others) and not pattern.search(type_):
        return False  # a camera called EEG is a camera
    return bool(pattern.search(type_) or pattern.search(name))


def header_of(info: Any) -> StreamHeader:
    """Return the description of a stream from its complete information."""
    n_channels = info.channel_count()
    labels = [label or "" for label in info.get_channel_labels() or []]
    units = [unit or "" for unit in info.get_channel_units() or []]
    named = len(labels) == n_channels and all(labels) and len(set(labels)) == n_channels
    numbers = tuple(str(number) for number in range(1, n_channels + 1))
    description = info.desc()
    formats = {1: "float32", 2: "float64", 4: "int32", 5: "int16", 6: "int8", 7: "int64"}
    size = tuple(_whole(description.child_value(side)) for side in ("height", "width"))
    synchronization = description.child("synchronization")
    return StreamHeader(
        one_line(info.name()),
        one_line(info.type()),
        info.uid(),
        float(info.nominal_srate()),
        tuple(map(one_line, labels)) if named else numbers,
        tuple(units) if len(units) == n_channels else ("",) * n_channels,
        formats.get(info.channel_format(), "object"),
        (size[0], size[1]),
        synchronization.child_value("can_drop_samples") == "true",
    )


def _whole(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 6 else 0
