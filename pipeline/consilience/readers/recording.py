"""Files of many channels: EDF, BDF, BrainVision, FIF and EEGLAB by MNE-Python, XDF, MATLAB.

Whatever the format, a recording is opened without reading its samples, says which channels it
has, and then gives those asked for with their times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import mne
import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import content_hash, text_hash
from consilience.readers import eeglab, matlab, xdf

Array = NDArray[np.float64]

SAMPLE_BYTES = {".edf": 2, ".bdf": 3}
MNE_SUFFIXES = (".edf", ".bdf", ".vhdr", ".fif", ".set")
SUFFIXES = (*MNE_SUFFIXES, ".xdf", ".mat")
MAX_RATE_HZ = 50_000.0
MAX_UNFOLDING = 64  # bytes in memory for one in the file, above the least worth a thought
SMALL_BYTES = 2**28
VOLTS = {
    **dict.fromkeys(("v", "volt", "volts"), 1.0),
    **dict.fromkeys(("mv", "millivolt", "millivolts"), 1e-3),
    **dict.fromkeys(("uv", "µv", "μv", "microvolt", "microvolts"), 1e-6),
    **dict.fromkeys(("nv", "nanovolt", "nanovolts"), 1e-9),
}
TRIGGERS = re.compile(r"^(trig(ger)?|status|marker|sti.*|stim)$", re.IGNORECASE)
PULSES = re.compile(r"(stimulus/|sync|trig|ttl|pulse)", re.IGNORECASE)  # how annotations begin


class Recording:
    """An open recording.

    Attributes
    ----------
    path : Path
    names : tuple of str
        Its channels.
    rate_hz : float
        Nominal.
    n_samples : int
    start_time : str or None
        ISO 8601 time of the first sample.
    bads : tuple of str
        Channels the file itself calls bad.
    """

    path: Path
    names: tuple[str, ...]
    rate_hz: float
    n_samples: int
    start_time: str | None
    bads: tuple[str, ...] = ()

    @property
    def file_bytes(self) -> int:
        """The size of the file, and of its companions."""
        return self.path.stat().st_size

    def values(self, names: Sequence[str], default_v: float) -> Array:
        """Read channels, shape (n_samples, n_names).

        Parameters
        ----------
        names : sequence of str
        default_v : float
            Volts to a unit, where the file does not say which unit it uses. A voltage comes in
            volts, anything else in its own unit.

        Raises
        ------
        RecordingError
            If the samples are unreadable, or would take far more memory than the file's size
            explains.
        """
        needed, size = self.n_samples * len(names) * 8, self.file_bytes
        if needed > max(SMALL_BYTES, MAX_UNFOLDING * size):
            raise RecordingError(
                f"its {size / 1e6:.1f} MB would take {needed / 1e9:.1f} GB of memory",
                str(self.path),
                "the header is wrong: export it again",
            )
        try:
            return self._read(names, default_v)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            what = " ".join(str(error).split())
            raise RecordingError(f"the samples are unreadable: {what}", str(self.path)) from None

    @property
    def stamped(self) -> bool:
        """Whether the file itself says when samples were taken, beyond its rate."""
        return False

    def times_s(self) -> Array:
        """Return the samples' times on the recording's own clock, shape (n_samples,)."""
        return np.arange(self.n_samples) / self.rate_hz

    def anchors_s(self) -> Array:
        """Return pairs of own and session time that the container holds, shape (n, 2)."""
        return np.empty((0, 2))

    def pulses(self) -> NDArray[np.intp]:
        """Return the samples at which trigger channels rise."""
        return np.empty(0, np.intp)

    def _read(self, names: Sequence[str], default_v: float) -> Array:
        raise NotImplementedError


def open_recording(path: Path, item: str | None) -> Recording:
    """Open a recording without reading its samples.

    Parameters
    ----------
    path : Path
    item : str or None
        Which stream of an XDF file, which trial of a MATLAB file.

    Raises
    ------
    RecordingError
        If the file is empty, truncated, unreadable, or its header says what cannot be.
    """
    if path.stat().st_size == 0:
        raise RecordingError("the file is empty", str(path), "copy it again from the recorder")
    suffix = path.suffix.lower()
    reader = {".xdf": XdfStream, ".mat": MatTrial}.get(suffix, MneFile)
    found = (Set73 if _is_set_73(path) else reader)(path, item)
    if found.n_samples == 0:
        raise RecordingError("there are no samples", str(path), "copy it again from the recorder")
    if not 1 <= found.rate_hz <= MAX_RATE_HZ:
        raise RecordingError(
            f"{found.rate_hz:g} samples a second cannot be", str(path), "correct the header"
        )
    return found


def identity(path: Path, item: str | None) -> str:
    """Return the hash of what a recording consists of, companions of its file included."""
    suffix = path.suffix.lower()
    if suffix == ".xdf":
        return xdf.identity(path, item)
    if suffix == ".mat":
        return matlab.identity(path, item)
    if suffix not in (".vhdr", ".set", ".fif"):
        return content_hash(path)
    new = _is_set_73(path)
    samples = [eeglab.header(path).samples] if new else MneFile(path, item).companions
    parts = [path, *samples, path.with_suffix(".vmrk")]
    known = sorted({part for part in parts if part.is_file()})
    return text_hash(*map(content_hash, known)) if len(known) > 1 else content_hash(path)


class MneFile(Recording):
    """A file that MNE-Python reads."""

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
        except Exception as error:  # MNE's readers raise whatever the bytes lead them to
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise RecordingError(
                f"not a readable {suffix[1:].upper()} file: {first}", str(path), "export it again"
            ) from None
        folder = path.parent.resolve()
        if any(part.parent.resolve() != folder for part in self.companions):
            raise RecordingError(
                "its header names samples in another folder", str(path), "export it again"
            )
        date = self.raw.info["meas_date"]
        self.names = tuple(self.raw.ch_names)
        self.rate_hz = float(self.raw.info["sfreq"])
        self.n_samples = int(self.raw.n_times)
        self.start_time = date.isoformat() if date else None
        self.bads = tuple(self.raw.info["bads"])

    @cached_property
    def companions(self) -> list[Path]:
        """The files that hold the samples, if not this one."""
        return [Path(name) for name in self.raw.filenames if name is not None]

    @property
    def file_bytes(self) -> int:
        """The size of the file, and of its companions."""
        return sum(part.stat().st_size for part in {self.path, *self.companions})

    @property
    def stamped(self) -> bool:
        """Whether its records stand apart (EDF+D)."""
        return self.onsets_s is not None

    def times_s(self) -> Array:
        """Return the times; those of EDF+D go on where each of its records says."""
        regular = super().times_s()
        if self.onsets_s is None:
            return regular
        per_record = self.n_samples / len(self.onsets_s)
        record = (np.arange(self.n_samples) // per_record).astype(np.intp)
        return self.onsets_s[record] + regular - record * per_record / self.rate_hz

    def pulses(self) -> NDArray[np.intp]:
        """Return the samples at which trigger channels rise, or else the pulses annotated."""
        lines = [name for name in self.names if TRIGGERS.match(name)]
        edges = [rising_edges(self.values([name], 1.0)[:, 0]) for name in lines]
        found = np.unique(np.concatenate([np.empty(0, np.intp), *edges]))
        return found if len(found) else self._annotated_pulses()

    def _annotated_pulses(self) -> NDArray[np.intp]:
        marks = self.raw.annotations
        pulse = [bool(PULSES.match(text)) for text in marks.description]
        first_s = 0.0 if marks.orig_time is None else self.raw.first_time
        onsets_s = np.unique(marks.onset[pulse]) - first_s
        times_s = self.times_s()
        near = onsets_s[(onsets_s >= times_s[0]) & (onsets_s <= times_s[-1])]
        return np.unique(np.searchsorted(times_s, near - 0.5 / self.rate_hz))

    def _read(self, names: Sequence[str], default_v: float) -> Array:
        values: Array = self.raw.get_data(picks=list(names), verbose="error").T
        return np.ascontiguousarray(values)


class XdfStream(Recording):
    """A stream of an XDF file."""

    def __init__(self, path: Path, item: str | None) -> None:
        self.path, self.item = path, item
        stream = xdf.find(path, item)
        if stream.format == xdf.TEXT:
            raise RecordingError(f"the stream {stream.item} holds text", str(path))
        self.names = stream.channels or tuple(f"{n}" for n in range(1, stream.n_channels + 1))
        if len(set(self.names)) < len(self.names):
            raise RecordingError(f"channels of {stream.item} share a name", str(path))
        self.units = stream.units or ("",) * stream.n_channels
        self.n_samples, self.start_time = stream.n_samples, stream.start_time
        self.rate_hz = stream.rate_hz or self._mean_rate_hz()

    @property
    def stamped(self) -> bool:
        """Always: every sample has its time stamp."""
        return True

    @cached_property
    def samples(self) -> xdf.Samples:
        """The samples, read once."""
        return xdf.read(self.path, self.item)

    def times_s(self) -> Array:
        """Return the time stamps, freed from jitter."""
        return self.samples.times_s

    def anchors_s(self) -> Array:
        """Return where the sender's clock was compared with the recording computer's."""
        return self.samples.anchors_s

    def _mean_rate_hz(self) -> float:
        stamps_s = self.samples.stamps_s
        span_s = float(stamps_s[-1] - stamps_s[0])
        return (len(stamps_s) - 1) / span_s if span_s > 0 else 0.0

    def _read(self, names: Sequence[str], default_v: float) -> Array:
        picks = [self.names.index(name) for name in names]
        scale = [
            VOLTS.get(self.units[pick].casefold(), default_v if not self.units[pick] else 1.0)
            for pick in picks
        ]
        values: Array = self.samples.values[:, picks] * np.array(scale)
        return values


class MatTrial(Recording):
    """A trial of a MATLAB file; numbers stand for microvolts unless something else is known."""

    def __init__(self, path: Path, item: str | None) -> None:
        self.path, self.item = path, item
        table = matlab.trials_of(path)
        matlab.trial_number(path, item, table)
        self.names, self.rate_hz = table.layout.channels, table.layout.rate_hz
        self.n_samples, self.start_time = table.n_samples, None

    def _read(self, names: Sequence[str], default_v: float) -> Array:
        _, values = matlab.read_trial(self.path, self.item)
        picked: Array = values[:, [self.names.index(name) for name in names]] * default_v
        return picked


class Set73(Recording):
    """An EEGLAB file of MATLAB version 7.3; as in EEGLAB, numbers stand for microvolts."""

    def __init__(self, path: Path, item: str | None) -> None:
        self.path = path
        self.header = eeglab.header(path)
        self.names, self.rate_hz = self.header.names, self.header.rate_hz
        self.n_samples, self.start_time = self.header.n_samples, None

    @property
    def file_bytes(self) -> int:
        """The size of the file that holds the samples."""
        return self.header.samples.stat().st_size

    def _read(self, names: Sequence[str], default_v: float) -> Array:
        picks = [self.names.index(name) for name in names]
        picked: Array = eeglab.read(self.header, self.path, picks) * default_v
        return picked


def rising_edges(line: Array) -> NDArray[np.intp]:
    """Return the first samples at which a trigger line stands above half its height."""
    rest, top = np.median(line), np.max(line)
    high = line > (rest + top) / 2
    return np.flatnonzero(high[1:] & ~high[:-1]) + 1


def _is_set_73(path: Path) -> bool:
    return path.suffix.lower() == ".set" and matlab.is_hdf5(path)


def _check_set(path: Path) -> None:
    matlab.check_head(path)
    matlab.check_unfolding(path)


def _check_edf(path: Path) -> Array | None:
    """Check an EDF or BDF header against the file's size; return the records' times if EDF+D."""
    with path.open("rb") as file:
        head = file.read(256)
        try:
            header_bytes, n_records = int(head[184:192]), int(head[236:244])
            n_channels = int(head[252:256])
            record_s = float(head[244:252])
            labels = [file.read(16).strip() for _ in range(n_channels)]
            file.seek(256 + 216 * n_channels)
            samples = [int(file.read(8)) for _ in range(n_channels)]
        except ValueError:
            raise RecordingError(
                f"not a readable {path.suffix[1:].upper()} header", str(path), "export it again"
            ) from None
        if n_records == 0 or sum(samples) <= 0 or min(samples) < 0 or not record_s > 0:
            raise RecordingError(
                "there are no samples", str(path), "copy it again from the recorder"
            )
        width = SAMPLE_BYTES[path.suffix.lower()]
        record_bytes = sum(samples) * width
        actual = path.stat().st_size
        if n_records > 0 and actual < header_bytes + n_records * record_bytes:
            raise RecordingError(
                f"the file is truncated: {actual} of {header_bytes + n_records * record_bytes} "
                "bytes",
                str(path),
                "copy it again from the recorder",
            )
        if head[192:197] not in (b"EDF+D", b"BDF+D"):
            return None
        marks = (b"EDF Annotations", b"BDF Annotations")
        which = next((n for n, label in enumerate(labels) if label in marks), None)
        if which is None:
            raise RecordingError(
                "it is discontinuous, and no channel says when its records begin", str(path)
            )
        if n_records < 0:
            n_records = (actual - header_bytes) // record_bytes
        first = header_bytes + sum(samples[:which]) * width
        starts = (first + number * record_bytes for number in range(n_records))
        onsets = [_onset_s(file, start, samples[which] * width, path) for start in starts]
    onsets_s = np.array(onsets) - onsets[0]
    contiguous = np.allclose(onsets_s, np.arange(len(onsets)) * record_s, atol=1e-6)
    return None if contiguous else onsets_s


def _onset_s(file: BinaryIO, start: int, length: int, path: Path) -> float:
    """Read when a record begins: the first thing its annotations say."""
    file.seek(start)
    try:
        return float(file.read(length).split(b"\x14")[0])
    except ValueError:
        raise RecordingError(
            "it is discontinuous, and a record does not say when it begins", str(path)
        ) from None
