"""Senders of the Lab Streaming Layer that replay recordings at true speed."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.core import registry

try:
    import pylsl
except (ImportError, RuntimeError, OSError):  # recordings can be read without it, not sent
    pylsl = None

Array = NDArray[np.float64]

FORMATS = {"float32": "cf_float32", "int16": "cf_int16", "float64": "cf_double64"}


@dataclass(frozen=True)
class Replayed:
    """A recording to send.

    Attributes
    ----------
    name, type : str
        Of the stream.
    rate_hz : float
        Nominal; 0 for samples at irregular times.
    values : ndarray, shape (n_samples, n_channels)
    times_s : ndarray of float64, shape (n_samples,)
    channels, units : sequence of str
    picture_size : tuple of int
        Height and width of pictures.
    """

    name: str
    type: str
    rate_hz: float
    values: NDArray[Any]
    times_s: Array
    channels: Sequence[str] = ()
    units: Sequence[str] = ()
    picture_size: tuple[int, int] = (0, 0)

    def outlet(self, source_id: str = "") -> Any:  # StreamOutlet
        """Open an outlet that describes the recording."""
        info = pylsl.StreamInfo(
            self.name,
            self.type,
            self.values.shape[1],
            self.rate_hz,
            getattr(pylsl, FORMATS[self.values.dtype.name]),
            source_id or self.name,
        )
        if self.channels:
            info.set_channel_labels(list(self.channels))
        if self.units:
            info.set_channel_units(list(self.units))
        if all(self.picture_size):
            for side, pixels in zip(("height", "width"), self.picture_size, strict=True):
                info.desc().append_child_value(side, str(pixels))
        return pylsl.StreamOutlet(info)


@dataclass(frozen=True)
class Manner:
    """Manner in which a recording is sent.

    Attributes
    ----------
    chunk_s : float
        Length of the chunks.
    delay_s : float
        After which the sender starts; earlier samples are not sent.
    losses_s : tuple of (float, float)
        Stretches in which the sender has stopped.
    jitter_s : float
        Standard deviation of the error of the time stamps.
    """

    chunk_s: float = 0.02
    delay_s: float = 0.0
    losses_s: tuple[tuple[float, float], ...] = ()
    jitter_s: float = 0.0


@dataclass
class Sender:
    """Sends recordings in a thread, from a common start.

    Attributes
    ----------
    replayed : Replayed
    manner : Manner
    """

    replayed: Replayed
    manner: Manner = field(default_factory=Manner)

    def send(self, origin_s: float, until_s: float) -> None:
        """Send the samples before a time, each when it is due.

        Parameters
        ----------
        origin_s : float
            LSL time of the recordings' time 0.
        until_s : float
            Time of the recordings at which to end.
        """
        recording, manner = self.replayed, self.manner
        rng = np.random.default_rng(0)
        stamps_s = recording.times_s + rng.normal(0, 1, len(recording.times_s)) * manner.jitter_s
        # A device is on the network before it records: connecting takes a second, in which samples
        # would be lost.
        outlet = None if manner.delay_s else recording.outlet()
        sent, due_s = 0, manner.delay_s
        while due_s < until_s:
            due_s += manner.chunk_s
            time.sleep(max(0.0, origin_s + due_s - pylsl.local_clock()))
            stop = int(np.searchsorted(recording.times_s, due_s))
            gone = due_s - manner.chunk_s < manner.delay_s or any(
                start <= due_s < end for start, end in manner.losses_s
            )
            if gone:
                outlet = None
            else:
                outlet = outlet or recording.outlet()
                if sent < stop:
                    rows = np.ascontiguousarray(recording.values[sent:stop])
                    outlet.push_chunk(rows, (origin_s + stamps_s[sent:stop]).tolist())
            sent = max(sent, stop)
        time.sleep(0.5)  # the last samples are on their way


def start(senders: Sequence[Sender], origin_s: float, until_s: float) -> list[threading.Thread]:
    """Start every sender in a thread of its own."""
    threads = [
        threading.Thread(target=sender.send, args=(origin_s, until_s), daemon=True)
        for sender in senders
    ]
    for thread in threads:
        thread.start()
    return threads


def read(modality: str, path: Path, params: Any, name: str) -> Replayed:
    """Return a recording as it is sent: EEG in microvolts, sound, pictures.

    Parameters
    ----------
    modality : str
        ``eeg``, ``audio``, ``video`` or one that reads their recordings.
    path : Path
    params : ModalityParams
    name : str
        Of the stream.
    """
    sensor = registry.get("modalities", modality)
    signal = sensor.read(path, None, params)
    rate_hz = round((len(signal.times_s) - 1) / float(np.ptp(signal.times_s)), 3)
    plain = Replayed(name, modality, rate_hz, signal.values, signal.times_s)
    if modality == "eeg":
        values = (1e6 * signal.values).astype(np.float32)
        channels = signal.channels
        units = ["microvolts"] * len(channels)
        return replace(plain, type="EEG", values=values, channels=channels, units=units)
    if signal.values.ndim == 1:
        return replace(plain, type="Audio", values=signal.values[:, None].astype(np.float32))
    n_frames, height, width = signal.values.shape
    pictures = np.asarray(signal.values).reshape(n_frames, -1).astype(np.int16)
    return replace(plain, type="VideoRaw", values=pictures, picture_size=(height, width))
