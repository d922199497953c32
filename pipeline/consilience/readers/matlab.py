"""MATLAB files of two datasets: one trial of many, read without believing what the file declares.

Files of version 5 to 7 go through SciPy, once the size their compressed parts unfold to is known;
version 7.3 is HDF5 and read by h5py, trial by trial. Nothing but plain numeric arrays is loaded.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import text_hash

MAX_BYTES = 2**31  # EAV's largest variable has 0.5 GB
NUMERIC = {
    **{"double": 8, "single": 4, "int64": 8, "uint64": 8, "int32": 4, "uint32": 4},
    **{"int16": 2, "uint16": 2, "int8": 1, "uint8": 1},
}
HDF5 = b"\x89HDF\r\n\x1a\n"
COMPRESSED = 15  # type of a compressed element in version 5 files
BLOCK = 2**20


@dataclass(frozen=True)
class Layout:
    """How a dataset keeps its trials in a variable.

    Attributes
    ----------
    variables : tuple of str
        Names the variable goes by; the first that is there with three axes is taken.
    order : tuple of 3 int
        The axes of trials, samples and channels.
    rate_hz : float
    channels : tuple of str
    """

    variables: tuple[str, ...]
    order: tuple[int, int, int]
    rate_hz: float
    channels: tuple[str, ...]


EAV = Layout(  # Lee et al. 2024: some subjects' variable is called seg1
    ("seg1", "seg"),
    (2, 0, 1),
    500.0,
    (
        *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6"),
        *("T7", "C3", "Cz", "C4", "T8", "CP5", "CP1", "CP2", "CP6"),
        *("P7", "P3", "Pz", "P4", "P8", "PO9", "O1", "Oz", "O2", "PO10"),
    ),
)
DEAP = Layout(  # Koelstra et al. 2012: the preprocessed files
    ("data",),
    (0, 2, 1),
    128.0,
    (
        *("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7"),
        *("PO3", "O1", "Oz", "Pz", "Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz"),
        *("C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"),
        *("hEOG", "vEOG", "zEMG", "tEMG", "GSR", "Respiration", "Plethysmograph", "Temperature"),
    ),
)


@dataclass(frozen=True)
class Table:
    """A variable of trials, before its numbers are read.

    Attributes
    ----------
    layout : Layout
    variable : str
    n_trials, n_samples : int
    """

    layout: Layout
    variable: str
    n_trials: int
    n_samples: int


def trials_of(path: Path) -> Table:
    """Return which of the known layouts a file has, from its header.

    Raises
    ------
    RecordingError
        If it is no MATLAB file, has neither layout, or declares more than can be.
    """
    try:
        shapes = _shapes_73(path) if is_hdf5(path) else _shapes(path)
    except RecordingError:
        raise
    except Exception as error:  # SciPy and h5py raise whatever the bytes lead them to
        what = " ".join(str(error).split())[:200]
        raise RecordingError(f"not a readable MATLAB file: {what}", str(path)) from None
    for layout in (EAV, DEAP):
        for variable in layout.variables:
            shape, kind = shapes.get(variable, ((), ""))
            if len(shape) != 3 or shape[layout.order[2]] != len(layout.channels):
                continue
            if kind not in NUMERIC:
                raise RecordingError(f"'{variable}' holds {kind}, not numbers", str(path))
            if math.prod(shape) * NUMERIC[kind] > MAX_BYTES:
                raise RecordingError(
                    f"'{variable}' would take {math.prod(shape) * NUMERIC[kind] / 1e9:.1f} GB",
                    str(path),
                    f"split it; {MAX_BYTES / 1e9:.0f} GB is the most",
                )
            return Table(layout, variable, shape[layout.order[0]], shape[layout.order[1]])
    told = ", ".join(f"{name} {shape}" for name, (shape, _) in list(shapes.items())[:8])
    raise RecordingError(
        f"no variable of a known layout; there are {told or 'none'}",
        str(path),
        "expected seg or seg1 (samples, 30, trials) or data (trials, 40, samples)",
    )


def read_trial(path: Path, item: str | None) -> tuple[Table, NDArray[np.float64]]:
    """Return one trial's numbers as stored, shape (n_samples, n_channels).

    Parameters
    ----------
    path : Path
    item : str or None
        The trial's number, from 0.

    Raises
    ------
    RecordingError
        As `trials_of`; if there is no such trial, or its numbers are unreadable.
    """
    table = trials_of(path)
    number = trial_number(path, item, table)
    try:
        if is_hdf5(path):
            cube = _trial_73(path, table, number)
        else:
            stat = path.stat()
            cube = _variable(path, table.variable, stat.st_mtime_ns, stat.st_size)
            cube = cube.transpose(table.layout.order)[number]
        if np.iscomplexobj(cube):
            raise RecordingError(f"'{table.variable}' holds complex numbers", str(path))
        return table, np.ascontiguousarray(cube, np.float64)
    except RecordingError:
        raise
    except Exception as error:  # as above
        what = " ".join(str(error).split())[:200]
        raise RecordingError(f"'{table.variable}' is unreadable: {what}", str(path)) from None


def trial_number(path: Path, item: str | None, table: Table) -> int:
    """Return the number of a trial, checked. Raises RecordingError."""
    if not (item or "").isdecimal() or int(item or "") >= table.n_trials:
        raise RecordingError(
            f"there is no trial '{item}'", str(path), f"trials are 0 to {table.n_trials - 1}"
        )
    return int(item or "")


def identity(path: Path, item: str | None) -> str:
    """Return the hash of a trial's numbers and of where they stand."""
    table, values = read_trial(path, item)
    return text_hash(table.variable, str(values.shape), values.tobytes().hex())


