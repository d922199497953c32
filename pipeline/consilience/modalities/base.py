"""What a sensor must offer to take part: the modality Protocol and the shapes it speaks in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:  # who only reads recordings need not wait for torch
    from consilience.encoders.base import Encoder

CLEAN = "clean"
SEVERITIES = (1, 2, 3, 4, 5)
Severities = tuple[float, float, float, float, float]


class Corruption(NamedTuple):
    """One way in which a sensor fails, at five severities.

    Attributes
    ----------
    meaning : str
        What its numbers are, with the unit.
    severities : tuple of 5 floats
        Sensible numbers, from hardly noticeable to hardly usable.
    bounds : tuple of 2 floats
        Least and largest number it can be given.
    apply : callable
        Spoils samples; its arguments are its modality's own affair.
    """

    meaning: str
    severities: Severities
    bounds: tuple[float, float]
    apply: Callable[..., NDArray[Any]]


def default_corruptions(table: Mapping[str, Corruption]) -> Any:
    """Return the field `corruptions` of a modality: noise alone, the description naming all."""
    return Field(
        {"noise": table["noise"].severities},
        description=f"severities 1 to 5 of each kind; known: {', '.join(table)}",
    )


class ModalityParams(BaseModel):
    """Parameters of one modality; a key the modality does not know is an error.

    Attributes
    ----------
    KNOWN : mapping of str to Corruption
        The kinds of corruption there are.
    corruptions : dict of str to tuple of 5 floats
        Those to compute beside the clean features, with what severities 1 to 5 mean.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    KNOWN: ClassVar[Mapping[str, Corruption]] = {}
    corruptions: dict[str, Severities] = {}

    @field_validator("corruptions")
    @classmethod
    def _from_mild_to_hard(cls, corruptions: dict[str, Severities]) -> dict[str, Severities]:
        for kind, numbers in corruptions.items():
            if kind not in cls.KNOWN:
                raise ValueError(f"no kind '{kind}'; known: {', '.join(cls.KNOWN)}")
            meaning, sensible, (low, high), _ = cls.KNOWN[kind]
            if not all(low <= number <= high for number in numbers):
                raise ValueError(f"{kind}: {meaning} must lie in {low:g} to {high:g}")
            if not (np.diff(numbers) * np.sign(sensible[-1] - sensible[0]) > 0).all():
                raise ValueError(
                    f"{kind}: {meaning} must go from mild to hard, as {list(sensible)} does"
                )
        return corruptions

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the corrupted variants: ``<kind>_<severity>``."""
        return tuple(f"{kind}_{level}" for kind in self.corruptions for level in SEVERITIES)

    @property
    def encoding(self) -> dict[str, Any]:
        """What `Modality.encoder` is told beside sizes: which network, how large."""
        return {}


@dataclass(frozen=True)
class Header:
    """What a file says of a recording before its samples are read.

    Attributes
    ----------
    rate_hz : float or None
        Nominal sampling or frame rate; None for a table without a time axis.
    n_channels : int
        Channels of the signal (1 for a video).
    duration_s : float or None
        Seconds on the recording's own clock.
    start_time : str or None
        ISO 8601 time stamp of the first sample, if the header has one.
    """

    rate_hz: float | None
    n_channels: int
    duration_s: float | None
    start_time: str | None = None


@dataclass(frozen=True)
class Signal:
    """A recording as read.

    Attributes
    ----------
    values : ndarray
        Samples along the first axis; units are the modality's (volts, full scale 1, grey 0-255).
    times_s : ndarray of float64, shape (n_samples,)
        Time stamps on the recording's own clock, in seconds; first sample at 0 unless the
        container says otherwise.
    channels : tuple of str
        Channel names (or ``("grey",)``).
    pulses_s : ndarray of float64, shape (n_pulses,)
        Synchronisation pulses seen in this recording, on the same clock.
    anchors_s : ndarray of float64, shape (n_anchors, 2)
        The recording's own time and the session's at moments for which the container itself
        tells both, such as clock offsets measured while recording.
    """

    values: NDArray[Any]
    times_s: NDArray[np.float64]
    channels: tuple[str, ...]
    pulses_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    anchors_s: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))

    def masked(self, channels: Collection[str]) -> Signal:
        """Return the signal with NaN for all that some channels say; other names are ignored."""
        values = np.array(self.values, np.float64)
        values[:, [name in channels for name in self.channels]] = np.nan
        return replace(self, values=values)


@dataclass(frozen=True)
class Features:
    """Feature frames of a recording.

    Attributes
    ----------
    values : ndarray of float32, shape (n_frames, n_features)
        NaN rows are frames without a valid observation.
    times_s : ndarray of float64, shape (n_frames,)
        Centre of each frame on the recording's own clock, increasing.
    names : tuple of str
        One per feature.
    quality : dict of str to float
        Measures with units in their names; ``"quality"`` sums them up in ``[0, 1]``.
    """

    values: NDArray[np.float32]
    times_s: NDArray[np.float64]
    names: tuple[str, ...]
    quality: dict[str, float]


class Modality(Protocol):
    """One sensor, in one file: reader, cleaning, quality, features, corruptions, encoder.

    Attributes
    ----------
    name : str
        The key in ``params.yaml``.
    suffixes : tuple of str
        File name endings it reads, lower case with the dot.
    Params : type of ModalityParams
        Its parameters with their defaults.
    reads : str, optional
        The modality whose recordings this is another reading of: datasets that offer them offer
        it, without a word of their own.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    Params: ClassVar[type[ModalityParams]]

    def probe(self, path: Path, item: str | None) -> Header:
        """Read the header only. Raises RecordingError if the file cannot be this modality's."""
        ...

    def identity(self, path: Path, item: str | None) -> str:
        """Return the hash of the bytes this recording consists of."""
        ...

    def read(self, path: Path, item: str | None, params: Any) -> Signal:
        """Read the samples and find the synchronisation pulses. Raises RecordingError."""
        ...

    def features(self, signal: Signal, params: Any) -> Features:
        """Clean the signal, judge its quality, return feature frames. Raises RecordingError."""
        ...

    def corrupt(
        self, signal: Signal, kind: str, severity: int, params: Any, rng: np.random.Generator
    ) -> Signal:
        """Return the signal spoilt at severity 1 (mild) to 5 (hardly usable), same time stamps.

        Parameters
        ----------
        signal : Signal
        kind : str
            One of ``params.corruptions``.
        severity : int
            1 to 5.
        params : ModalityParams
            The modality's own.
        rng : numpy.random.Generator
        """
        ...

    def frame_rate_hz(self, params: Any) -> float | None:
        """Return the frames a second of a window, or None for one frame a window."""
        ...

    def encoder(self, n_features: int, width: int, dropout: float, **encoding: Any) -> Encoder:
        """Return the network that turns prepared windows into ``width`` numbers.

        ``encoding`` is the parameters' `ModalityParams.encoding`.
        """
        ...


class Inspecting(Protocol):
    """What a modality may offer besides; ``consilience check`` asks those that do."""

    def inspect(self, path: Path, item: str | None) -> list[str]:
        """Return what is wrong with a recording that can be used, one plain sentence each.

        Lost packets, bad contacts, flat channels: with amounts and units, and no longer than a
        line. Nothing to tell is an empty list. Raises RecordingError as `Modality.probe`.
        """
        ...
