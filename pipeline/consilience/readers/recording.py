"""Multichannel recordings: EDF, BDF, BrainVision, FIF and EEGLAB, XDF, MATLAB, text.

`open_recording` reads the header alone. The returned `Recording` lists its channels, and reads the
samples and their times on request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import content_hash, text_hash
from consilience.readers import brainvision, eeglab, matlab, mne_file, signal_table, xdf
from consilience.readers.base import Recording
from consilience.readers.contents import check_content, check_not_empty
from consilience.readers.edf import EdfRecording
from consilience.readers.edf_header import SAMPLE_BYTES
from consilience.readers.markers import sync_descriptions
from consilience.readers.mne_file import MneFile
from consilience.readers.timeline import Gaps, Timeline

Array = NDArray[np.float64]

SUFFIXES = (
    *SAMPLE_BYTES,
    *mne_file.SUFFIXES,
    *xdf.SUFFIXES,
    ".mat",
    *signal_table.SUFFIXES,
)
MAX_RATE_HZ = 50_000.0
UNITS = "units:"  # begins an item that states the units of the channels


def open_recording(path: Path, item: str | None) -> Recording:
    """Open a recording without reading its samples.

    Parameters
    ----------
    path : Path
    item : str or None
        For XDF the stream, see `xdf.find`; for MATLAB the layout, see `matlab.MatlabLayout`; for
        the other formats what `units_item` returns.

    Raises
    ------
    RecordingError
        If the file is empty, truncated or unreadable, or its header is invalid.
    """
    check_not_empty(path)
    check_content(path)
    recording = _reader(path)(path, item)
    recording.sidecar_units = _sidecar_units(path, item)
    if recording.n_samples == 0:
        raise RecordingError("no samples", str(path), "copy it again from the recorder")
    if not 1 <= recording.rate_hz <= MAX_RATE_HZ:
        raise RecordingError(
            f"invalid sampling rate: {recording.rate_hz:g} Hz, not 1 to {MAX_RATE_HZ:g} Hz",
            str(path),
            "correct the header, or export the samples instead of averages",
        )
    return recording


def units_item(units: Mapping[str, str]) -> str | None:
    """Return the item of a recording whose units a file beside it states; None without units.

    Parameters
    ----------
    units : mapping of str to str
        By channel; empty where it states none.
    """
    distinct = set(units.values())
    every = {"*": distinct.pop()} if len(distinct) == 1 else dict(units)
    present = {name: unit for name, unit in every.items() if unit}
    return UNITS + json.dumps(present, ensure_ascii=False) if present else None


def _sidecar_units(path: Path, item: str | None) -> dict[str, str]:
    if item is None or not item.startswith(UNITS):
        return {}
    try:
        units = json.loads(item.removeprefix(UNITS))
    except ValueError:
        units = None
    if not isinstance(units, dict):
        raise RecordingError(f"invalid item '{item[:50]}'", str(path), "leave it empty")
    return {str(name): str(unit) for name, unit in units.items()}


def _reader(path: Path) -> Callable[[Path, str | None], Recording]:
    suffix = path.suffix.lower()
    if suffix in SAMPLE_BYTES:
        return EdfRecording
    if _is_set_73(path):
        return EeglabRecording
    readers: dict[str, Callable[[Path, str | None], Recording]] = {
        **dict.fromkeys(xdf.SUFFIXES, XdfStream),
        **dict.fromkeys(signal_table.SUFFIXES, TableRecording),
        ".mat": MatlabRecording,
    }
    return readers.get(suffix, MneFile)


def identity(path: Path, item: str | None) -> str:
    """Return the hash of a recording's content, including companion files."""
    suffix = path.suffix.lower()
    if suffix in xdf.SUFFIXES:
        return xdf.identity(path, item)
    if suffix == ".mat":
        return matlab.identity(path, item)
    if suffix in signal_table.SUFFIXES:
        return text_hash(content_hash(path), item or "")
    if item is not None and item.startswith(UNITS):  # what is beside a file changes its values
        return text_hash(identity(path, None), item)
    if suffix not in (".vhdr", ".set", ".fif"):
        return content_hash(path)
    is_hdf5 = _is_set_73(path)
    samples = [eeglab.read_header(path).samples] if is_hdf5 else MneFile(path, item).companions
    markers = brainvision.companion(path, "MarkerFile") if suffix == ".vhdr" else None
    candidates = [path, *samples, markers or path.with_suffix(".vmrk")]
    files = sorted({file for file in candidates if file.is_file()})
    return text_hash(*map(content_hash, files)) if len(files) > 1 else content_hash(path)