def is_hdf5(path: Path) -> bool:
    """Say whether a file is HDF5, as MATLAB 7.3 writes: at its start or after a text header."""
    with path.open("rb") as file:
        head = file.read(512 + len(HDF5))
    return HDF5 in (head[: len(HDF5)], head[512:])


def check_unfolding(path: Path) -> None:
    """Check that the compressed elements of a version 5 file unfold to no more than `MAX_BYTES`.

    Raises
    ------
    RecordingError
        If they do, or the file is truncated.
    """
    size = path.stat().st_size
    total = 0
    with path.open("rb") as file:
        order = "little" if file.read(128)[126:] == b"IM" else "big"
        while file.tell() < size:
            tag = file.read(8)
            kind, length = (int.from_bytes(tag[i : i + 4], order) for i in (0, 4))  # type: ignore[arg-type]
            end = file.tell() + length
            if len(tag) < 8 or end > size:
                raise RecordingError("the file is truncated", str(path), "copy it again")
            total += _unfolded(file, length, MAX_BYTES - total) if kind == COMPRESSED else length
            if total > MAX_BYTES:
                raise RecordingError(
                    f"its {size / 1e6:.1f} MB unfold to more than {MAX_BYTES / 1e9:.0f} GB",
                    str(path),
                    "it cannot be a recording: leave it out",
                )
            file.seek(end)


def _unfolded(file: BinaryIO, length: int, most: int) -> int:
    """Return how many bytes a compressed element holds, counting no further than past `most`."""
    unpacker = zlib.decompressobj()
    total, packed = 0, b""
    while total <= most and (length or packed) and not unpacker.eof:
        if not packed:
            packed = file.read(min(BLOCK, length))
            length -= len(packed)
            if not packed:
                break
        total += len(unpacker.decompress(packed, BLOCK))
        packed = unpacker.unconsumed_tail
    return total


def _shapes(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    check_head(path)
    return {name: (tuple(shape), kind) for name, shape, kind in scipy.io.whosmat(path)}


def check_head(path: Path) -> None:
    """Check the text every version 5 file begins with, before any reader guesses at the bytes."""
    with path.open("rb") as file:
        head = file.read(128)
    if len(head) < 128 or head[126:] not in (b"IM", b"MI"):
        raise RecordingError(
            "not a MATLAB file of version 5 to 7.3", str(path), "save it with 'save -v7'"
        )


@lru_cache(maxsize=1)
def _variable(path: Path, name: str, mtime_ns: int, size: int) -> NDArray[Any]:
    """Load a variable; trials of one file are asked for one after the other."""
    check_unfolding(path)
    loaded: NDArray[Any] = scipy.io.loadmat(path, variable_names=[name], mat_dtype=False)[name]
    return loaded


def _shapes_73(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    with h5py.File(path, "r") as file:
        return {
            name: (file[name].shape[::-1], kind_of(file[name]))
            for name in file
            if isinstance(file.get(name, getlink=True), h5py.HardLink)
            and isinstance(file[name], h5py.Dataset)
            and file[name].shape is not None
        }


def own(group: h5py.Group, name: str) -> Any:
    """Return a member of an HDF5 group. Raises ValueError if it is a link or not there."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"there is no {name} in the file itself")
    return group[name]


def kind_of(dataset: h5py.Dataset) -> str:
    """Return MATLAB's name of a dataset's type, or the reason why it cannot be loaded."""
    if dataset.external or dataset.is_virtual:
        return "what another file holds"
    names = {np.dtype(name): name for name in NUMERIC if name not in ("double", "single")}
    names |= {np.dtype("f8"): "double", np.dtype("f4"): "single"}
    return names.get(dataset.dtype, str(dataset.dtype))


def _trial_73(path: Path, table: Table, number: int) -> NDArray[Any]:
    """Read a trial. MATLAB's axes stand in reverse in HDF5."""
    trial, sample, channel = (2 - axis for axis in table.layout.order)
    with h5py.File(path, "r") as file:
        where: list[Any] = [slice(None)] * 3
        where[trial] = number
        part: NDArray[Any] = file[table.variable][tuple(where)]
    return part if sample < channel else part.T
