"""The modality Protocol: what every sensor provides, and the abilities that some have besides.

Everything that a modality's file needs can be imported from here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from consilience.core import registry
from consilience.core.errors import RecordingError
from consilience.core.files import content_hash, text_hash
from consilience.core.seeds import generator
from consilience.schema.constants import SEVERITIES
from consilience.schema.params.plugins import (
    Corruption,
    ModalityParams,
    Severities,
    default_corruptions,
)
from consilience.signals.types import Features, Header, Signal

if TYPE_CHECKING:  # reading recordings does not need torch
    from consilience.encoders.base import Encoder
    from consilience.readers.base import Recording

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

STREAM_STEP_S = 4.0  # see `Modality.stream_step_s`


class Modality(Protocol):
    """One sensor, in one file: reader, cleaning, quality, features, corruptions, encoder.

    A sensor's class derives from this one. It must define the attributes `name`, `suffixes` and
    `Params` and every abstract method. The rest are optional abilities, which have a default:

    ====================  ==========================================================  ==========
    ability               used by                                                     default
    ====================  ==========================================================  ==========
    `encoder`             training, as the first part of every network                `ENCODER`
    `reads`               datasets, to offer it wherever they offer that modality     None
    `activity_feature`    alignment, to match the time course of speech and movement  None
    `weights`             ``init`` and ingest, to name packages that are missing      none
    `sound`               alignment, to match sound tracks of the same room           None
    `inspect`             ``consilience check``, to list findings about good files    no findings
    `corrupted_features`  ingest, to share work over the severities of a corruption   one by one
    `configured`          the catalog, so that `probe` and `inspect` use parameters   itself
    `stream_signal`       ``consilience live``, to read the sensor from a stream      an error
    `stream_features`     ``consilience live``, to leave out measures of quality         `features`
    `least_stream_hz`     ``consilience live``, to refuse a stream that is too slow   0
    `stream_step_s`       ``consilience live``, where a stretch of samples may begin  4 s
    ====================  ==========================================================  ==========

    Attributes
    ----------
    name : str
        Key in ``params.yaml``.
    suffixes : tuple of str
        File name endings it reads, lower case with the dot.
    Params : type of ModalityParams
        Class of its parameters, with their defaults.
    reads : str or None
        The modality whose recordings this one reads, if it has none of its own.
    activity_feature : str or None
        Name of the feature that rises while the subject speaks or moves, such as loudness or the
        motion of the mouth. Two sensors of one session that both have one can be aligned by it.
    weights : tuple of str
        Packages whose weights it reads. They are installed without their dependencies, hence not
        with this package; without one of them, ingest stops before it reads a recording.
    context_s : float
        Seconds of samples before the end of a window from which ``consilience live`` computes its
        frames: as many as its features need of a recording, and its time for them allows.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    Params: ClassVar[type[ModalityParams]]
    reads: ClassVar[str | None] = None
    activity_feature: ClassVar[str | None] = None
    weights: ClassVar[tuple[str, ...]] = ()
    context_s: ClassVar[float] = 60.0

    @abstractmethod
    def probe(self, path: Path, item: str | None) -> Header:
        """Read the header only. Raises RecordingError if the file cannot be this modality's."""
        ...

    @abstractmethod
    def identity(self, path: Path, item: str | None) -> str:
        """Return the hash of the bytes this recording consists of."""
        ...

    @abstractmethod
    def read(self, path: Path, item: str | None, params: Any) -> Signal:
        """Read the samples and find the synchronisation pulses. Raises RecordingError."""
        ...

    @abstractmethod
    def features(self, signal: Signal, params: Any) -> Features:
        """Clean the signal, measure its quality, return feature frames. Raises RecordingError."""
        ...

    @abstractmethod
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

    def corrupted_features(
        self, signal: Signal, clean: Features, kind: str, params: Any, recording: str
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the feature frames of a corruption at severities 1 to 5, on the clean frames' grid.

        A sensor whose corruptions share work over the severities overrides this method; it must
        yield what `features` of `corrupt` returns, up to rounding.

        Parameters
        ----------
        signal : Signal
        clean : Features
            Of the same signal.
        kind : str
            One of ``params.corruptions``.
        params : ModalityParams
            An instance of the modality's `Params`.
        recording : str
            Its id, from which the random draws follow.

        Yields
        ------
        ndarray of float32, shape (n_frames, n_features)
            All NaN if nothing usable is left.
        """
        for severity in SEVERITIES:
            # Seeded by name: a kind's noise does not depend on which other kinds are computed.
            rng = generator(kind, recording, severity)
            corrupted = self.corrupt(signal, kind, severity, params, rng)
            try:
                yield self.features(corrupted, params).values
            except RecordingError:
                yield np.full_like(clean.values, np.nan)

    def encoder(self, n_features: int, width: int, dropout: float, **encoding: Any) -> Encoder:
        """Return the network that encodes a window as ``width`` numbers.

        ``encoding`` is the parameters' `ModalityParams.encoding`. The class is the registered
        encoder that they name in `ModalityParams.ENCODER`, so that reading recordings imports no
        network and does not depend on one. An override that imports a network inside the method
        starts as fast, but a change of that network repeats the ingest of all recordings.
        """
        encoder: Encoder = registry.get("encoders", self.Params.ENCODER)(
            n_features, width, dropout, **encoding
        )
        return encoder

    def sound(self, path: Path, item: str | None, rate_hz: float) -> Signal | None:
        """Return the sound track of a recording's file, for alignment.

        Parameters
        ----------
        path : Path
        item : str or None
        rate_hz : float
            Rate to which the sound is resampled.

        Returns
        -------
        Signal or None
            ``values`` float32, shape (n_samples,), mono, full scale 1, NaN where sound was lost;
            ``times_s`` on the clock of the recording. None if the file has no readable sound.
        """
        return None

    def stream_signal(self, recording: Recording, params: Any) -> Signal:
        """Return the samples of a stream that is being received, as `read` those of a file.

        Parameters
        ----------
        recording : Recording
            The latest samples; none, to check the names and the units of the channels.
        params : ModalityParams
            An instance of the modality's `Params`.

        Raises
        ------
        RecordingError
            If the sensor cannot be read from this stream, or from any.
        """
        raise RecordingError(
            f"{self.name} is not read from samples",
            str(recording.path),
            "send its feature frames: a stream whose channels are named as the features",
        )

    def stream_features(self, signal: Signal, params: Any) -> Features:
        """Return the feature frames of a stream as `features`, perhaps without its quality.

        A sensor whose quality takes long to measure overrides this method.

        Parameters
        ----------
        signal : Signal
            Of `stream_signal`.
        params : ModalityParams
            An instance of the modality's `Params`.

        Raises
        ------
        RecordingError
            As `features`.
        """
        return self.features(signal, params)

    def least_stream_hz(self, params: Any) -> float:
        """Return the least nominal rate in Hz of a stream from which features are computed."""
        return 0.0

    def stream_step_s(self, params: Any, rate_hz: float) -> float:
        """Return a time after whose multiples a stretch of samples of a stream may begin.

        What is computed on a grid from the first sample on, such as frames, has the same grid in a
        stretch that begins a multiple of its step after it.

        Parameters
        ----------
        params : ModalityParams
            An instance of the modality's `Params`.
        rate_hz : float
            Nominal rate of the stream; 0 for samples at irregular times.
        """
        return STREAM_STEP_S

    def configured(self, params: Any) -> Modality:
        """Return the modality that probes and inspects files by some parameters; itself.

        Parameters
        ----------
        params : ModalityParams
            An instance of the modality's `Params`.
        """
        return self

    def inspect(self, path: Path, item: str | None) -> list[str]:
        """Return findings about a recording that can be used, for check, ingest and the report.

        Lost packets, bad contacts, flat channels: one sentence each, with amounts and units, no
        longer than a line. Raises RecordingError as `probe`.
        """
        return []
