"""Multichannel recordings: EDF, BDF, BrainVision, FIF, EEGLAB (by MNE-Python), XDF, MATLAB, text.

`open_recording` reads the header alone. The returned `Recording` lists its channels, and reads the
samples and their times on request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

import mne
import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import content_hash, text_hash
from consilience.readers import eeglab, matlab, signal_table, xdf

Array = NDArray[np.float64]

SAMPLE_BYTES = {".edf": 2, ".bdf": 3}
MNE_SUFFIXES = (".edf", ".bdf", ".vhdr", ".fif", ".set")
SUFFIXES = (*MNE_SUFFIXES, *xdf.SUFFIXES, ".mat", *signal_table.SUFFIXES)
MAX_RATE_HZ = 50_000.0
MAX_EXPANSION = 64  # bytes in memory per byte of the file
SMALL_BYTES = 2**28  # of memory; recordings that need less are always read
TO_VOLTS = {
    **dict.fromkeys(("v", "volt", "volts"), 1.0),
    **dict.fromkeys(("mv", "millivolt", "millivolts"), 1e-3),
    **dict.fromkeys(("uv", "µv", "μv", "microvolt", "microvolts"), 1e-6),
    **dict.fromkeys(("nv", "nanovolt", "nanovolts"), 1e-9),
}
TRIGGERS = re.compile(r"^(trig(ger)?|status|marker|sti.*|stim)$", re.IGNORECASE)
PULSES = re.compile(r"(stimulus/|sync|trig|ttl|pulse)", re.IGNORECASE)  # start of an annotation


class Recording:
    """An open recording.

    Attributes
    ----------
    path : Path
    names : tuple of str
        Names of the channels.
    rate_hz : float
        Nominal sampling rate.
    n_samples : int
        Samples per channel.
    start_time : str or None
        ISO 8601 time of the first sample.
    bads : tuple of str
        Channels that the file marks as bad.
    """

    path: Path
    names: tuple[str, ...]
    rate_hz: float
    n_samples: int
    start_time: str | None
    bads: tuple[str, ...] = ()

    @property
    def file_bytes(self) -> int:
        """The size in bytes of the file and of its companions."""
        return self.path.stat().st_size

    def values(self, names: Sequence[str], default_v: float) -> Array:
        """Return the samples of some channels.

        Parameters
        ----------
        names : sequence of str
        default_v : float
            Volts per unit, for channels whose unit the file does not state.

        Returns
        -------
        ndarray of float64, shape (n_samples, n_names)
            Voltages in volts, other quantities in the unit of the file.

        Raises
        ------
        RecordingError
            If the samples are unreadable, or need far more memory than a file of this size can
            hold.
        """
        needed, size = self.n_samples * len(names) * 8, self.file_bytes
        if needed > max(SMALL_BYTES, MAX_EXPANSION * size):
            raise RecordingError(
                f"its {size / 1e6:.1f} MB would take {needed / 1e9:.1f} GB of memory",
                str(self.path),
                "the header is wrong: export the recording again",
            )
        try:
            return self._read(names, default_v)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            what = " ".join(str(error).split())
            raise RecordingError(f"the samples are unreadable: {what}", str(self.path)) from None

    @property
    def stamped(self) -> bool:
        """Whether the file stores time stamps, beyond its nominal rate."""
        return False

    def times_s(self) -> Array:
        """Return the samples' times on the recording's clock in seconds, shape (n_samples,)."""
        return np.arange(self.n_samples) / self.rate_hz

    def anchors_s(self) -> Array:
        """Return pairs of recording time and session time in seconds, shape (n_anchors, 2)."""
        return np.empty((0, 2))

    def pulses(self) -> NDArray[np.intp]:
        """Return the indices of the samples at which a trigger channel rises."""
        return np.empty(0, np.intp)

    def findings(self) -> list[str]:
        """Return what the reader found wrong with a readable file, for ``consilience check``."""
        return []

    def _read(self, names: Sequence[str], default_v: float) -> Array:
        raise NotImplementedError


def open_recording(path: Path, item: str | None) -> Recording:
    """Open a recording without reading its samples.

    Parameters
    ----------
    path : Path
    item : str or None
        For XDF the stream, see `xdf.find`; for MATLAB the layout, see `matlab.MatlabLayout`.

    Raises
    ------
    RecordingError
        If the file is empty, truncated or unreadable, or its header is invalid.
    """
    if path.stat().st_size == 0:
        raise RecordingError("the file is empty", str(path), "copy it again from the recorder")
    suffix = path.suffix.lower()
    readers: dict[str, Callable[[Path, str | None], Recording]] = {
        **dict.fromkeys(xdf.SUFFIXES, XdfStream),
        **dict.fromkeys(signal_table.SUFFIXES, TableRecording),
        ".mat": MatlabRecording,
    }
    reader = readers.get(suffix, MneFile)
    recording = (EeglabRecording if _is_set_73(path) else reader)(path, item)
    if recording.n_samples == 0:
        raise RecordingError("no samples", str(path), "copy it again from the recorder")
    if not 1 <= recording.rate_hz <= MAX_RATE_HZ:
        raise RecordingError(
            f"invalid sampling rate: {recording.rate_hz:g} Hz", str(path), "correct the header"
        )
    return recording


def identity(path: Path, item: str | None) -> str:
    """Return the hash of a recording's content, including companion files."""
    suffix = path.suffix.lower()
    if suffix in xdf.SUFFIXES:
        return xdf.identity(path, item)
    if suffix == ".mat":
        return matlab.identity(path, item)
    if suffix in signal_table.SUFFIXES:
        return text_hash(content_hash(path), item or "")
    if suffix not in (".vhdr", ".set", ".fif"):
        return content_hash(path)
    is_hdf5 = _is_set_73(path)
    samples = [eeglab.read_header(path).samples] if is_hdf5 else MneFile(path, item).companions
    candidates = [path, *samples, path.with_suffix(".vmrk")]
    files = sorted({file for file in candidates if file.is_file()})
    return text_hash(*map(content_hash, files)) if len(files) > 1 else content_hash(path)


