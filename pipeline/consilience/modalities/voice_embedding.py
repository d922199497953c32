"""Voice as an embedding of a network that was pretrained on thousands of speakers.

It reads the recordings of `audio`, for natural speech: the second hidden layer of a
speaker-verification network, averaged over fifths of a second. A window is encoded by the mean
and the standard deviation of its blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.params.audio import VoiceParams
from consilience.modalities.params.voice_embedding import VoiceEmbeddingParams
from consilience.modalities.voice import Voice, quality, without_pulses
from consilience.pretrained import speaker
from consilience.schema.constants import SEVERITIES
from consilience.signals.types import Features, Signal

Array = NDArray[np.float32]

LONGEST_TOGETHER_S = 600.0  # of a recording; its five states take 300 MB
NAMES = tuple(f"unit_{number:03d}" for number in range(speaker.UNITS))


class VoiceEmbedding(Voice):
    """The voice modality, embedded."""

    name: ClassVar[str] = "voice_embedding"
    weights: ClassVar[tuple[str, ...]] = ("resemblyzer",)
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
        (values,) = embed([sound], params)
        power = block_power(sound, params)
        times_s = (
            float(signal.times_s[0]) + (np.arange(n_blocks, dtype=np.float64) + 0.5) * params.hop_s
        )
        recorded = without_pulses(signal, params)
        measures = quality(recorded, 10 * np.log10(power + 1e-12), ~_quiet(power, params))
        return Features(values, times_s, NAMES, measures)

    def corrupted_features(
        self, signal: Signal, clean: Features, kind: str, params: VoiceParams, recording: str
    ) -> Iterator[Array]:
        """Yield the feature frames of a corruption; all severities go through the network at once.

        Of long recordings they go one by one, because the states of all would not fit in memory.
        """
        if len(signal.values) > LONGEST_TOGETHER_S * params.rate_hz:
            yield from super().corrupted_features(signal, clean, kind, params, recording)
            return
        sounds: dict[int, Array] = {}
        for severity in SEVERITIES:
            rng = generator(kind, recording, severity)
            corrupted = self.corrupt(signal, kind, severity, params, rng)
            with suppress(RecordingError):
                sounds[severity] = self.checked(corrupted, params)
        embedded = dict(zip(sounds, embed(list(sounds.values()), params), strict=True))
        for severity in SEVERITIES:
            yield embedded.get(severity, np.full_like(clean.values, np.nan))


def embed(sounds: Sequence[Array], params: VoiceParams) -> list[Array]:
    """Return the mean state of the network in every block of sounds of equal length.

    Parameters
    ----------
    sounds : sequence of ndarray of float32, shape (n_samples,)
        At least one block long.
    params : VoiceParams

    Returns
    -------
    list of ndarray of float32, shape (n_blocks, 256)
        NaN in quiet blocks.
    """
    if not sounds:
        return []
    size = round(params.hop_s * params.rate_hz)
    n_samples = len(sounds[0]) // size * size
    # The network's state depends on what came before, so it runs over the whole recording.
    states = speaker.second_layer([sound[:n_samples] for sound in sounds])
    embedded = []
    for sound, state in zip(sounds, states, strict=True):
        blocks = state[: n_samples // speaker.HOP].reshape(-1, size // speaker.HOP, speaker.UNITS)
        values = blocks.mean(1)
        values[_quiet(block_power(sound, params), params)] = np.nan
        embedded.append(values)
    return embedded


def block_power(sound: Array, params: VoiceParams) -> Array:
    """Return the mean power of every block, shape (n_blocks,)."""
    size = round(params.hop_s * params.rate_hz)
    whole = sound[: len(sound) // size * size]
    return np.asarray(np.square(whole).reshape(-1, size).mean(1))


def _quiet(power: Array, params: VoiceParams) -> Any:
    """Return the blocks that are quieter than the loudest by more than ``speech_range_db``."""
    return power < power.max() * 10 ** (-params.speech_range_db / 10)


modality = VoiceEmbedding()
