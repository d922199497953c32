"""Numeric arrays of MATLAB files, and the layout in which they hold recordings.

Versions 5 to 7 are read by SciPy, after the uncompressed size of the file has been checked.
Version 7.3 is HDF5 and is read by h5py, one recording at a time. Only numeric arrays are loaded:
objects, cells, links and data stored in other files are refused.

A dataset declares its layout with `MatlabLayout` and passes it to the reader as text, as the item
of each recording. The item reaches worker processes with the recording, so that a reader needs
no access to the dataset.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO, Literal

import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from consilience.core.errors import RecordingError
from consilience.core.files import cached_per_file, text_hash

MAX_BYTES = 2**31  # the largest variable of EAV has 0.5 GB
ITEM_BYTES = {
    **{"double": 8, "single": 4, "int64": 8, "uint64": 8, "int32": 4, "uint32": 4},
    **{"int16": 2, "uint16": 2, "int8": 1, "uint8": 1, "logical": 1},
}
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HDF5_OFFSET = 512  # MATLAB writes a text header of this length before the HDF5 data
COMPRESSED = 15  # type of a compressed element in version 5 files
BLOCK_BYTES = 2**20
MAX_LISTED = 8  # variables named in an error message

Axis = Literal["trials", "samples", "channels"]
Shapes = dict[str, tuple[tuple[int, ...], str]]  # shape and MATLAB class by variable


class MatlabLayout(BaseModel):
    """Layout of recordings in a variable of a MATLAB file, declared by a dataset.

    Attributes
    ----------
    variables : tuple of str
        Names of the variable; ``*`` and ``?`` are wildcards. The first variable of the file that
        matches a name and has one row per channel is read.
    axes : tuple of str
        What MATLAB's ``size`` counts, in its order: ``"samples"`` and ``"channels"``, and
        ``"trials"`` if the variable holds several recordings.
    rate_hz : float
        Sampling rate.
    channels : tuple of str
        Names of the channels, one per element of the channel axis.
    units : str or tuple of str
        Unit of all channels, or of each: ``"uV"``, ``"kOhm"`` and so on, see
        `consilience.readers.units`; values in any other unit are not scaled. Empty if unknown:
        the sensor's usual unit is assumed.
    trial : int or None
        Index of one recording on the axis ``"trials"``, from 0. A dataset leaves it to `item`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    variables: tuple[str, ...] = Field(min_length=1)
    axes: tuple[Axis, ...]
    rate_hz: float = Field(gt=0, allow_inf_nan=False)
    channels: tuple[str, ...] = Field(min_length=1)
    units: str | tuple[str, ...] = ""
    trial: int | None = None

    @model_validator(mode="after")
    def _consistent(self) -> MatlabLayout:
        if len(set(self.axes)) < len(self.axes) or not {"samples", "channels"} <= set(self.axes):
            raise ValueError("axes must be samples, channels and at most trials, each once")
        if len(set(self.channels)) < len(self.channels):
            raise ValueError("channels must have different names")
        if not isinstance(self.units, str) and len(self.units) != len(self.channels):
            raise ValueError("units must be one for all channels, or one per channel")
        return self

    def item(self, trial: int | None = None, variable: str | None = None) -> str:
        """Return the item of one recording, for `Entry.item`.

        Parameters
        ----------
        trial : int or None
            Index on the axis ``"trials"``, from 0; None if the layout has no such axis.
        variable : str or None
            Name of the variable, where each recording has another one; it replaces `variables`.

        Returns
        -------
        str
            The layout and the trial as JSON, without spaces.
        """
        changes: dict[str, Any] = {"trial": None if trial is None else int(trial)}
        if variable is not None:
            changes["variables"] = (variable,)
        return self.model_copy(update=changes).model_dump_json(exclude_defaults=True)

    def unit_of(self, channel: str) -> str:
        """Return the unit of a channel; empty if unknown."""
        if isinstance(self.units, str):
            return self.units
        return self.units[self.channels.index(channel)]


@dataclass(frozen=True)
class Variable:
    """A variable whose shape agrees with a layout.

    Attributes
    ----------
    name : str
    sizes : dict of str to int
        Length of each axis of the layout.
    """

    name: str
    sizes: dict[Axis, int]


def parse_item(path: Path, item: str | None) -> MatlabLayout:
    """Return the layout that an item holds.

    Raises
    ------
    RecordingError
        If the item is not the text of a `MatlabLayout`.
    """
    try:
        return MatlabLayout.model_validate_json(item or "")
    except ValidationError:
        what = f"the item '{item[:50]}' is not a MATLAB layout" if item else "no MATLAB layout"
        remedy = "declare a MatlabLayout in the dataset, see docs/adding-a-dataset.md"
        raise RecordingError(what, str(path), remedy) from None