class XdfStream(Recording):
    """A stream of an XDF file, which its item selects by its type."""

    selected = True

    def __init__(self, path: Path, item: str | None) -> None:
        self.path, self.item = path, item
        stream = xdf.find(path, item)
        if stream.format == xdf.TEXT:
            raise RecordingError(f"stream {stream.item} holds text, not samples", str(path))
        self.names = stream.channels or tuple(f"{n}" for n in range(1, stream.n_channels + 1))
        if len(set(self.names)) < len(self.names):
            raise RecordingError(f"duplicate channel names in stream {stream.item}", str(path))
        self.units = stream.units or ("",) * stream.n_channels
        self.n_samples, self.start_time = stream.n_samples, stream.start_time
        self.rate_hz = stream.rate_hz or self._mean_rate_hz()

    @property
    def stamped(self) -> bool:
        """True: every sample of a stream has a time stamp."""
        return True

    @cached_property
    def samples(self) -> xdf.Samples:
        """The samples and time stamps, read once."""
        return xdf.read(self.path, self.item)

    def times_s(self) -> Array:
        """Return the time stamps without jitter, in seconds, shape (n_samples,)."""
        return self.samples.times_s

    def anchors_s(self) -> Array:
        """Return pairs of the sender's and the recording computer's time, shape (n_anchors, 2)."""
        return self.samples.anchors_s

    def findings(self) -> list[str]:
        """Return the damage of the file, and the fault of the stream's clock."""
        return xdf.findings(self.path, self.item)

    def _mean_rate_hz(self) -> float:
        stamps_s = self.samples.stamps_s
        span_s = float(stamps_s[-1] - stamps_s[0])
        return (len(stamps_s) - 1) / span_s if span_s > 0 else 0.0

    def unit(self, name: str) -> str:
        """Return the unit of a channel as the sender declares it; empty if it declares none."""
        return self.units[self.names.index(name)]

    def _read(self, channels: list[int]) -> Array:
        return self.samples.values[:, channels]


class MatlabRecording(Recording):
    """A recording in a MATLAB file, of the layout that its item declares."""

    def __init__(self, path: Path, item: str | None) -> None:
        self.path = path
        self.layout = matlab.parse_item(path, item)
        self.names, self.rate_hz = self.layout.channels, self.layout.rate_hz
        self.n_samples = matlab.find_variable(path, self.layout).sizes["samples"]
        self.start_time = None

    def unit(self, name: str) -> str:
        """Return the unit of a channel as the layout declares it; empty if it declares none."""
        return self.layout.unit_of(name)

    def _read(self, channels: list[int]) -> Array:
        return matlab.read_recording(self.path, self.layout)[:, channels]


class TableRecording(Recording):
    """A text table with a row per sample, such as the exports of wearables."""

    def __init__(self, path: Path, item: str | None) -> None:
        self.path = path
        self.table = signal_table.read(path, item)
        self.names, self.rate_hz = self.table.names, self.table.rate_hz
        self.n_samples, self.start_time = len(self.table.values), self.table.start_time
        self.selected = self.table.selected

    @property
    def stamped(self) -> bool:
        """Whether the table has time stamps."""
        return self.table.stamped

    def times_s(self) -> Array:
        """Return the time stamps without jitter, in seconds, shape (n_samples,)."""
        return self.table.times_s

    def findings(self) -> list[str]:
        """Return what is unusual about the table."""
        return list(self.table.notes)

    def unit(self, name: str) -> str:
        """Return the unit of a column as the table states it; empty if it states none."""
        return self.table.units[self.names.index(name)]

    def _read(self, channels: list[int]) -> Array:
        return self.table.values[:, channels]


class EeglabRecording(Recording):
    """An EEGLAB file of MATLAB version 7.3, whose format states no unit."""

    in_microvolts = True

    def __init__(self, path: Path, item: str | None) -> None:
        self.path = path
        self.header = eeglab.read_header(path)
        self.names, self.rate_hz = self.header.names, self.header.rate_hz
        self.n_samples, self.start_time = self.header.n_samples, None

    @property
    def file_bytes(self) -> int:
        """The size in bytes of the file that holds the samples."""
        return self.header.samples.stat().st_size

    @property
    def duration_s(self) -> float:
        """The duration in seconds on the recording's clock, gaps that the file states included."""
        return float(self.timeline.at(np.array([self.n_samples - 1]))[0]) + 1 / self.rate_hz

    @property
    def stamped(self) -> bool:
        """Whether the file states cuts."""
        return self.timeline.interrupted

    @cached_property
    def events(self) -> list[eeglab.EeglabEvent]:
        """The events, boundaries included."""
        return eeglab.read_events(self.path)

    @cached_property
    def timeline(self) -> Timeline:
        """The times of the samples, with the gaps that boundaries state."""
        return Timeline.with_gaps(self.rate_hz, self._gaps[0])

    def times_s(self) -> Array:
        """Return the samples' times on the recording's clock in seconds, shape (n_samples,)."""
        return self.timeline.times_s(self.n_samples)

    def pulses_s(self, code: int | None = None) -> Array:
        """Return the times of the events for synchronisation in seconds, shape (n_pulses,)."""
        wanted = sync_descriptions([event.text for event in self.events], code)
        positions = np.unique([e.position for e in self.events if e.text in wanted])
        return self.timeline.at(positions[(positions >= 0) & (positions <= self.n_samples - 1)])

    def findings(self) -> list[str]:
        """Return the cuts of unknown duration."""
        return self._gaps[1]

    @cached_property
    def _gaps(self) -> tuple[Gaps, list[str]]:
        """The gaps that boundaries state, and findings on those of unknown duration."""
        return eeglab.boundary_gaps(self.events, self.n_samples, self.rate_hz)

    def _read(self, channels: list[int]) -> Array:
        return eeglab.read_samples(self.header, self.path, channels)


def _is_set_73(path: Path) -> bool:
    return path.suffix.lower() == ".set" and matlab.is_hdf5(path)