class MneFile(Recording):
    """A file in a format that MNE-Python reads."""

    def __init__(self, path: Path, item: str | None) -> None:
        suffix = path.suffix.lower()
        self.path = path
        self.onsets_s = None
        if suffix in SAMPLE_BYTES:
            self.onsets_s = _check_edf(path)
        if suffix == ".set":
            _check_set(path)
        try:
            self.raw = mne.io.read_raw(path, preload=False, verbose="error")
        except Exception as error:  # MNE's readers raise almost anything on damaged bytes
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise RecordingError(
                f"not a readable {suffix[1:].upper()} file: {first}", str(path), "export it again"
            ) from None
        folder = path.parent.resolve()
        # A header must not make the reader open files elsewhere on the disk.
        if any(file.parent.resolve() != folder for file in self.companions):
            raise RecordingError(
                "the header refers to samples in another folder", str(path), "export it again"
            )
        date = self.raw.info["meas_date"]
        self.names = tuple(self.raw.ch_names)
        self.rate_hz = float(self.raw.info["sfreq"])
        self.n_samples = int(self.raw.n_times)
        self.start_time = date.isoformat() if date else None
        self.bads = tuple(self.raw.info["bads"])

    @cached_property
    def companions(self) -> list[Path]:
        """The files that hold the samples."""
        return [Path(name) for name in self.raw.filenames if name is not None]

    @property
    def file_bytes(self) -> int:
        """The size in bytes of the file and of its companions."""
        return sum(file.stat().st_size for file in {self.path, *self.companions})

    @property
    def stamped(self) -> bool:
        """Whether the records have start times (discontinuous EDF+D)."""
        return self.onsets_s is not None

    def times_s(self) -> Array:
        """Return the time of each sample; in EDF+D, counted from the start of its record."""
        regular = super().times_s()
        if self.onsets_s is None:
            return regular
        # MNE-Python joins the records of EDF+D without the gaps between them.
        per_record = self.n_samples / len(self.onsets_s)
        record = (np.arange(self.n_samples) // per_record).astype(np.intp)
        return self.onsets_s[record] + regular - record * per_record / self.rate_hz

    def pulses(self) -> NDArray[np.intp]:
        """Return the samples at which a trigger channel rises, or else those of annotations."""
        channels = [name for name in self.names if TRIGGERS.match(name)]
        edges = [rising_edges(self.values([name], 1.0)[:, 0]) for name in channels]
        pulses = np.unique(np.concatenate([np.empty(0, np.intp), *edges]))
        return pulses if len(pulses) else self._annotated_pulses()

    def _annotated_pulses(self) -> NDArray[np.intp]:
        annotations = self.raw.annotations
        is_pulse = [bool(PULSES.match(text)) for text in annotations.description]
        # MNE-Python counts onsets from the start of the measurement, not from the first sample,
        # unless the annotations have no date.
        first_s = 0.0 if annotations.orig_time is None else self.raw.first_time
        onsets_s = np.unique(annotations.onset[is_pulse]) - first_s
        times_s = self.times_s()
        inside = onsets_s[(onsets_s >= times_s[0]) & (onsets_s <= times_s[-1])]
        # Half a sample earlier, so that rounding of an onset does not select the next sample.
        return np.unique(np.searchsorted(times_s, inside - 0.5 / self.rate_hz))

    def _read(self, names: Sequence[str], default_v: float) -> Array:
        values: Array = self.raw.get_data(picks=list(names), verbose="error").T
        return np.ascontiguousarray(values)


class XdfStream(Recording):
    """A stream of an XDF file."""

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

    def _read(self, names: Sequence[str], default_v: float) -> Array:
        picks = [self.names.index(name) for name in names]
        scale = [_volts_per_unit(self.units[pick], default_v) for pick in picks]
        values: Array = self.samples.values[:, picks] * np.array(scale)
        return values


class MatlabRecording(Recording):
    """A recording in a MATLAB file, of the layout that its item declares."""

    def __init__(self, path: Path, item: str | None) -> None:
        self.path = path
        self.layout = matlab.parse_item(path, item)
        self.names, self.rate_hz = self.layout.channels, self.layout.rate_hz
        self.n_samples = matlab.find_variable(path, self.layout).sizes["samples"]
        self.start_time = None

    def _read(self, names: Sequence[str], default_v: float) -> Array:
        picks = [self.names.index(name) for name in names]
        scale = [_volts_per_unit(self.layout.unit_of(name), default_v) for name in names]
        values: Array = matlab.read_recording(self.path, self.layout)[:, picks] * np.array(scale)
        return values


class TableRecording(Recording):
    """A text table with a row per sample, such as the exports of wearables."""

    def __init__(self, path: Path, item: str | None) -> None:
        self.path = path
        self.table = signal_table.read(path, item)
        self.names, self.rate_hz = self.table.names, self.table.rate_hz
        self.n_samples, self.start_time = len(self.table.values), self.table.start_time

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

    def _read(self, names: Sequence[str], default_v: float) -> Array:
        picks = [self.names.index(name) for name in names]
        scale = [_volts_per_unit(self.table.units[pick], default_v) for pick in picks]
        values: Array = self.table.values[:, picks] * np.array(scale)
        return values


class EeglabRecording(Recording):
    """An EEGLAB file of MATLAB version 7.3, whose format states no unit."""

    def __init__(self, path: Path, item: str | None) -> None:
        self.path = path
        self.header = eeglab.read_header(path)
        self.names, self.rate_hz = self.header.names, self.header.rate_hz
        self.n_samples, self.start_time = self.header.n_samples, None

    @property
    def file_bytes(self) -> int:
        """The size in bytes of the file that holds the samples."""
        return self.header.samples.stat().st_size

    def _read(self, names: Sequence[str], default_v: float) -> Array:
        picks = [self.names.index(name) for name in names]
        values: Array = eeglab.read_samples(self.header, self.path, picks) * default_v
        return values


def rising_edges(line: Array) -> NDArray[np.intp]:
    """Return the indices at which a trigger channel, shape (n_samples,), rises above half."""
    # The median is the resting level: the channel rests most of the time, and not always at 0.
    rest, top = np.median(line), np.max(line)
    high = line > (rest + top) / 2
    return np.flatnonzero(high[1:] & ~high[:-1]) + 1


def _volts_per_unit(unit: str, default_v: float) -> float:
    """Return the factor to volts; 1 for units other than voltages, which are kept."""
    return TO_VOLTS.get(unit.casefold(), 1.0) if unit else default_v


def _is_set_73(path: Path) -> bool:
    return path.suffix.lower() == ".set" and matlab.is_hdf5(path)


def _check_set(path: Path) -> None:
    matlab.check_header(path)
    matlab.check_uncompressed_size(path)


def _check_edf(path: Path) -> Array | None:
    """Check an EDF or BDF header against the size of the file.

    Returns
    -------
    ndarray of float64, shape (n_records,), or None
        Start of each record in seconds from the first, if the file is discontinuous (EDF+D).

    Raises
    ------
    RecordingError
        If the header is invalid, or the file is truncated or has no samples.
    """
    with path.open("rb") as file:
        header = _edf_header(file, path)
        width = SAMPLE_BYTES[path.suffix.lower()]
        record_bytes = sum(header.samples) * width
        actual = path.stat().st_size
        expected = header.n_bytes + header.n_records * record_bytes
        if header.n_records > 0 and actual < expected:
            raise RecordingError(
                f"the file is truncated: {actual} of {expected} bytes",
                str(path),
                "copy it again from the recorder",
            )
        if not header.discontinuous:
            return None
        annotations = (b"EDF Annotations", b"BDF Annotations")
        which = next((n for n, label in enumerate(header.labels) if label in annotations), None)
        if which is None:
            raise RecordingError(
                "discontinuous, but no annotation channel states the start of its records",
                str(path),
            )
        n_records = header.n_records
        if n_records < 0:  # -1 while recording, if the recorder did not correct it afterwards
            n_records = (actual - header.n_bytes) // record_bytes
        first = header.n_bytes + sum(header.samples[:which]) * width
        starts = (first + number * record_bytes for number in range(n_records))
        length = header.samples[which] * width
        onsets = [_onset_s(file, start, length, path) for start in starts]
    onsets_s = np.array(onsets) - onsets[0]
    contiguous = np.allclose(onsets_s, np.arange(len(onsets)) * header.record_s, atol=1e-6)
    return None if contiguous else onsets_s


class EdfHeader(NamedTuple):
    """Header of an EDF or BDF file.

    Attributes
    ----------
    n_bytes : int
        Length of the header.
    n_records : int
        -1 if not stated.
    record_s : float
    labels : list of bytes
        Names of the channels.
    samples : list of int
        Samples per record of each channel.
    discontinuous : bool
    """

    n_bytes: int
    n_records: int
    record_s: float
    labels: list[bytes]
    samples: list[int]
    discontinuous: bool


def _edf_header(file: BinaryIO, path: Path) -> EdfHeader:
    head = file.read(256)
    try:
        n_bytes, n_records = int(head[184:192]), int(head[236:244])
        n_channels = int(head[252:256])
        record_s = float(head[244:252])
        labels = [file.read(16).strip() for _ in range(n_channels)]
        # 216 bytes per channel precede the field of samples per record.
        file.seek(256 + 216 * n_channels)
        samples = [int(file.read(8)) for _ in range(n_channels)]
    except ValueError:
        raise RecordingError(
            f"not a readable {path.suffix[1:].upper()} header", str(path), "export it again"
        ) from None
    if n_records == 0 or sum(samples) <= 0 or min(samples) < 0 or not record_s > 0:
        raise RecordingError("no samples", str(path), "copy it again from the recorder")
    discontinuous = head[192:197] in (b"EDF+D", b"BDF+D")
    return EdfHeader(n_bytes, n_records, record_s, labels, samples, discontinuous)


def _onset_s(file: BinaryIO, start: int, length: int, path: Path) -> float:
    """Read the start of a record in seconds, its first annotation."""
    file.seek(start)
    try:
        return float(file.read(length).split(b"\x14")[0])
    except ValueError:
        raise RecordingError(
            "discontinuous, but a record does not state its start", str(path)
        ) from None