def find_variable(path: Path, layout: MatlabLayout) -> Variable:
    """Return the variable that holds a layout's recordings, from the file's header.

    Raises
    ------
    RecordingError
        If the file is not readable, has no such variable, the variable is not numeric or too
        large, or the layout's trial does not exist.
    """
    shapes = _guarded(path, _shapes)
    for pattern in layout.variables:
        for name, (shape, kind) in shapes.items():
            sizes = _sizes(shape, layout)
            if sizes is None or not fnmatchcase(name, pattern):
                continue
            if kind not in ITEM_BYTES:
                raise RecordingError(f"'{name}' holds {kind}, not numbers", str(path))
            # Version 7.3 is read trial by trial, older versions as a whole.
            divided = sizes.get("trials", 1) if is_hdf5(path) else 1
            _check_size(path, name, math.prod(shape) * ITEM_BYTES[kind] // max(divided, 1))
            _check_trial(path, layout, sizes)
            return Variable(name, sizes)
    listed = ", ".join(f"{name} {shape}" for name, (shape, _) in list(shapes.items())[:MAX_LISTED])
    raise RecordingError(
        f"no variable has the declared layout; the file has {listed or 'none'}",
        str(path),
        f"expected {' or '.join(layout.variables)} ({', '.join(layout.axes)}) "
        f"with {len(layout.channels)} channels",
    )


def read_recording(path: Path, layout: MatlabLayout) -> NDArray[np.float64]:
    """Return one recording's numbers as stored, shape (n_samples, n_channels).

    Raises
    ------
    RecordingError
        As `find_variable`; or if the numbers are complex or unreadable.
    """
    variable = find_variable(path, layout)

    def read(path: Path) -> NDArray[np.float64]:
        load = _load_73 if is_hdf5(path) else _load
        values = load(path, variable, layout)
        if np.iscomplexobj(values):
            raise RecordingError(f"'{variable.name}' holds complex numbers", str(path))
        return np.ascontiguousarray(values, np.float64)

    return _guarded(path, read)


def read_array(path: Path, name: str) -> NDArray[Any]:
    """Return a numeric variable, its axes in MATLAB's order; for labels and other small tables.

    Raises
    ------
    RecordingError
        If the file is not readable, or has no numeric array of this name.
    """
    shape, kind = _guarded(path, _shapes).get(name, ((), ""))
    if kind not in ITEM_BYTES:
        raise RecordingError(f"no numeric array called '{name}'", str(path))
    _check_size(path, name, math.prod(shape) * ITEM_BYTES[kind])

    def read(path: Path) -> NDArray[Any]:
        if not is_hdf5(path):
            return _load_variable(path, name)
        with h5py.File(path, "r") as file:
            values: NDArray[Any] = file[name][()]
        return values.T

    return _guarded(path, read)


def identity(path: Path, item: str | None) -> str:
    """Return the hash of a recording: its layout, the variable's name and the numbers.

    The layout is part of it, because a corrected rate or channel name changes the features. The
    index of the trial is not, so that two trials with the same numbers are duplicates.
    """
    layout = parse_item(path, item)
    values = read_recording(path, layout)
    name = find_variable(path, layout).name
    return text_hash(layout.item(), name, str(values.shape), values.tobytes().hex())


def is_hdf5(path: Path) -> bool:
    """Return whether a file is HDF5: from its start, or after MATLAB's text header."""
    with path.open("rb") as file:
        head = file.read(HDF5_OFFSET + len(HDF5_SIGNATURE))
    return HDF5_SIGNATURE in (head[: len(HDF5_SIGNATURE)], head[HDF5_OFFSET:])


def check_header(path: Path) -> None:
    """Check the header of a version 5 file, before a parser interprets the bytes.

    Raises
    ------
    RecordingError
        If the file does not begin with such a header.
    """
    with path.open("rb") as file:
        head = file.read(128)
    if len(head) < 128 or head[126:] not in (b"IM", b"MI"):
        raise RecordingError(
            "not a MATLAB file of version 5 to 7.3", str(path), "save it with 'save -v7'"
        )


def check_uncompressed_size(path: Path) -> None:
    """Check that the elements of a version 5 file take at most `MAX_BYTES` uncompressed.

    Raises
    ------
    RecordingError
        If they take more, or the file is truncated.
    """
    size = path.stat().st_size
    total = 0
    with path.open("rb") as file:
        order: Literal["little", "big"] = "little" if file.read(128)[126:] == b"IM" else "big"
        while file.tell() < size:
            tag = file.read(8)
            kind, length = (int.from_bytes(tag[i : i + 4], order) for i in (0, 4))
            end = file.tell() + length
            if len(tag) < 8 or end > size:
                raise RecordingError("the file is truncated", str(path), "copy it again")
            # A compressed element does not state its true size: decompress it to count the bytes.
            compressed = kind == COMPRESSED
            total += _count_bytes(file, length, MAX_BYTES - total) if compressed else length
            if total > MAX_BYTES:
                raise RecordingError(
                    f"its {size / 1e6:.1f} MB decompress to more than {MAX_BYTES / 1e9:.0f} GB",
                    str(path),
                    "not a recording: remove it",
                )
            file.seek(end)


def hard_link(group: h5py.Group, name: str) -> Any:
    """Return a member of an HDF5 group. Raises ValueError if it is missing or a link."""
    # A soft or external link could lead to any file that the user may read.
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is not stored in the file itself")
    return group[name]


def class_of(dataset: h5py.Dataset) -> str:
    """Return MATLAB's name of a dataset's type, or a description of why it cannot be loaded."""
    if dataset.external or dataset.is_virtual:
        return "data stored in another file"
    names = {np.dtype(name): name for name in ITEM_BYTES if name[-1].isdigit()}
    names |= {np.dtype("f8"): "double", np.dtype("f4"): "single"}
    return names.get(dataset.dtype, str(dataset.dtype))


def _guarded(path: Path, read: Callable[[Path], Any]) -> Any:
    """Apply a reading function; any failure of a parser becomes a RecordingError."""
    try:
        return read(path)
    except RecordingError:
        raise
    except Exception as error:  # SciPy and h5py raise almost anything on damaged bytes
        what = " ".join(str(error).split())[:200]
        raise RecordingError(f"not a readable MATLAB file: {what}", str(path)) from None


def _check_size(path: Path, name: str, n_bytes: int) -> None:
    if n_bytes > MAX_BYTES:
        raise RecordingError(
            f"'{name}' would take {n_bytes / 1e9:.1f} GB",
            str(path),
            f"split it; at most {MAX_BYTES / 1e9:.0f} GB are read at once",
        )


def _check_trial(path: Path, layout: MatlabLayout, sizes: dict[Axis, int]) -> None:
    if "trials" not in sizes:
        if layout.trial is not None:
            raise RecordingError(f"no trial {layout.trial}: the layout has no trials", str(path))
    elif layout.trial is None or not 0 <= layout.trial < sizes["trials"]:
        raise RecordingError(
            f"no trial {layout.trial}", str(path), f"trials are 0 to {sizes['trials'] - 1}"
        )


def _sizes(shape: tuple[int, ...], layout: MatlabLayout) -> dict[Axis, int] | None:
    """Return the length of each axis of a layout, or None if a shape does not agree with it."""
    # MATLAB drops last axes of length 1, such as that of the trials in a file with a single one.
    padded = (*shape, *(1,) * (len(layout.axes) - len(shape)))
    sizes = dict(zip(layout.axes, padded, strict=False))
    agree = len(padded) == len(layout.axes) and sizes["channels"] == len(layout.channels)
    return sizes if agree else None


def _count_bytes(file: BinaryIO, length: int, limit: int) -> int:
    """Return the uncompressed bytes of an element; counting stops once past `limit`."""
    decompressor = zlib.decompressobj()
    total, compressed = 0, b""
    while total <= limit and (length or compressed) and not decompressor.eof:
        if not compressed:
            compressed = file.read(min(BLOCK_BYTES, length))
            length -= len(compressed)
            if not compressed:
                break
        # One block at a time, so that a decompression bomb never fills the memory.
        total += len(decompressor.decompress(compressed, BLOCK_BYTES))
        compressed = decompressor.unconsumed_tail
    return total


def _shapes(path: Path) -> Shapes:
    """Return the shape, in MATLAB's order, and the class of every variable."""
    if not is_hdf5(path):
        check_header(path)
        return {name: (tuple(shape), kind) for name, shape, kind in scipy.io.whosmat(path)}
    with h5py.File(path, "r") as file:
        return {
            name: (file[name].shape[::-1], class_of(file[name]))
            for name in file
            if isinstance(file.get(name, getlink=True), h5py.HardLink)
            and isinstance(file[name], h5py.Dataset)
            and file[name].shape is not None
        }


def _load(path: Path, variable: Variable, layout: MatlabLayout) -> NDArray[Any]:
    """Load a recording from a file of version 5 to 7, shape (n_samples, n_channels)."""
    values = _recording_variable(path, variable.name)
    values = values.reshape([variable.sizes[axis] for axis in layout.axes])
    if layout.trial is not None:
        values = np.moveaxis(values, layout.axes.index("trials"), 0)[layout.trial]
    samples_first = layout.axes.index("samples") < layout.axes.index("channels")
    return values if samples_first else values.T


def _load_variable(path: Path, name: str) -> NDArray[Any]:
    check_uncompressed_size(path)
    loaded: NDArray[Any] = scipy.io.loadmat(path, variable_names=[name], mat_dtype=False)[name]
    return loaded


# Consecutive trials of a file are read from memory.
_recording_variable = cached_per_file(1)(_load_variable)


def _load_73(path: Path, variable: Variable, layout: MatlabLayout) -> NDArray[Any]:
    """Load a recording from a file of version 7.3, shape (n_samples, n_channels)."""
    with h5py.File(path, "r") as file:
        dataset = file[variable.name]
        # HDF5 stores MATLAB's axes in reverse order, without those that MATLAB dropped.
        stored = layout.axes[: dataset.ndim][::-1]
        selection = tuple(layout.trial if axis == "trials" else slice(None) for axis in stored)
        values: NDArray[Any] = dataset[selection]
    order = [axis for axis in layout.axes[::-1] if axis != "trials"]
    values = values.reshape([variable.sizes[axis] for axis in order])
    return values if order[0] == "samples" else values.T
