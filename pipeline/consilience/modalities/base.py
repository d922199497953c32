"""What a sensor must offer to take part: the modality Protocol and the shapes it speaks in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from consilience.schema.params.plugins import ModalityParams
from consilience.signals.types import Features, Header, Signal

if TYPE_CHECKING:  # who only reads recordings need not wait for torch
    from consilience.encoders.base import Encoder


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
