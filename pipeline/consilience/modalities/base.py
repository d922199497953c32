"""The modality Protocol: what a sensor must provide, and the abilities it may have besides.

Everything that a modality's file needs can be imported from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from consilience.core.errors import RecordingError
from consilience.core.files import content_hash, text_hash
from consilience.schema.params.plugins import (
    Corruption,
    ModalityParams,
    Severities,
    default_corruptions,
)
from consilience.signals.types import Features, Header, Signal

if TYPE_CHECKING:  # reading recordings does not need torch
    from consilience.encoders.base import Encoder

__all__ = [
    "Corruption",
    "Features",
    "Header",
    "Modality",
    "ModalityParams",
    "RecordingError",
    "Severities",
    "Signal",
    "content_hash",
    "default_corruptions",
    "text_hash",
]


class Modality(Protocol):
    """One sensor, in one file: reader, cleaning, quality, features, corruptions, encoder.

    Attributes
    ----------
    name : str
        Key in ``params.yaml``.
    suffixes : tuple of str
        File name endings it reads, lower case with the dot.
    Params : type of ModalityParams
        Class of its parameters, with their defaults.
    reads : str, optional
        The modality whose recordings this one reads, if it shares them; datasets that offer that
        modality then offer this one.
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
        """Clean the signal, measure its quality, return feature frames. Raises RecordingError."""
        ...

    def corrupt(
        self, signal: Signal, kind: str, severity: int, params: Any, rng: np.random.Generator
    ) -> Signal:
        """Return the signal corrupted at severity 1 (mild) to 5 (hardly usable), same time stamps.

        Parameters
        ----------
        signal : Signal
        kind : str
            One of ``params.corruptions``.
        severity : int
            1 to 5.
        params : ModalityParams
            An instance of the modality's `Params`.
        rng : numpy.random.Generator
        """
        ...

    def encoder(self, n_features: int, width: int, dropout: float, **encoding: Any) -> Encoder:
        """Return the network that maps prepared windows to vectors of ``width`` numbers.

        ``encoding`` is the parameters' `ModalityParams.encoding`. Import the encoder's module
        inside this method: it loads torch, which reading recordings does not need.
        """
        ...
