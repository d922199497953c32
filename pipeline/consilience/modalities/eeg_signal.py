"""EEG as a signal: the cleaned samples themselves, for networks that learn their own filters.

It reads the recordings of `eeg` and cleans them in the same way; the lowest and highest of
``bands_hz`` limit the band. Every channel is centred and scaled by its median and median absolute
deviation over the recording, because its amplitude depends on contact and skull.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from consilience.modalities.base import Modality
from consilience.modalities.eeg import Eeg
from consilience.modalities.params.eeg import EegParams
from consilience.modalities.params.eeg_signal import FRAMES_PER_SAMPLE, EegSignalParams
from consilience.signals.robust import MAD_TO_SD
from consilience.signals.types import Features, Signal

SCALE_FLOOR_V = 1e-9


class EegSignal(Eeg):
    """The EEG modality, as a signal."""

    name: ClassVar[str] = "eeg_signal"
    reads: ClassVar[str | None] = "eeg"
    Params: ClassVar[type[EegParams]] = EegSignalParams
    corrupted_features = Modality.corrupted_features  # `Eeg` shares work over spectra, not samples

    def features(self, signal: Signal, params: EegParams) -> Features:
        """Clean the recording and return it in robust standard deviations of each channel.

        Frames within a gap in time, or where more than ``max_bad_fraction`` of the channels have
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
                scipy.ndimage.map_coordinates(scaled(channel, ~cleaned.missing), [places], order=3)
                for channel in cleaned.values
            ],
            axis=1,
        ).astype(np.float32)
        low, high = np.floor(places).astype(int), np.ceil(places).astype(int)
        frames[cleaned.missing[low] | cleaned.missing[high]] = np.nan
        names = tuple(f"{channel}_sd" for channel in params.channels)
        return Features(
            frames, signal.times_s[0] + places / cleaned.rate_hz, names, cleaned.quality
        )


def scaled(channel: NDArray[np.float64], present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return a channel in robust standard deviations about its median.

    Parameters
    ----------
    channel : ndarray of float64, shape (n_samples,)
        In volts.
    present : ndarray of bool, shape (n_samples,)
        The samples from which median and deviation are computed; all if none is.
    """
    reference = channel[present] if present.any() else channel
    centre = np.median(reference)
    scale = MAD_TO_SD * np.median(np.abs(reference - centre))
    result: NDArray[np.float64] = (channel - centre) / max(scale, SCALE_FLOOR_V)
    return result


modality = EegSignal()
