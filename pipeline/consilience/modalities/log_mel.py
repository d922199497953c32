"""Voice as a spectrogram: log-mel bands over time, for a network over time and frequency.

It reads the recordings of `audio`, with the same pulses removed.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from consilience.core.scratch import blocks, joined, release
from consilience.modalities.params.audio import VoiceParams
from consilience.modalities.params.log_mel import LogMelParams
from consilience.modalities.voice import Voice, lost_frames, quality, without_pulses
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
        lost = lost_frames(signal.values, len(values), params)
        times_s = float(signal.times_s[0]) + np.arange(len(values), dtype=np.float64) * params.hop_s
        power = joined((10 ** (values[rows] / 10)).sum(axis=1) for rows in blocks(values))
        loudness = 10 * np.log10(power[~lost])
        values[lost] = np.nan
        release(values)
        loud = loudness > np.percentile(loudness, 95) - params.speech_range_db
        measures = quality(without_pulses(signal, params), loudness, loud)
        measures |= {"lost_fraction": float(lost.mean())}
        names = tuple(f"mel_{band:02d}_db" for band in range(params.mel_bands))
        return Features(values, times_s, names, measures)


def log_mel(sound: Array, params: VoiceParams) -> Array:
    """Return the power in mel bands, in dB, shape (n_frames, mel_bands)."""
    size, hop = (
        2 * round(params.window_s * params.rate_hz / 2),
        round(params.hop_s * params.rate_hz),
    )

    def bands(numbers: range) -> Array:
        frames = framed(stretch(sound, numbers, size, hop), size, hop)
        release(sound)
        return mel_db(power_of(spectra(frames)), params.rate_hz, params.mel_bands)

    return joined(bands(numbers) for numbers in chunks(sound.size, hop))


modality = LogMel()
