"""Voice: sound files and sound tracks, as log-mel bands, cepstra and prosody.

- The spectrum is computed once per frame and shared by all features. Added noise is linear: the
  spectra of voice and noise are computed once for all severities.
- A frame is speech if it is loud and a pretrained network detects speech in it. Between speech,
  features of the voice continue at the local mean of the surrounding speech, so that statistics
  over a window describe its speech. If the network detects none in a whole recording, as in one
  corrupted beyond recognition, every loud frame counts as speech.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from consilience.core.seeds import generator
from consilience.modalities.params.audio import AudioParams
from consilience.modalities.voice import MAX_LEVEL, Voice, cleaned, lost_frames, peak_of, quality
from consilience.pretrained.speech import speech_probability
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.audio_corruptions import ADDED, gain
from consilience.signals.baseline import subtract_median
from consilience.signals.mixes import Mixes
from consilience.signals.pitch import Peaks, PitchAnalysis, pitch_track
from consilience.signals.sound_frames import chunks, framed, stretch
from consilience.signals.spectrum import SHAPE, decibels, mel_db, power_of, shape_of, spectra
from consilience.signals.types import Features, Signal

Array = NDArray[np.float32]

SILENCE = np.float32(1e-9)  # floor of the power of frames: about the noise of 16-bit sound
LOUDNESS, SPEECH = -3, -1  # columns of the features
TRUNCATE = 4.0  # standard deviations after which a Gaussian ends
ROWS = 256  # frames smoothed at a time


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
        clean = self.checked(signal, params)
        (values,) = describe(Mixes([clean]), params)
        lost = lost_frames(np.isnan(signal.values), len(values), params)
        loudness, speech = values[~lost, LOUDNESS], values[~lost, SPEECH]
        measures = quality(clean, loudness, speech)
        measures["lost_fraction"] = float(lost.mean())
        measures["offset_fraction"] = float(np.nanmean(signal.values))
        times_s = float(signal.times_s[0]) + np.arange(len(values), dtype=np.float64) * params.hop_s
        return Features(_finished(values, lost, params), times_s, feature_names(params), measures)

    def corrupted_features(
        self, signal: Signal, clean: Features, kind: str, params: AudioParams, recording: str
    ) -> Iterator[Array]:
        """Yield the feature frames of severities 1 to 5; added sound is drawn once per kind."""
        if kind not in ADDED:
            yield from super().corrupted_features(signal, clean, kind, params, recording)
            return
        sound = np.asarray(signal.values, np.float32)
        lost = np.isnan(sound)
        audible = np.where(lost, np.float32(0), sound) if lost.any() else sound
        added = ADDED[kind](sound.size, params.rate_hz, generator(kind, recording))
        gains = [gain(np.var(audible), ratio_db) for ratio_db in params.corruptions[kind]]
        pulses_s = signal.pulses_s - float(signal.times_s[0])
        mixes = Mixes([cleaned(sound, lost, pulses_s, params) for sound in (audible, added)], gains)
        frames_lost = lost_frames(lost, len(clean.values), params)
        for mix, values in zip(mixes.of([audible, added]), describe(mixes, params), strict=True):
            if peak_of(mix[~lost]) > MAX_LEVEL:
                yield np.full_like(clean.values, np.nan)
            else:
                yield _finished(values, frames_lost, params)


def feature_names(params: AudioParams) -> tuple[str, ...]:
    """Return the names of the features in their order."""
    mel = [f"mel_{band:02d}_db" for band in range(params.mel_bands)]
    cepstra = [f"mfcc_{number:02d}" for number in range(params.cepstra)]
    voice = [*cepstra, *SHAPE, "zero_crossings", "flux_db", "pitch_semitones"]
    level = ["loudness_db", "voicing"]
    return (*mel, *voice, *(f"{name}_step" for name in [*voice, *level]), *level, "speech")


def _finished(values: Array, lost: NDArray[np.bool_], params: AudioParams) -> Array:
    """Return feature frames relative to those of speech, if so set; NaN where sound was lost."""
    speech = (values[:, SPEECH] > 0) & ~lost
    values[lost] = np.nan
    if params.relative:
        values[:, :SPEECH] = subtract_median(values[:, :SPEECH], speech)
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
    times_s = np.arange(measured[0].loudness_db.size, dtype=np.float64) * params.hop_s
    probability = speech_probability(mixes, params.rate_hz, times_s)
    for measures, detected in zip(measured, probability, strict=True):
        yield _described(measures, speech_frames(measures.loudness_db, detected, params), params)


class Measures(NamedTuple):
    """Measures of single frames: mel bands, shape of spectrum and sound, level, and pitch."""

    mel_db: Array
    shape: Array
    crossings: Array
    loudness_db: Array
    peaks: Peaks


def _measured(mixes: Mixes, params: AudioParams) -> list[Measures]:
    """Measure the frames of each mix one by one."""
    size, pitch_size = (
        2 * round(length_s * params.rate_hz / 2)
        for length_s in (params.window_s, params.pitch_window_s)
    )
    hop = round(params.hop_s * params.rate_hz)
    analysis = PitchAnalysis(params.rate_hz, pitch_size, params.pitch_min_hz, params.pitch_max_hz)
    measured: list[list[Measures]] = [[] for _ in mixes.gains]
    for numbers in chunks(mixes.parts[0].size, hop):
        samples = [stretch(sound, numbers, size, hop) for sound in mixes.parts]
        longer = [stretch(sound, numbers, pitch_size, hop) for sound in mixes.parts]
        narrow = [spectra(framed(sound, size, hop)) for sound in samples]
        wide = [analysis.spectra(framed(sound, pitch_size, hop)) for sound in longer]
        for measures, sound, spectrum, correlation in zip(
            measured,
            mixes.of(samples),
            mixes.of(narrow),
            mixes.of_products(analysis.product, wide),
            strict=True,
        ):
            power = power_of(spectrum)
            measures.append(
                Measures(
                    mel_db(power, params.rate_hz, params.mel_bands),
                    shape_of(power, params.rate_hz),
                    *_levels(sound, size, hop),
                    analysis.peaks(correlation),
                )
            )
    return [_joined(measures) for measures in measured]


def _joined(parts: list[Measures]) -> Measures:
    *columns, peaks = zip(*parts, strict=True)
    mel, shape, crossings, loudness = (np.concatenate(column) for column in columns)
    semitones, strength, power = (np.concatenate(column) for column in zip(*peaks, strict=True))
    return Measures(mel, shape, crossings, loudness, Peaks(semitones, strength, power))


def _levels(samples: Array, size: int, hop: int) -> tuple[Array, Array]:
    """Return the rate at which frames cross zero, and their level in dB."""
    negative = np.signbit(samples)
    crossings = framed(negative[1:] != negative[:-1], size - 1, hop)
    frames = framed(samples, size, hop)
    mean, power = np.einsum("ij->i", frames) / size, np.einsum("ij,ij->i", frames, frames) / size
    variance = np.maximum(power - mean**2, 0)
    rate = np.count_nonzero(crossings, axis=1) / np.float32(size - 1)
    return rate.astype(np.float32), decibels(variance + SILENCE)


def _described(measures: Measures, speech: NDArray[np.bool_], params: AudioParams) -> Array:
    """Return the features of one sound, by the measures of its frames and which are speech."""
    mel = measures.mel_db
    single = [
        measures.crossings,
        np.abs(np.diff(mel, axis=0, prepend=mel[:1])).mean(axis=1),
        pitch_track(measures.peaks, params.voicing_threshold),
        measures.loudness_db,
        measures.peaks.strength,
    ]
    cepstra = scipy.fft.dct(mel, axis=1, norm="ortho")[:, : params.cepstra]
    smooth = _smooth(np.column_stack([mel, cepstra, measures.shape, *single]), params)
    steps = np.gradient(smooth[:, params.mel_bands :], axis=0)
    # Loudness and voicing keep their values in silence, where the other features are held.
    held = hold(np.hstack([smooth[:, :-2], steps]), speech, params.hold_s / params.hop_s)
    return np.column_stack([held, smooth[:, -2:], speech.astype(np.float32)])


def speech_frames(loudness_db: Array, probability: Array, params: AudioParams) -> NDArray[np.bool_]:
    """Return the frames that are speech: loud and detected by a network, or else all loud ones."""
    # Relative to the loudest frames, so that the gain of the recording does not matter.
    loud = loudness_db > np.percentile(loudness_db, 95) - params.speech_range_db
    detected = loud & (probability >= params.speech_probability)
    return np.asarray(detected if detected.any() else loud)


def hold(values: Array, speech: NDArray[np.bool_], width: float) -> Array:
    """Replace frames without speech by a Gaussian-weighted mean of the surrounding speech.

    Parameters
    ----------
    values : ndarray of float32, shape (n_frames, n_features)
    speech : ndarray of bool, shape (n_frames,)
        With at least one frame of speech.
    width : float
        Standard deviation of the Gaussian in frames.
    """
    # The mean of all speech enters with a faint weight, so that it decides far from any speech.
    faint = np.float32(1e-3)
    mean = values[speech].mean(axis=0)
    weights = _gaussian(width, ROWS)
    reach = (weights.shape[1] - ROWS) // 2
    inside = np.zeros((len(values) + 2 * reach + ROWS, values.shape[1] + 1), np.float32)
    inside[reach : reach + len(values)][speech] = np.column_stack(
        [values[speech], np.ones(np.count_nonzero(speech), np.float32)]
    )
    result = values.copy()
    for start in range(0, len(values), ROWS):
        silent = np.flatnonzero(~speech[start : start + ROWS])
        around = weights[silent] @ inside[start : start + weights.shape[1]]
        result[start + silent] = (around[:, :-1] + faint * mean) / (around[:, -1:] + faint)
    return result


@lru_cache
def _gaussian(width: float, n_rows: int) -> Array:
    """Return the weights of a Gaussian around each row, shape (n_rows, n_rows + 2 * reach)."""
    reach = int(TRUNCATE * width + 0.5)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    weights = np.zeros((n_rows, n_rows + 2 * reach), np.float32)
    for row in range(n_rows):
        weights[row, row : row + bell.size] = bell / bell.sum()
    return weights


def _smooth(values: Array, params: AudioParams) -> Array:
    """Return a moving average over frames: single frames of a voice are noisy."""
    result: Array = scipy.ndimage.uniform_filter1d(
        values, params.smoothing_frames, axis=0, mode="nearest"
    )
    return result


modality = Audio()
