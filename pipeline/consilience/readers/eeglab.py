"""EEGLAB files of MATLAB version 7.3, which is HDF5; MNE-Python reads the older versions.

A field is a variable of the file, or a member of its structure ``EEG``. HDF5 stores MATLAB's axes
in reverse order. Data in other files are refused, except for samples in an ``.fdt`` file in the
same folder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.readers.contents import refuse_converted
from consilience.readers.matlab import ITEM_BYTES, class_of, hard_link
from consilience.readers.timeline import Gaps

Array = NDArray[np.float64]

CHAR = "uint16"  # MATLAB's characters are UTF-16 units
MAX_CHANNELS = 4096
MAX_LABEL = 100  # characters
MAX_EVENTS = 1_000_000
BOUNDARIES = ("boundary", "-99")  # the second with numbers as types, by ERPLAB
BLOCK = 2**22  # numbers in memory at once, besides the requested channels


@dataclass(frozen=True)
class EeglabHeader:
    """Header of an EEGLAB file.

    Attributes
    ----------
    names : tuple of str
        Names of the channels.
    rate_hz : float
    n_samples : int
    samples : Path
        File that holds the samples as float32, shape (n_samples, n_channels); the EEGLAB file
        itself if they are one of its variables.
    """

    names: tuple[str, ...]
    rate_hz: float
    n_samples: int
    samples: Path


def read_header(path: Path) -> EeglabHeader:
    """Read the header of an EEGLAB file.

    Raises
    ------
    RecordingError
        If the file is not a continuous EEGLAB recording, or its fields contradict each other.
    """
    try:
        with h5py.File(path, "r") as file:
            return _header(_fields(file), path)
    except RecordingError:
        raise
    except Exception as error:  # h5py raises almost anything on damaged bytes
        raise _unreadable(error, path) from None


@dataclass(frozen=True)
class EeglabEvent:
    """An event.

    Attributes
    ----------
    position : float
        In samples from the first; a boundary lies between two samples.
    text : str
        Its type.
    duration : float
        In samples; NaN if not stated.
    """

    position: float
    text: str
    duration: float


def read_events(path: Path) -> list[EeglabEvent]:
    """Read the events of an EEGLAB file; those without a position are left out.

    Raises
    ------
    RecordingError
        If the events are unreadable.
    """
    try:
        with h5py.File(path, "r") as file:
            fields = _fields(file)
            group = hard_link(fields, "event") if "event" in fields else None
            if not isinstance(group, h5py.Group) or "latency" not in group:
                return []  # MATLAB writes an empty structure as a dataset
            positions = [_scalar(value) - 1 for value in _elements(group, "latency")]
            texts = [_event_type(value) for value in _elements(group, "type")]
            durations = [math.nan] * len(positions)
            if "duration" in group:
                durations = [_scalar(value) for value in _elements(group, "duration")]
            events = map(EeglabEvent, positions, texts, durations)
            return [event for event in events if math.isfinite(event.position)]
    except RecordingError:
        raise
    except Exception as error:  # as above
        raise _unreadable(error, path) from None


def boundary_gaps(
    events: Sequence[EeglabEvent], n_samples: int, rate_hz: float
) -> tuple[Gaps, list[str]]:
    """Return the gaps that boundary events state.

    Parameters
    ----------
    events : sequence of EeglabEvent
    n_samples : int
    rate_hz : float

    Returns
    -------
    gaps : list of (int, float)
        Index of the first sample after each gap, and its duration in seconds.
    findings : list of str
        Cuts whose duration is not stated.
    """
    gaps, findings = [], []
    for event in events:
        first = math.ceil(event.position - 1e-6)
        if event.text not in BOUNDARIES or not 0 < first < n_samples:
            continue
        if math.isfinite(event.duration):
            gaps.append((first, max(event.duration, 0.0) / rate_hz))
        else:
            findings.append(f"a cut of unknown duration at {first / rate_hz:.1f} s")
    return gaps, findings


def read_samples(header: EeglabHeader, path: Path, picks: list[int]) -> Array:
    """Return the samples of some channels.

    Parameters
    ----------
    header : EeglabHeader
    path : Path
        The EEGLAB file.
    picks : list of int
        Indices of the channels.

    Returns
    -------
    ndarray of float64, shape (n_samples, n_picks)
        As stored, usually in microvolts.

    Raises
    ------
    RecordingError
        If the samples are unreadable.
    """
    try:
        if header.samples != path:
            shape = (header.n_samples, len(header.names))
            return np.asarray(np.memmap(header.samples, "<f4", "r", shape=shape)[:, picks], float)
        with h5py.File(path, "r") as file:
            data, values = _fields(file)["data"], np.empty((header.n_samples, len(picks)))
            # HDF5 reads whole rows quickest; blocks bound the memory for channels not requested.
            step = max(1, BLOCK // len(header.names))
            for start in range(0, header.n_samples, step):
                values[start : start + step] = data[start : start + step][:, picks]
            return values
    except Exception as error:  # as above
        raise _unreadable(error, path) from None


def _header(fields: Any, path: Path) -> EeglabHeader:
    n_channels, rate_hz, n_trials, n_samples = (
        _number(fields, name) for name in ("nbchan", "srate", "trials", "pnts")
    )
    if n_trials > 1:
        raise RecordingError(
            f"divided into {n_trials:g} epochs", str(path), "save the continuous recording"
        )
    if not (1 <= n_channels <= MAX_CHANNELS and n_channels % 1 == n_samples % 1 == 0):
        raise RecordingError(
            f"invalid size: {n_channels:g} channels of {n_samples:g} samples", str(path)
        )
    shape = (int(n_samples), int(n_channels))
    data = hard_link(fields, "data")
    companion = _text(data)
    if companion is None:
        if class_of(data) not in ITEM_BYTES or data.shape != shape:
            raise RecordingError(
                f"the samples are {class_of(data)} of shape {data.shape}, not {shape}", str(path)
            )
        samples = path
    else:
        samples = _companion(path, companion, 4 * shape[0] * shape[1])
    return EeglabHeader(_labels(fields, shape[1], path), rate_hz, shape[0], samples)


def _companion(path: Path, name: str, n_bytes: int) -> Path:
    """Return the file with the samples, by its name in the header or the name of the header.

    Raises
    ------
    RecordingError
        If the file is missing, in another folder, or shorter than `n_bytes`.
    """
    candidates = [path.with_name(Path(name).name), path.with_suffix(".fdt")]
    samples = next((candidate for candidate in candidates if candidate.is_file()), None)
    if samples is None:
        raise RecordingError(f"its samples in '{candidates[0].name}' are missing", str(path))
    if samples.resolve().parent != path.parent.resolve():
        raise RecordingError("the header refers to samples in another folder", str(path))
    refuse_converted(samples)
    size = samples.stat().st_size
    if size < n_bytes:
        raise RecordingError(
            f"the samples are truncated: {size} of {n_bytes} bytes", str(samples), "copy it again"
        )
    return samples


def _labels(fields: Any, n_channels: int, path: Path) -> tuple[str, ...]:
    locations = hard_link(fields, "chanlocs")
    labels = hard_link(locations, "labels") if isinstance(locations, h5py.Group) else None
    if labels is None or labels.external or labels.is_virtual or labels.size > MAX_CHANNELS:
        raise RecordingError("the channels have no names", str(path), "set EEG.chanlocs.labels")
    if labels.dtype == h5py.ref_dtype:
        texts = [_text(labels.file[reference]) for reference in labels[()].ravel()]
    else:
        texts = [_text(labels)]  # MATLAB stores a single channel's name without an array
    names = tuple(text for text in texts if text)
    if len(set(names)) != n_channels:
        raise RecordingError(
            f"{len(set(names))} different channel names for {n_channels} channels", str(path)
        )
    return names


def _fields(file: h5py.File) -> Any:
    return hard_link(file, "EEG") if "EEG" in file else file


def _number(fields: Any, name: str) -> float:
    value = hard_link(fields, name)
    if value.size != 1 or class_of(value) not in ITEM_BYTES:
        raise ValueError(f"{name} is not a number")
    return float(value[()].item())


def _elements(group: h5py.Group, name: str) -> list[h5py.Dataset]:
    """Return the values of a field of a structure array; a single one is stored directly."""
    field = hard_link(group, name)
    if field.external or field.is_virtual or field.size > MAX_EVENTS:
        raise ValueError(f"invalid event {name}")
    if field.dtype == h5py.ref_dtype:
        return [field.file[reference] for reference in field[()].ravel()]
    return [field]


def _scalar(value: h5py.Dataset) -> float:
    """Return a number; NaN for an empty array, which MATLAB stores as its shape."""
    if value.size != 1 or "MATLAB_empty" in value.attrs or class_of(value) not in ITEM_BYTES:
        return math.nan
    return float(value[()].item())


def _event_type(value: h5py.Dataset) -> str:
    text = _text(value)
    return f"{_scalar(value):g}" if text is None else text


def _text(value: h5py.Dataset) -> str | None:
    """Return a character array as text; None if the value is not one."""
    if value.attrs.get("MATLAB_class") != b"char" or class_of(value) != CHAR:
        return None
    if value.size > MAX_LABEL:
        raise ValueError("a name is too long")
    return bytes(value[()].ravel().astype("<u2").tobytes()).decode("utf-16-le")


def _unreadable(error: Exception, path: Path) -> RecordingError:
    what = " ".join(str(error).split())[:200]
    return RecordingError(f"not a readable SET file: {what}", str(path), "export it again")
