"""Voice as an embedding of a network that was pretrained on thousands of speakers.

It reads the recordings of `audio`, for natural speech: the second hidden layer of a
speaker-verification network, averaged over fifths of a second. A window is encoded by the mean
and the standard deviation of its blocks.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from consilience.core.errors import RecordingError
from consilience.modalities.params.audio import VoiceParams
from consilience.modalities.params.voice_embedding import VoiceEmbeddingParams
from consilience.modalities.voice import Voice, quality
from consilience.pretrained import speaker
from consilience.signals.types import Features, Signal

NAMES = tuple(f"unit_{number:03d}" for number in range(speaker.UNITS))


class VoiceEmbedding(Voice):
    """The voice modality, embedded."""

    name: ClassVar[str] = "voice_embedding"
    Params: ClassVar[type[VoiceParams]] = VoiceEmbeddingParams

    def features(self, signal: Signal, params: VoiceParams) -> Features:
        """Run the network over the whole recording and average its states block by block.

        A block is missing (NaN) if it is quieter than the loudest by more than ``speech_range_db``.

        Raises
        ------
        RecordingError
            As `Voice.checked`; or if the sound is shorter than one block.
        """
        sound = self.checked(signal, params)
        size = round(params.hop_s * params.rate_hz)
        n_blocks = len(sound) // size
        if not n_blocks:
            raise RecordingError(
                f"{len(sound)} samples are shorter than one block", "audio", "record for longer"
            )
        # The network's state depends on what came before, so it runs over the whole recording.
        states = speaker.second_layer(sound[: n_blocks * size])[: n_blocks * size // speaker.HOP]
        values = states.reshape(n_blocks, -1, speaker.UNITS).mean(1)
        power = np.square(sound[: n_blocks * size]).reshape(n_blocks, size).mean(1)
        quiet = power < power.max() * 10 ** (-params.speech_range_db / 10)
        values[quiet] = np.nan
        times_s = (
            float(signal.times_s[0]) + (np.arange(n_blocks, dtype=np.float64) + 0.5) * params.hop_s
        )
        measures = quality(sound, 10 * np.log10(power + 1e-12), ~quiet)
        return Features(values.astype(np.float32), times_s, NAMES, measures)


modality = VoiceEmbedding()
