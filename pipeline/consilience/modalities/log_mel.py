"""Voice as a spectrogram: log-mel bands over time, for a network over time and frequency.

It reads the recordings of `audio`, with the same pulses removed.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from consilience.modalities.params.audio import VoiceParams
from consilience.modalities.params.log_mel import LogMelParams
from consilience.modalities.voice import Voice, lost_frames, quality
from consilience.signals.sound_frames import chunks, framed, stretch
from consilience.signals.spectrum import mel_db, power_of, spectra
from consilience.signals.types import Features, Signal

Array = NDArray[np.float32]


class LogMel(Voice):
    """The voice modality, as a spectrogram."""

    name: ClassVar[str] = "log_mel"
    reads: ClassVar[str | None] = "audio"
    Params: ClassVar[type[VoiceParams]] = LogMelParams

    def features(self, signal: Signal, params: VoiceParams) -> Features:
        """Return the power in every mel band in dB of full scale; NaN where sound was lost.

        Raises
        ------
        RecordingError
            As `Voice.checked`.
        """
        sound = self.checked(signal, params)
        values = log_mel(sound, params)
        lost = lost_frames(np.isnan(signal.values), len(values), params)
        values[lost] = np.nan
        times_s = float(signal.times_s[0]) + np.arange(len(values), dtype=np.float64) * params.hop_s
        loudness = 10 * np.log10((10 ** (values[~lost] / 10)).sum(axis=1))
        loud = loudness > np.percentile(loudness, 95) - params.speech_range_db
        measures = quality(sound, loudness, loud) | {"lost_fraction": float(lost.mean())}
        names = tuple(f"mel_{band:02d}_db" for band in range(params.mel_bands))
        return Features(values, times_s, names, measures)


def log_mel(sound: Array, params: VoiceParams) -> Array:
    """Return the power in mel bands, in dB, shape (n_frames, mel_bands)."""
    size, hop = (
        2 * round(params.window_s * params.rate_hz / 2),
        round(params.hop_s * params.rate_hz),
    )
    parts = []
    for numbers in chunks(sound.size, hop):
        frames = framed(stretch(sound, numbers, size, hop), size, hop)
        parts.append(mel_db(power_of(spectra(frames)), params.rate_hz, params.mel_bands))
    return np.concatenate(parts)


modality = LogMel()
