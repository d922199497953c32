"""Voice as a spectrogram: log-mel bands over time, for a network over time and frequency.

It reads the recordings of `audio`, with the same pulses removed.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from consilience.modalities.audio import (
    CHUNK,
    SILENCE_DB,
    Audio,
    framed,
    lost_frames,
    mel_bank,
    quality,
)
from consilience.modalities.params.audio import VoiceParams
from consilience.modalities.params.log_mel import LogMelParams
from consilience.signals.types import Features, Signal

Array = NDArray[np.float32]


class LogMel(Audio):
    """The voice modality, as a spectrogram."""

    name: ClassVar[str] = "log_mel"
    reads: ClassVar[str | None] = "audio"
    Params: ClassVar[type[VoiceParams]] = LogMelParams
    activity_feature: ClassVar[str | None] = None

    def features(self, signal: Signal, params: VoiceParams) -> Features:
        """Return the power in every mel band in dB of full scale; NaN where sound was lost.

        Raises
        ------
        RecordingError
            As `Audio.features`.
        """
        sound = self.checked(signal, params)
        frames = framed(sound, params.window_s, params)
        parts = [log_mel(frames[i : i + CHUNK], params) for i in range(0, len(frames), CHUNK)]
        values = np.concatenate(parts)
        lost = lost_frames(np.isnan(signal.values), len(values), params)
        values[lost] = np.nan
        times_s = float(signal.times_s[0]) + np.arange(len(values), dtype=np.float64) * params.hop_s
        loudness = 10 * np.log10((10 ** (values[~lost] / 10)).sum(axis=1))
        loud = loudness > np.percentile(loudness, 95) - params.speech_range_db
        measures = quality(sound, loudness, loud) | {"lost_fraction": float(lost.mean())}
        names = tuple(f"mel_{band:02d}_db" for band in range(params.mel_bands))
        return Features(values, times_s, names, measures)


def log_mel(frames: Array, params: VoiceParams) -> Array:
    """Return the power in mel bands, in dB, shape (n_frames, mel_bands)."""
    window = scipy.signal.windows.hann(frames.shape[1], sym=False).astype(np.float32)
    spectrum = scipy.fft.rfft(frames * window, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2) / np.float32(window.sum() ** 2)
    power += np.float32(10 ** (SILENCE_DB / 10 - 2))
    bank = mel_bank(params.rate_hz, frames.shape[1], params.mel_bands)
    result: Array = (10 * np.log10(power @ bank.T)).astype(np.float32)
    return result


modality = LogMel()
