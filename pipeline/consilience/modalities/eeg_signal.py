"""EEG as it is: the cleaned samples themselves, for networks that filter them on their own.

Another reading of the same recordings as `eeg`, cleaned alike; the lowest and highest of
``bands_hz`` bound what is let through. Channels are centred and scaled by their own median and
median absolute deviation over the recording: what an electrode's contact or a skull makes of
the amplitude is the recording's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from consilience.modalities.eeg import Eeg
from consilience.modalities.params.eeg import EegParams
from consilience.modalities.params.eeg_signal import EegSignalParams
from consilience.signals.robust import MAD_TO_SD
from consilience.signals.types import Features, Signal

if TYPE_CHECKING:
    from consilience.encoders.base import Encoder

FRAMES_PER_SAMPLE = 2  # windows take samples by linear interpolation: at 45 of 128 Hz, half is lost
SCALE_FLOOR_V = 1e-9


class EegSignal(Eeg):
    """The EEG modality, as a signal."""

    name: ClassVar[str] = "eeg_signal"
    reads: ClassVar[str | None] = "eeg"
    Params: ClassVar[type[EegParams]] = EegSignalParams

    def features(self, signal: Signal, params: EegParams) -> Features:
        """Clean the recording and return it in robust standard deviations of each channel.

        Frames within a gap in time, or where more than ``max_bad_fraction`` of the channels had
        no contact, are NaN.

        Raises
        ------
        RecordingError
            As `Eeg.features`.
        """
        assert isinstance(params, EegSignalParams)
        cleaned = self.cleaned(signal, params)
        step = cleaned.rate_hz / (FRAMES_PER_SAMPLE * params.rate_hz)
        places = np.arange(0, cleaned.values.shape[1] - 1 + 1e-9, step)
        frames = np.stack(
            [
                scipy.ndimage.map_coordinates(scaled(channel, ~cleaned.gone), [places], order=3)
                for channel in cleaned.values
            ],
            axis=1,
        ).astype(np.float32)
        low, high = np.floor(places).astype(int), np.ceil(places).astype(int)
        frames[cleaned.gone[low] | cleaned.gone[high]] = np.nan
        names = tuple(f"{channel}_sd" for channel in params.channels)
        return Features(
            frames, signal.times_s[0] + places / cleaned.rate_hz, names, cleaned.quality
        )

    def encoder(self, n_features: int, width: int, dropout: float, **encoding: Any) -> Encoder:
        """Return the network chosen."""
        from consilience.encoders.signal_networks import SignalEncoder

        return SignalEncoder(width, dropout, **encoding)


def scaled(channel: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return a channel in its own robust standard deviations.

    Parameters
    ----------
    channel : ndarray of float64, shape (n_samples,)
        In volts.
    known : ndarray of bool, shape (n_samples,)
        The samples it is judged by; all where none is.
    """
    judged = channel[known] if known.any() else channel
    centre = np.median(judged)
    scale = MAD_TO_SD * np.median(np.abs(judged - centre))
    result: NDArray[np.float64] = (channel - centre) / max(scale, SCALE_FLOOR_V)
    return result


modality = EegSignal()
