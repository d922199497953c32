"""Voice: sound files and sound tracks, as log-mel bands, cepstra and prosody.

- The spectrum is computed once per frame and shared by all features. Added noise is linear: the
  spectra of voice and noise are computed once for all severities.
- A frame is speech if it is loud and a pretrained network detects speech in it. In silence,
  features of the voice continue at a mean of the speech around, so that statistics over a window
  describe its speech. Where the network has detected none for a while, as in sound corrupted beyond
  recognition, loud frames count as speech.
- A frame depends on the sound up to `AudioParams.lookahead_s` after it, and on the past: levels on
  the last 5 s, what continues in silence on the last 10 s. So the voice is described in the same
  way while it is being recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from consilience.core.memo import active_memo, remembered
from consilience.core.scratch import FRAMES_BYTES, blocks, empty, joined, release
from consilience.core.seeds import generator
from consilience.modalities.params.audio import AudioParams
from consilience.modalities.voice import (
    MAX_LEVEL,
    Voice,
    cleaned,
    lost_frames,
    quality,
    without_pulses,
)
from consilience.pretrained.speech import speech_probability
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.audio_corruptions import ADDED, gain
from consilience.signals.mixes import Mixes
from consilience.signals.pitch import Peaks, PitchAnalysis, pitch_analysis, pitch_track
from consilience.signals.sound_frames import CHUNK, chunks, framed, stretch
from consilience.signals.sound_levels import offset, running_level, variance
from consilience.signals.spectrum import SHAPE, decibels, mel_db, power_of, shape_of, spectra
from consilience.signals.types import Features, Signal

Array = NDArray[np.float32]

SILENCE = np.float32(1e-9)  # floor of the power of frames: about the noise of 16-bit sound
LEVEL_S, LOUDEST_S = 5.0, 0.2  # the level is that of the loudest frames of the last seconds
MEMORY_S = 10.0  # after which speech and its pitch no longer continue in silence
RISE_DB = 20.0  # above the quietest frames, of loud frames that the network does not detect
INAUDIBLE_DB = -55.0  # of full scale; quieter sound without any speech before is missing
FAINT = 1e-3  # weight of all speech in memory beside the latest
LOUDNESS, SPEECH = -3, -1  # columns of the features
TRUNCATE = 4.0  # standard deviations after which a Gaussian ends
STREAM_CHUNK = 50  # frames of a stream that are measured, and remembered, at a time
FRAMES, ROWS = 8192, 256  # frames described and smoothed at a time: bounds memory


class Audio(Voice):
    """The voice modality."""

    name: ClassVar[str] = "audio"
    Params: ClassVar[type[ModalityParams]] = AudioParams
    activity_feature: ClassVar[str | None] = "loudness_db"

    def features(self, signal: Signal, params: AudioParams) -> Features:
        """Remove the pulses, and compute spectrum and prosody frame by frame.

        Raises
        ------
        RecordingError
            As `checked`.
        """
        features, lost = self._features_and_lost(signal, params)
        loudness, speech = (
            _column(features.values, number)[~lost] for number in (LOUDNESS, SPEECH)
        )
        measures = quality(without_pulses(signal, params), loudness, speech)
        measures["lost_fraction"] = float(lost.mean())
        measures["offset_fraction"] = offset(signal.values)
        return replace(features, quality=measures)

    def stream_features(self, signal: Signal, params: AudioParams) -> Features:
        """Compute the features without the quality.

        Raises
        ------
        RecordingError
            As `checked`.
        """
        return self._features_and_lost(signal, params)[0]

    def _features_and_lost(
        self, signal: Signal, params: AudioParams
    ) -> tuple[Features, NDArray[np.bool_]]:
        """Compute the features without the quality, and which frames were lost."""
        clean = self.checked(signal, params)
        (values,) = describe(Mixes([clean]), params)
        lost = lost_frames(signal.values, len(values), params)
        times_s = float(signal.times_s[0]) + np.arange(len(values), dtype=np.float64) * params.hop_s
        return Features(_without_lost(values, lost), times_s, feature_names(params), {}), lost

    def corrupted_features(
        self, signal: Signal, clean: Features, kind: str, params: AudioParams, recording: str
    ) -> Iterator[Array]:
        """Yield the feature frames of severities 1 to 5; added sound is drawn once per kind."""
        if kind not in ADDED:
            yield from super().corrupted_features(signal, clean, kind, params, recording)
            return
        sound = np.asarray(signal.values, np.float32)
        added = ADDED[kind](sound.size, params.rate_hz, generator(kind, recording))
        power = np.float32(variance(sound))
        gains = [gain(power, ratio_db) for ratio_db in params.corruptions[kind]]
        pulses_s = signal.pulses_s - float(signal.times_s[0])
        mixes = Mixes([cleaned(each, sound, pulses_s, params) for each in (sound, added)], gains)
        frames_lost = lost_frames(sound, len(clean.values), params)
        peaks = _peaks(mixes, sound, added)
        for peak, values in zip(peaks, describe(mixes, params), strict=True):
            if peak > MAX_LEVEL:
                yield np.full_like(clean.values, np.nan)
            else:
                yield _without_lost(values, frames_lost)


def _peaks(mixes: Mixes, sound: Array, added: Array) -> list[float]:
    """Return the largest magnitude of each mix of two sounds, where the first is not NaN."""
    peaks = np.zeros(len(mixes.gains))
    for places in blocks(sound, added):
        parts = [sound[places], added[places]]
        peaks = np.fmax(peaks, [np.nanmax(np.abs(mix), initial=0) for mix in mixes.of(parts)])
    return [float(peak) for peak in peaks]


def _column(values: Array, number: int) -> Array:
    """Return a column of feature frames."""
    return joined(values[rows, number].copy() for rows in blocks(values))


def feature_names(params: AudioParams) -> tuple[str, ...]:
    """Return the names of the features in their order."""
    mel = [f"mel_{band:02d}_db" for band in range(params.mel_bands)]
    cepstra = [f"mfcc_{number:02d}" for number in range(params.cepstra)]
    voice = [*cepstra, *SHAPE, "zero_crossings", "flux_db", "pitch_semitones"]
    level = ["loudness_db", "voicing"]
    return (*mel, *voice, *(f"{name}_step" for name in [*voice, *level]), *level, "speech")


def _without_lost(values: Array, lost: NDArray[np.bool_]) -> Array:
    """Set feature frames to NaN where sound was lost, in place, and return them."""
    values[lost] = np.nan
    release(values)
    return values


def describe(mixes: Mixes, params: AudioParams) -> Iterator[Array]:
    """Yield every feature of some sounds on one frame grid, frame ``i`` centred at ``i * hop_s``.

    Parameters
    ----------
    mixes : Mixes
        Without offset, full scale 1.

    Yields
    ------
    ndarray of float32, shape (n_frames, n_features)
    """
    measured = _measured(mixes, params)
    times_s = np.arange(measured.shape[1], dtype=np.float64) * params.hop_s
    probability = speech_probability(mixes, params.rate_hz, times_s)
    for measures, detected in zip(measured, probability, strict=True):
        yield _described(measures, detected, params)


# Columns of the measures of single frames, after the mel bands: the shape of the spectrum, zero
# crossings, level, and the best pitch with its strength and the power.
SHAPES = slice(-10, -5)
CROSSINGS, LOUDNESS_DB, SEMITONES, STRENGTH, POWER = range(-5, 0)


def _measured(mixes: Mixes, params: AudioParams) -> Array:
    """Measure the frames of each mix one by one, shape (n_mixes, n_frames, mel_bands + 10)."""
    size, pitch_size = (
        2 * round(length_s * params.rate_hz / 2)
        for length_s in (params.window_s, params.pitch_window_s)
    )
    hop = round(params.hop_s * params.rate_hz)
    analysis = pitch_analysis(params.rate_hz, pitch_size, params.pitch_min_hz, params.pitch_max_hz)
    n_frames = mixes.parts[0].size // hop + 1
    shape = (len(mixes.gains), n_frames, params.mel_bands + 10)
    result: Array = empty(shape, np.float32, FRAMES_BYTES)
    memo = active_memo()
    name = f"frames of sound {params.model_dump_json()}" if memo else ""
    for numbers in chunks(mixes.parts[0].size, hop, STREAM_CHUNK if memo else CHUNK):
        samples = [stretch(sound, numbers, size, hop) for sound in mixes.parts]
        longer = [stretch(sound, numbers, pitch_size, hop) for sound in mixes.parts]
        result[:, numbers.start : numbers.stop] = remembered(
            f"{name} {mixes.gains}",
            (*samples, *longer) if size > pitch_size else tuple(longer),
            lambda samples=samples, longer=longer: (  # type: ignore[misc]
                _measured_chunk(mixes, samples, longer, analysis, params),
            ),
        )[0]
        release(result, *mixes.parts)
    return result


def _measured_chunk(
    mixes: Mixes,
    samples: Sequence[Array],
    longer: Sequence[Array],
    analysis: PitchAnalysis,
    params: AudioParams,
) -> Array:
    """Measure some frames of each mix; see `_measured`.

    Parameters
    ----------
    mixes : Mixes
    samples, longer : sequence of ndarray of float32
        Of each part of the mixes, the samples of the frames, and of their analysis of pitch.
    analysis : PitchAnalysis
    params : AudioParams
    """
    hop = round(params.hop_s * params.rate_hz)
    size = 2 * round(params.window_s * params.rate_hz / 2)
    narrow = [spectra(framed(sound, size, hop)) for sound in samples]
    wide = [analysis.spectra(framed(sound, analysis.size, hop)) for sound in longer]
    shape = (len(mixes.gains), len(narrow[0]), params.mel_bands + 10)
    result = np.empty(shape, np.float32)
    for measures, sound, spectrum, correlation in zip(
        result,
        mixes.of(samples),
        mixes.of(narrow),
        mixes.of_products(analysis.product, wide),
        strict=True,
    ):
        power = power_of(spectrum)
        measures[:, : params.mel_bands] = mel_db(power, params.rate_hz, params.mel_bands)
        measures[:, SHAPES] = shape_of(power, params.rate_hz)
        single = (*_levels(sound, size, hop), *analysis.peaks(correlation))
        for column, values in enumerate(single, CROSSINGS):
            measures[:, column] = values
    return result


def _levels(samples: Array, size: int, hop: int) -> tuple[Array, Array]:
    """Return the rate at which frames cross zero, and their level in dB."""
    negative = np.signbit(samples)
    crossings = framed(negative[1:] != negative[:-1], size - 1, hop)
    frames = framed(samples, size, hop)
    mean, power = np.einsum("ij->i", frames) / size, np.einsum("ij,ij->i", frames, frames) / size
    variance = np.maximum(power - mean**2, 0)
    rate = np.count_nonzero(crossings, axis=1) / np.float32(size - 1)
    return rate.astype(np.float32), decibels(variance + SILENCE)


def _described(measures: Array, probability: Array, params: AudioParams) -> Array:
    """Return the features of one sound, by measures of its frames and probability of speech."""
    loudness = _column(measures, LOUDNESS_DB)
    speech = speech_frames(loudness, probability, params)
    peaks = Peaks(*(_column(measures, number) for number in (SEMITONES, STRENGTH, POWER)))
    level = running_level(peaks.power, *_frames((LEVEL_S, LOUDEST_S), params))
    (memory,) = _frames((MEMORY_S,), params)
    unknown_hz = np.sqrt(params.pitch_min_hz * params.pitch_max_hz)
    pitch = pitch_track(peaks, params.voicing_threshold, level, memory, unknown_hz)
    shape = (len(measures), len(feature_names(params)))
    result: Array = empty(shape, np.float32, FRAMES_BYTES)
    margin = params.smoothing_frames + 2  # of the filters over frames
    for rows in blocks(measures, result, step=FRAMES):
        first = max(rows.start - margin, 0)
        wide = slice(first, rows.stop + margin)
        described = _unheld(measures[wide], pitch[wide], speech[wide], params)
        result[rows] = described[rows.start - first :][: rows.stop - rows.start]
    # Loudness and voicing keep their values in silence, where the other features are held.
    audible = loudness > INAUDIBLE_DB
    hold(result[:, :LOUDNESS], speech, audible, params.hold_s / params.hop_s, memory)
    return result


def _frames(lengths_s: Sequence[float], params: AudioParams) -> list[int]:
    """Return durations as numbers of frames."""
    return [max(round(length_s / params.hop_s), 1) for length_s in lengths_s]


def _unheld(measures: Array, pitch: Array, speech: NDArray[np.bool_], params: AudioParams) -> Array:
    """Return the features of some frames, before those of the voice are held in silence."""
    mel = measures[:, : params.mel_bands]
    flux = np.abs(np.diff(mel, axis=0, prepend=mel[:1])).mean(axis=1)
    cepstra = scipy.fft.dct(mel, axis=1, norm="ortho")[:, : params.cepstra]
    single = (measures[:, CROSSINGS], flux, pitch, measures[:, LOUDNESS_DB], measures[:, STRENGTH])
    smooth = _smooth(np.column_stack([mel, cepstra, measures[:, SHAPES], *single]), params)
    steps = np.gradient(smooth[:, params.mel_bands :], axis=0)
    return np.column_stack([smooth[:, :-2], steps, smooth[:, -2:], speech.astype(np.float32)])


def speech_frames(loudness_db: Array, probability: Array, params: AudioParams) -> NDArray[np.bool_]:
    """Return the frames that are speech: loud and detected by a network, or else only loud ones."""
    size, count, memory = _frames((LEVEL_S, LOUDEST_S, MEMORY_S), params)
    # Relative to the loudest frames, so that the gain of the recording does not matter.
    loud = loudness_db > running_level(loudness_db, size, count) - params.speech_range_db
    detected = loud & (probability >= params.speech_probability)
    lately = scipy.ndimage.maximum_filter1d(
        detected.astype(np.uint8), memory, mode="constant", origin=(memory - 1) // 2
    )
    quiet_db = -running_level(-loudness_db, size, count)
    return np.asarray(detected | ((lately == 0) & loud & (loudness_db > quiet_db + RISE_DB)))


def hold(
    values: Array,
    speech: NDArray[np.bool_],
    audible: NDArray[np.bool_],
    width: float,
    memory: int,
) -> None:
    """Replace frames without speech by a mean of the speech before and shortly after them.

    A frame without any speech in memory remains as it is if it is audible, and is missing if not:
    silence before the first speech would distort the statistics of a window.

    Parameters
    ----------
    values : ndarray of float32, shape (n_frames, n_features)
    speech, audible : ndarray of bool, shape (n_frames,)
    width : float
        Standard deviation in frames of the Gaussian by which the weight of speech falls. Speech
        that is later by more has no weight.
    memory : int
        Frames after which speech has no weight.
    """
    ahead = round(width)
    weights = _weights_around(width, memory, ROWS)
    for rows in blocks(values, step=ROWS):
        silent = np.flatnonzero(~speech[rows])
        if not silent.size:
            continue
        first = max(rows.start - memory, 0)
        near = slice(first, rows.stop + ahead)
        inside = np.zeros((weights.shape[1], values.shape[1] + 1), np.float32)
        # Only frames of speech are read, and only the others are replaced.
        voiced = np.flatnonzero(speech[near])
        place = voiced + first + memory - rows.start
        inside[place, :-1], inside[place, -1] = values[near][voiced], 1
        around = weights[silent] @ inside
        remembered = around[:, -1] > 0
        held = silent[remembered]
        values[rows.start + held] = around[remembered, :-1] / around[remembered, -1:]
        missing = rows.start + silent[~remembered]
        values[missing[~audible[missing]]] = np.nan


@lru_cache
def _weights_around(width: float, memory: int, n_rows: int) -> Array:
    """Return the weights of the frames around each row, from `memory` before the first on.

    The result has shape (n_rows, memory + n_rows + ahead).
    """
    ahead = round(width)
    age = np.arange(memory, -ahead - 1, -1)  # of the frames around a row, the oldest first
    bell = np.exp(-0.5 * (age / width) ** 2) * (age < TRUNCATE * width)
    # All speech in memory has a faint weight, so that it decides long after the latest.
    around = bell / bell.sum() + FAINT / memory * (age > 0)
    weights = np.zeros((n_rows, memory + n_rows + ahead), np.float32)
    for row in range(n_rows):
        weights[row, row : row + around.size] = around
    return weights


def _smooth(values: Array, params: AudioParams) -> Array:
    """Return a moving average over frames: single frames of a voice are noisy."""
    result: Array = scipy.ndimage.uniform_filter1d(
        values, params.smoothing_frames, axis=0, mode="nearest"
    )
    return result


modality = Audio()
