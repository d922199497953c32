"""EEGLAB files that MATLAB saved in version 7.3, which is HDF5: MNE-Python reads the older ones.

A field is a variable of the file, or of the structure ``EEG`` in it. MATLAB's axes stand in
reverse. Nothing is read that another file holds, but for samples kept in an ``.fdt`` beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.readers.matlab import NUMERIC, kind_of, own

Array = NDArray[np.float64]

CHAR = "uint16"  # MATLAB's characters are UTF-16 units
MAX_CHANNELS = 4096
MAX_LABEL = 100  # characters
BLOCK = 2**22  # numbers in memory at once, beside those asked for


@dataclass(frozen=True)
class Set:
    """What the header of an EEGLAB file says.

    Attributes
    ----------
    names : tuple of str
        Its channels.
    rate_hz : float
    n_samples : int
    samples : Path
        The file that holds the samples, as float32, channel by channel within each sample; the
        file itself, if they are a variable of it.
    """

    names: tuple[str, ...]
    rate_hz: float
    n_samples: int
    samples: Path


def header(path: Path) -> Set:
    """Read what a file says of itself.

    Raises
    ------
    RecordingError
        If it is no continuous recording of EEGLAB, or its parts contradict each other.
    """
    try:
        with h5py.File(path, "r") as file:
            return _header(_fields(file), path)
    except RecordingError:
        raise
    except Exception as error:  # h5py raises whatever the bytes lead it to
        raise _unreadable(error, path) from None


def read(found: Set, path: Path, picks: list[int]) -> Array:
    """Return samples of some channels, shape (n_samples, n_picks). Raises RecordingError."""
    try:
        if found.samples != path:
            shape = (found.n_samples, len(found.names))
            return np.asarray(np.memmap(found.samples, "<f4", "r", shape=shape)[:, picks], float)
        with h5py.File(path, "r") as file:
            data, values = _fields(file)["data"], np.empty((found.n_samples, len(picks)))
            step = max(1, BLOCK // len(found.names))
            for start in range(0, found.n_samples, step):
                values[start : start + step] = data[start : start + step][:, picks]
            return values
    except Exception as error:  # as above
        raise _unreadable(error, path) from None


def _header(fields: Any, path: Path) -> Set:
    n_channels, rate_hz, n_trials, n_samples = (
        _number(fields, name) for name in ("nbchan", "srate", "trials", "pnts")
    )
    if n_trials > 1:
        raise RecordingError(
            f"it is cut into {n_trials:g} epochs", str(path), "save the continuous recording"
        )
    if not (1 <= n_channels <= MAX_CHANNELS and n_channels % 1 == n_samples % 1 == 0):
        raise RecordingError(
            f"{n_channels:g} channels of {n_samples:g} samples cannot be", str(path)
        )
    shape = (int(n_samples), int(n_channels))
    data = own(fields, "data")
    beside = _text(data)
    if beside is None:
        if kind_of(data) not in NUMERIC or data.shape != shape:
            raise RecordingError(
                f"its samples are {kind_of(data)} of shape {data.shape}, not {shape}", str(path)
            )
        samples = path
    else:
        samples = _beside(path, beside, 4 * shape[0] * shape[1])
    return Set(_labels(fields, shape[1], path), rate_hz, shape[0], samples)


def _beside(path: Path, name: str, n_bytes: int) -> Path:
    """Return the file with the samples, renamed with its header perhaps. Raises RecordingError."""
    candidates = [path.with_name(Path(name).name), path.with_suffix(".fdt")]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise RecordingError(f"its samples in '{candidates[0].name}' are missing", str(path))
    if found.resolve().parent != path.parent.resolve():
        raise RecordingError("its header names samples in another folder", str(path))
    if found.stat().st_size < n_bytes:
        raise RecordingError(
            f"its samples are truncated: {found.stat().st_size} of {n_bytes} bytes",
            str(found),
            "copy it again",
        )
    return found


def _labels(fields: Any, n_channels: int, path: Path) -> tuple[str, ...]:
    places = own(fields, "chanlocs")
    labels = own(places, "labels") if isinstance(places, h5py.Group) else None
    if labels is None or labels.external or labels.is_virtual or labels.size > MAX_CHANNELS:
        raise RecordingError("its channels have no names", str(path), "set EEG.chanlocs.labels")
    if labels.dtype == h5py.ref_dtype:
        names = [_text(labels.file[place]) for place in labels[()].ravel()]
    else:
        names = [_text(labels)]  # of one channel, MATLAB makes no array
    known = [name for name in names if name]
    if len(set(known)) != n_channels:
        raise RecordingError(
            f"{len(set(known))} different channel names for {n_channels} channels", str(path)
        )
    return tuple(known)


def _fields(file: h5py.File) -> Any:
    return own(file, "EEG") if "EEG" in file else file


def _number(fields: Any, name: str) -> float:
    value = own(fields, name)
    if value.size != 1 or kind_of(value) not in NUMERIC:
        raise ValueError(f"{name} is no number")
    return float(value[()].item())


def _text(value: h5py.Dataset) -> str | None:
    """Return a text; None if it is none."""
    if value.attrs.get("MATLAB_class") != b"char" or kind_of(value) != CHAR:
        return None
    if value.size > MAX_LABEL:
        raise ValueError("a name is too long")
    return bytes(value[()].ravel().astype("<u2").tobytes()).decode("utf-16-le")


def _unreadable(error: Exception, path: Path) -> RecordingError:
    what = " ".join(str(error).split())[:200]
    return RecordingError(f"not a readable SET file: {what}", str(path), "export it again")
