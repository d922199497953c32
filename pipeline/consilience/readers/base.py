"""The interface of an open recording of several channels, whatever its format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.scratch import even_times_s, joined
from consilience.readers.units import is_blank, resolve_unit

Array = NDArray[np.float64]

MAX_EXPANSION = 64  # bytes in memory per byte of the file
SMALL_BYTES = 2**28  # of memory; recordings that need less are always read


def unique_names(labels: Iterable[str]) -> list[str]:
    """Return names for labels that may be repeated: a repeated label gets a number."""
    names: list[str] = []
    for label in labels:
        name, number = label, 1
        while name in names:
            number += 1
            name = f"{label} ({number})"
        names.append(name)
    return names


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
    selected : bool
        Whether the item selects what the sensor recorded, so that its channels may have any name.
    in_microvolts : bool
        Whether voltages are in microvolts by the convention of the format, which states no unit.
    sidecar_units : mapping of str to str
        Units that a file beside the recording states, by channel; ``"*"`` for all.
    picture_size : tuple of int
        Height and width, if a sample is a picture, a channel per pixel; else (0, 0).
    """

    path: Path
    names: tuple[str, ...]
    rate_hz: float
    n_samples: int
    start_time: str | None
    bads: tuple[str, ...] = ()
    selected: bool = False
    in_microvolts: bool = False
    sidecar_units: Mapping[str, str] = MappingProxyType({})
    picture_size: tuple[int, int] = (0, 0)

    @property
    def file_bytes(self) -> int:
        """The size in bytes of the file and of its companions."""
        return self.path.stat().st_size

    @property
    def duration_s(self) -> float:
        """The duration in seconds on the recording's clock, gaps that the file states included."""
        return self.n_samples / self.rate_hz

    def unit(self, name: str) -> str:
        """Return the unit of a channel as the file states it; empty if it states none."""
        return ""

    def stated_unit(self, name: str) -> str:
        """Return the unit of a channel as its file states it, or else a file beside it."""
        unit = self.unit(name)
        if self.in_microvolts or not is_blank(unit):
            return unit
        return self.sidecar_units.get(name, self.sidecar_units.get("*", ""))

    def other_units(self, names: Sequence[str]) -> list[str]:
        """Return a line on the channels whose unit differs from that in the file beside it."""
        differing = []
        for name in names:
            beside = self.sidecar_units.get(name, self.sidecar_units.get("*", ""))
            first, second = resolve_unit(self.unit(name)), resolve_unit(beside)
            if first is not None and second is not None and first != second:
                differing.append(f"{name} '{self.unit(name)}' instead of '{beside}'")
        listed = ", ".join(differing[:4]) + (", …" if len(differing) > 4 else "")
        return [f"units differ from channels.tsv, the file's are used: {listed}"] if listed else []

    def values(self, names: Sequence[str], default: float) -> Array:
        """Return the samples of some channels.

        Parameters
        ----------
        names : sequence of str
        default : float
            Factor to the SI unit, for channels whose unit the file does not state.

        Returns
        -------
        ndarray of float64, shape (n_samples, n_names)
            In volts, siemens or ohms; other quantities in the unit of the file. In a temporary
            file if it is large.

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
        factors = np.array([self._factor(name, default) for name in names])
        channels = [self.names.index(name) for name in names]
        try:
            values = joined(_scaled(block, factors) for block in self._blocks(channels))
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            what = " ".join(str(error).split())
            raise RecordingError(f"the samples are unreadable: {what}", str(self.path)) from None
        return values

    def without_unit(self, names: Sequence[str], quantity: str) -> list[str]:
        """Return the channels whose unit the file does not state.

        Parameters
        ----------
        names : sequence of str
        quantity : str
            Quantity that the channels should hold, see `consilience.readers.units`.

        Raises
        ------
        RecordingError
            If a channel has an unknown unit, or one of another quantity.
        """
        units = {name: self.stated_unit(name) for name in names}
        for name, spelling in units.items():
            unit = resolve_unit(spelling)
            if not is_blank(spelling) and (unit is None or unit.quantity != quantity):
                where = "channels.tsv" if is_blank(self.unit(name)) else "the header"
                raise RecordingError(
                    f"channel '{name}' has the unit '{spelling}', not a known unit of {quantity}",
                    str(self.path),
                    f"correct the unit in {where}",
                )
        return [name for name in names if is_blank(units[name]) and not self.in_microvolts]

    @property
    def stamped(self) -> bool:
        """Whether the file stores time stamps, beyond its nominal rate."""
        return False

    def at_rate_of(self, names: Sequence[str]) -> Self:
        """Return the recording at the sampling rate of some channels, the most common of them.

        Only formats with a rate of its own for each channel differ: the returned recording has
        the channels of that rate alone.
        """
        return self

    def times_s(self) -> Array:
        """Return the samples' times on the recording's clock in seconds, shape (n_samples,)."""
        return even_times_s(self.n_samples, self.rate_hz)

    def anchors_s(self) -> Array:
        """Return pairs of recording time and session time in seconds, shape (n_anchors, 2)."""
        return np.empty((0, 2))

    def pulses_s(self, code: int | None = None) -> Array:
        """Return the times of the synchronisation markers in seconds, shape (n_pulses,).

        Parameters
        ----------
        code : int, optional
            Their code; by default, the most frequent.
        """
        return np.empty(0)

    def findings(self) -> list[str]:
        """Return what differs from the header, and what markers there are; usually nothing."""
        return []

    def stored_samples(self) -> NDArray[Any]:
        """Return all samples as they are stored, shape (n_samples, n_channels)."""
        return self._read(list(range(len(self.names))))

    def _factor(self, name: str, default: float) -> float:
        """Return the factor to the SI unit; 1 for quantities that are kept in the file's unit."""
        spelling = self.stated_unit(name)
        if is_blank(spelling):
            return default
        unit = resolve_unit(spelling)
        return unit.factor if unit else 1.0

    def _blocks(self, channels: list[int]) -> Iterator[Array]:
        """Yield the samples of some channels, as the format's reader scales, in new arrays."""
        yield self._read(channels)

    def _read(self, channels: list[int]) -> Array:
        """Return all samples of some channels, for formats that are not read in blocks."""
        raise NotImplementedError


def _scaled(block: Array, factors: Array) -> Array:
    in_place = block if block.dtype == np.float64 else None
    return np.multiply(block, factors, out=in_place)
