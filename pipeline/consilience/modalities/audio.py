"""Voice: sound files and sound tracks, as log-mel bands, cepstra and prosody.

- The spectrum is computed once per frame and shared by all features.
- Pitch is the highest peak of the window-corrected autocorrelation (Boersma 1993).
- A frame is speech if it is loud and a pretrained network detects speech in it. Between speech,
  features of the voice continue at the local mean of the surrounding speech, so that statistics
  over a window describe its speech. If the network detects none in a whole recording, as in one
  corrupted beyond recognition, every loud frame counts as speech.
- Synchronisation clicks are isolated impulses in the high band; claps and tones are detected by
  their onsets (parameter ``pulse``). They are removed before anything is measured.
- Sound that a container's time stamps show to be lost is missing, not silent.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import librosa
import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import content_hash
from consilience.modalities.base import Modality
from consilience.modalities.params.audio import AudioParams, VoiceParams
from consilience.pretrained.speech import speech_probability
from consilience.readers import sound as sound_files
from consilience.readers.channel_mix import SILENT
from consilience.readers.sound import SUFFIXES, decode, probe, resample
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.audio_corruptions import APPLY
from consilience.signals.baseline import subtract_median
from consilience.signals.sound_track import read_sound_track
from consilience.signals.sync_pulses import claps, tones
from consilience.signals.types import Features, Header, Signal

Array = NDArray[np.float32]

MAX_LEVEL = 1e4  # full scale 1: float samples may exceed it, a wrong unit exceeds this too
SUFFICIENT_HZ = 16000.0  # a lower rate cuts off frequencies that the features use
OCTAVE_COST = 0.03  # of the autocorrelation, per octave: prefers the higher of two equal peaks
SILENCE_DB = -90.0  # floor of levels: about the noise of 16-bit sound
BLOCK = 2**18  # samples summed at a time: bounds memory
CHUNK = 4096  # frames measured at a time: bounds memory
PULSE_CHUNK_S = 60.0  # sound searched for pulses at a time: bounds memory
NEAR_LOST_S = 0.02  # an impulse this near to lost sound is its edge, not a click


class Audio(Modality):
    """The voice modality."""

    name: ClassVar[str] = "audio"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    Params: ClassVar[type[ModalityParams]] = AudioParams
    activity_feature: ClassVar[str | None] = "loudness_db"

    def probe(self, path: Path, item: str | None) -> Header:
        """Read rate, channels and duration from the header.

        Raises
        ------
        RecordingError
            If the file is not readable as sound, empty, or shorter than its header declares.
        """
        return Header(*probe(path))

    def identity(self, path: Path, item: str | None) -> str:
        """Return the hash of the file."""
        return content_hash(path)

    def read(self, path: Path, item: str | None, params: VoiceParams) -> Signal:
        """Read the sound, mono and resampled, and detect its synchronisation pulses.

        Returns
        -------
        Signal
            ``values`` float32, shape (n_samples,), full scale 1; NaN where sound was lost.
        """
        sound, source_hz, start_s = decode(path)
        lost = np.isnan(sound)
        # Pulses are detected at the file's own rate, where their onsets are sharpest.
        audible = np.where(lost, np.float32(0), sound) if lost.any() else sound
        pulses_s = start_s + _away_from(lost, pulses(audible, source_hz, params), source_hz)
        mono = resample(sound, source_hz, params.rate_hz, path)
        times_s = start_s + np.arange(mono.size) / params.rate_hz
        return Signal(mono, times_s, ("mono",), pulses_s)

    def sound(self, path: Path, item: str | None, rate_hz: float) -> Signal | None:
        """Return the sound at a rate, or None if it cannot be read."""
        return read_sound_track(path, item, rate_hz)

    def inspect(self, path: Path, item: str | None) -> list[str]:
        """Return findings: channels, level, time stamps, a low rate.

        Raises
        ------
        RecordingError
            If it cannot be read.
        """
        findings = sound_files.inspect(path)
        rate_hz = probe(path).rate_hz
        if rate_hz < SUFFICIENT_HZ:
            findings.append(f"{rate_hz:g} Hz: nothing above {rate_hz / 2:g} Hz is in it")
        return findings

    def features(self, signal: Signal, params: AudioParams) -> Features:
        """Remove the pulses, and compute spectrum and prosody frame by frame.

        Raises
        ------
        RecordingError
            As `checked`.
        """
        clean = self.checked(signal, params)
        start_s = float(signal.times_s[0])
        columns = describe(clean, params)
        values = np.stack(list(columns.values()), axis=1).astype(np.float32)
        lost = lost_frames(np.isnan(signal.values), len(values), params)
        values[lost] = np.nan
        if params.relative:
            speech = columns["speech"].astype(bool) & ~lost
            values[:, :-1] = subtract_median(values[:, :-1], speech)
        times_s = start_s + np.arange(len(values), dtype=np.float64) * params.hop_s
        measures = quality(clean, columns["loudness_db"][~lost], columns["speech"][~lost])
        measures["lost_fraction"] = float(lost.mean())
        measures["offset_fraction"] = float(np.nanmean(signal.values))
        return Features(values, times_s, tuple(columns), measures)

    def checked(self, signal: Signal, params: VoiceParams) -> Array:
        """Return the sound without offset and pulses; lost samples are 0.

        Raises
        ------
        RecordingError
            If the sound is silent, shorter than one window, not finite, or far above full scale.
        """
        sound = np.asarray(signal.values, np.float32)
        lost = np.isnan(sound)
        if lost.all() or np.isinf(sound).any():
            raise RecordingError(
                "the sound has NaN or infinite samples", "audio", "export it again"
            )
        if sound.size <= max(params.pitch_window_s, params.window_s) * params.rate_hz:
            raise RecordingError(
                f"{sound.size} samples are shorter than one window", "audio", "record for longer"
            )
        present = sound[~lost] if lost.any() else sound
        if np.abs(present).max() > MAX_LEVEL:
            raise RecordingError(
                f"the sound reaches {np.abs(present).max():g} times full scale",
                "audio",
                "export it within -1 and 1",
            )
        if np.ptp(present) < SILENT:
            raise RecordingError("the sound is silent throughout", "audio", "check the microphone")
        start_s = float(signal.times_s[0])
        centred = sound - present.mean()
        centred[lost] = 0
        return cut_pulses(centred, signal.pulses_s - start_s, params)

    def corrupt(
        self,
        signal: Signal,
        kind: str,
        severity: int,
        params: VoiceParams,
        rng: np.random.Generator,
    ) -> Signal:
        """Corrupt the sound as it leaves the microphone; lost samples stay lost."""
        sound = np.asarray(signal.values, np.float32)
        lost = np.isnan(sound)
        level = params.corruptions[kind][severity - 1]
        audible = np.where(lost, np.float32(0), sound)
        corrupted = APPLY[kind](audible, level, params.rate_hz, rng)
        return replace(signal, values=np.where(lost, np.float32(np.nan), corrupted))


def describe(sound: Array, params: AudioParams) -> dict[str, Array]:
    """Compute every feature on one frame grid, frame ``i`` centred at ``i * hop_s``.

    Parameters
    ----------
    sound : ndarray of float32, shape (n_samples,)
        Without offset, full scale 1.

    Returns
    -------
    dict of str to ndarray of float32, shape (n_frames,)
    """
    frames = framed(sound, params.window_s, params)
    chunks = [_spectra(frames[i : i + CHUNK], params) for i in range(0, len(frames), CHUNK)]
    measured = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    mel, loudness = measured.pop("mel"), measured.pop("loudness_db")
    cepstra = scipy.fft.dct(mel, axis=1, norm="ortho")[:, : params.cepstra]
    pitch, voicing = pitch_track(sound, params)
    voice = {
        **{f"mel_{i:02d}_db": column for i, column in enumerate(mel.T)},
        **{f"mfcc_{i:02d}": column for i, column in enumerate(cepstra.T)},
        **measured,
        "flux_db": np.abs(np.diff(mel, axis=0, prepend=mel[:1])).mean(axis=1),
        "pitch_semitones": pitch,
    }
    speech = speech_frames(sound, loudness, params)
    smooth = _smooth(np.stack([*voice.values(), loudness, voicing], axis=1), params)
    steps = np.gradient(smooth[:, params.mel_bands :], axis=0)
    # Loudness and voicing keep their values in silence, where the other features are held.
    held = hold(np.hstack([smooth[:, :-2], steps]), speech, params.hold_s / params.hop_s)
    names = [*voice, "loudness_db", "voicing"]
    step_names = [f"{name}_step" for name in names[params.mel_bands :]]
    values = np.hstack([held, smooth[:, -2:], speech[:, None]]).astype(np.float32)
    return dict(zip([*voice, *step_names, *names[-2:], "speech"], values.T, strict=True))


def _spectra(frames: Array, params: AudioParams) -> dict[str, Array]:
    """Compute the features of single frames: mel bands, shape of the spectrum, level."""
    window = scipy.signal.windows.hann(frames.shape[1], sym=False).astype(np.float32)
    spectrum = scipy.fft.rfft(frames * window, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2) / np.float32(window.sum() ** 2)
    # A floor 20 dB below that of levels keeps the logarithm of digital silence finite.
    power += np.float32(10 ** (SILENCE_DB / 10 - 2))
    bank = mel_bank(params.rate_hz, frames.shape[1], params.mel_bands)
    return {
        "mel": 10 * np.log10(power @ bank.T),
        **_spectral(power, params),
        "zero_crossings": np.diff(np.signbit(frames), axis=1).mean(axis=1),
        "loudness_db": 10 * np.log10(frames.var(axis=1) + np.float32(10 ** (SILENCE_DB / 10))),
    }


def speech_frames(sound: Array, loudness_db: Array, params: AudioParams) -> NDArray[np.bool_]:
    """Return the frames that are speech: loud and detected by a network, or else all loud ones."""
    times_s = np.arange(len(loudness_db), dtype=np.float64) * params.hop_s
    detected = speech_probability(sound, params.rate_hz, times_s) >= params.speech_probability
    # Relative to the loudest frames, so that the gain of the recording does not matter.
    loud = loudness_db > np.percentile(loudness_db, 95) - params.speech_range_db
    return np.asarray(detected & loud if (detected & loud).any() else loud)


def lost_frames(lost: NDArray[np.bool_], n_frames: int, params: VoiceParams) -> NDArray[np.bool_]:
    """Return the frames that contain lost samples, shape (n_frames,)."""
    if not lost.any():
        return np.zeros(n_frames, bool)
    hop = round(params.hop_s * params.rate_hz)
    # The longer of the two analysis windows decides which samples a frame depends on.
    reach = round(max(params.window_s, params.pitch_window_s) * params.rate_hz)
    near = scipy.ndimage.maximum_filter1d(lost.astype(np.uint8), reach, mode="nearest")
    centres = np.minimum(np.arange(n_frames) * hop, lost.size - 1)
    return near[centres] > 0


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
    faint = 1e-3
    inside = np.where(speech[:, None], values, 0)
    total = scipy.ndimage.gaussian_filter1d(inside, width, axis=0, mode="constant")
    weight = scipy.ndimage.gaussian_filter1d(speech.astype(np.float32), width, mode="constant")
    around = (total + faint * values[speech].mean(axis=0)) / (weight + faint)[:, None]
    result: Array = np.where(speech[:, None], values, around)
    return result


def _smooth(values: Array, params: AudioParams) -> Array:
    """Return a moving average over frames: single frames of a voice are noisy."""
    result: Array = scipy.ndimage.uniform_filter1d(
        values, params.smoothing_frames, axis=0, mode="nearest"
    )
    return result


def _spectral(power: Array, params: AudioParams) -> dict[str, Array]:
    """Return moments and ratios of power spectra, shape (n_frames, n_bins)."""
    hz = np.linspace(0, params.rate_hz / 2, power.shape[1], dtype=np.float32)
    total = power.sum(axis=1)
    centroid = power @ hz / total
    spread = np.sqrt(np.maximum(power @ hz**2 / total - centroid**2, 0))
    cumulative = np.cumsum(power, axis=1)
    rolloff = hz[(cumulative < 0.85 * total[:, None]).sum(axis=1)]
    # The ratio of geometric to arithmetic mean: 0 dB for white noise, far below for a tone.
    flatness = 10 * (np.log10(power).mean(axis=1) - np.log10(power.mean(axis=1)))
    # The alpha ratio, below to above 1 kHz, falls with vocal effort.
    low, high = power[:, hz < 1000].sum(axis=1), power[:, hz >= 1000].sum(axis=1)
    return {
        "centroid_khz": centroid / 1000,
        "spread_khz": spread / 1000,
        "rolloff_khz": rolloff / 1000,
        "flatness_db": flatness,
        "alpha_ratio_db": 10 * np.log10(low / high),
    }


def pitch_track(sound: Array, params: AudioParams) -> tuple[Array, Array]:
    """Track pitch by the window-corrected autocorrelation (Boersma 1993).

    Returns
    -------
    pitch : ndarray of float32, shape (n_frames,)
        Semitones above 55 Hz; interpolated where unvoiced, 0 if nothing is voiced.
    strength : ndarray of float32, shape (n_frames,)
        Height of the peak, 0 to 1: harmonic part of the power.
    """
    frames = framed(sound, params.pitch_window_s, params)
    chunks = [_peaks(frames[i : i + CHUNK], params) for i in range(0, len(frames), CHUNK)]
    pitch, strength, power = (np.concatenate(column) for column in zip(*chunks, strict=True))
    # Quiet frames can be periodic too, by hum: a voice is at most 30 dB below the loudest frames.
    voiced = (strength > params.voicing_threshold) & (power > 1e-3 * np.percentile(power, 95))
    if not voiced.any():
        return np.zeros(len(pitch), np.float32), strength.astype(np.float32)
    rows = np.arange(len(pitch))
    # The median over five frames removes octave errors of single frames.
    smooth = scipy.ndimage.median_filter(pitch[voiced], 5, mode="nearest")
    return np.interp(rows, rows[voiced], smooth).astype(np.float32), strength.astype(np.float32)


def _peaks(frames: Array, params: AudioParams) -> tuple[Array, Array, Array]:
    """Return the best pitch of each frame in semitones, its strength, and the frame's power."""
    frames = frames - frames.mean(axis=1, keepdims=True)
    size = frames.shape[1]
    window = scipy.signal.windows.hann(size, sym=False).astype(np.float32)
    shortest = int(params.rate_hz / params.pitch_max_hz)
    longest = min(int(params.rate_hz / params.pitch_min_hz), size - 2)
    correlation = _autocorrelation(frames * window)[:, : longest + 2]
    # The window tapers the autocorrelation; its own autocorrelation takes that back.
    correlation /= _autocorrelation(window[None])[:, : longest + 2]
    correlation /= np.maximum(correlation[:, :1], 1e-12)
    lags = np.arange(shortest, longest + 1)
    # A periodic signal has equal peaks at multiples of its period: the cost selects the first.
    candidates = correlation[:, lags] - OCTAVE_COST * np.log2(lags / shortest).astype(np.float32)
    # At the shortest lags, the slope of the peak at lag 0 would exceed every true peak.
    summit = correlation[:, lags] >= np.maximum(correlation[:, lags - 1], correlation[:, lags + 1])
    peak = np.argmax(np.where(summit, candidates, -1), axis=1) + shortest
    rows = np.arange(len(peak))
    before, height, after = (correlation[rows, peak + step] for step in (-1, 0, 1))
    # A parabola through three points gives the peak between samples.
    bend = before - 2 * height + after
    shift = np.where(bend < -1e-6, 0.5 * (before - after) / np.where(bend < -1e-6, bend, -1), 0)
    pitch = 12 * np.log2(params.rate_hz / (peak + np.clip(shift, -0.5, 0.5)) / 55)
    strength = np.where(summit.any(axis=1), np.clip(height, 0, 1), 0)
    return pitch, strength, frames.var(axis=1)


def _autocorrelation(frames: Array) -> Array:
    """Return the autocorrelation of each frame, by Fourier transform (Wiener and Khinchin)."""
    # Padded to twice the length, so that the circular correlation equals the linear one.
    size = scipy.fft.next_fast_len(2 * frames.shape[1], real=True)
    spectrum = scipy.fft.rfft(frames, size, axis=1)
    result: Array = scipy.fft.irfft(spectrum.real**2 + spectrum.imag**2, size, axis=1)
    return result


def framed(sound: Array, length_s: float, params: VoiceParams) -> Array:
    """Cut overlapping frames centred on multiples of the hop, mirroring the ends."""
    size = 2 * round(length_s * params.rate_hz / 2)
    hop = round(params.hop_s * params.rate_hz)
    padded = np.pad(sound, size // 2, mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]


@lru_cache
def mel_bank(rate_hz: float, size: int, n_bands: int) -> Array:
    """Return the weights of the mel bands, each summing to 1, shape (n_bands, size // 2 + 1)."""
    bank: Array = librosa.filters.mel(sr=rate_hz, n_fft=size, n_mels=n_bands)
    return bank / bank.sum(axis=1, keepdims=True)


def pulses(sound: Array, rate_hz: float, params: VoiceParams) -> NDArray[np.float64]:
    """Detect synchronisation pulses of the kind ``params.pulse``.

    A click is a sample of the high band that exceeds ``click_ratio`` times the root mean square
    of the surrounding 20 ms, itself excluded, and that of the whole sound. A clap or a tone begins
    where a band becomes ``click_ratio`` times as loud; see `consilience.signals.sync_pulses`.

    Returns
    -------
    ndarray of float64, shape (n_pulses,)
        Seconds from the first sample.
    """
    highest_hz = params.tone_hz if params.pulse == "tone" else params.click_band_hz
    if sound.size < 0.1 * rate_hz or highest_hz >= 0.45 * rate_hz:
        return np.empty(0)  # too short for the filter, or the pulse lies above the sound's band
    power = _variance(sound)
    size, margin = round(PULSE_CHUNK_S * rate_hz), round(rate_hz)
    pulse_samples = []
    for start in range(0, sound.size, size):
        # Chunks overlap by a second on both sides, so that none of the filters sees an edge.
        first = max(start - margin, 0)
        chunk = sound[first : start + size + margin]
        if params.pulse == "click":
            peaks = _clicks(chunk, power, rate_hz, params)
        elif params.pulse == "clap":
            peaks = claps(chunk, rate_hz, params.click_ratio, params.click_band_hz, power)
        else:
            peaks = tones(chunk, rate_hz, params.click_ratio, params.tone_hz, params.tone_s)
        peaks = first + peaks
        pulse_samples.append(peaks[(peaks >= start) & (peaks < start + size)])
    return np.concatenate(pulse_samples) / rate_hz


def _clicks(sound: Array, power: float, rate_hz: float, params: VoiceParams) -> NDArray[np.int64]:
    """Return the samples of clicks; `power` is the variance of the whole sound."""
    band = scipy.signal.butter(4, params.click_band_hz, "highpass", fs=rate_hz, output="sos")
    high = scipy.signal.sosfiltfilt(band, sound).astype(np.float64) ** 2
    inner, outer = (2 * round(length_s * rate_hz / 2) + 1 for length_s in (params.click_s, 0.02))
    # Power of the surrounding 20 ms without the click itself: a difference of two moving sums.
    around = scipy.ndimage.uniform_filter1d(high, outer, mode="reflect") * outer
    around -= scipy.ndimage.uniform_filter1d(high, inner, mode="reflect") * inner
    floor = np.maximum(around / (outer - inner), 1e-10)
    ratio = np.where(high > power, high / floor, 0)
    peaks, _ = scipy.signal.find_peaks(ratio, params.click_ratio**2, distance=outer)
    return np.asarray(peaks)


def _variance(sound: Array) -> float:
    """Return a sound's variance, block by block: NumPy's takes as much memory as the sound."""
    mean = float(sound.mean())
    blocks = (sound[start : start + BLOCK] for start in range(0, sound.size, BLOCK))
    return float(
        sum(np.sum((block - mean) ** 2, dtype=np.float64) for block in blocks) / sound.size
    )


def _away_from(
    lost: NDArray[np.bool_], pulses_s: NDArray[np.float64], rate_hz: float
) -> NDArray[np.float64]:
    """Return the pulses that are not the edge of lost sound."""
    if not lost.any():
        return pulses_s
    reach = 2 * round(NEAR_LOST_S * rate_hz) + 1
    near = scipy.ndimage.maximum_filter1d(lost.astype(np.uint8), reach, mode="nearest")
    return pulses_s[near[np.rint(pulses_s * rate_hz).astype(int)] == 0]


def cut_pulses(sound: Array, pulses_s: NDArray[np.float64], params: VoiceParams) -> Array:
    """Replace the pulses by a straight line between the samples before and after them."""
    cut = np.zeros(sound.size + 2, np.int8)  # a border of 0 closes stretches at the ends
    before, after = round(0.001 * params.rate_hz), round(params.pulse_s * params.rate_hz)
    for onset in np.rint(pulses_s * params.rate_hz).astype(int):
        cut[max(onset - before, 0) + 1 : min(onset + after, sound.size - 1) + 2] = 1
    if cut[1:-1].all():  # nothing to interpolate between
        return sound
    result = sound.copy()
    # Stretches rather than pulses: neighbouring pulses can overlap.
    for start, stop in np.flatnonzero(np.diff(cut)).reshape(-1, 2):
        left = sound[start - 1] if start else sound[stop]
        right = sound[stop] if stop < sound.size else left
        result[start:stop] = np.linspace(left, right, stop - start + 2)[1:-1]
    return result


def quality(sound: Array, loudness_db: Array, speech: Array) -> dict[str, float]:
    """Compute measures of quality from samples and frames.

    ``"quality"`` rises from 0 at 5 dB between loud and quiet frames to 1 at 30 dB, and falls with
    clipping: to 0 at 5 % of the samples.
    """
    clipped = _clipped_fraction(sound)
    quiet, loud = np.percentile(loudness_db, [5, 95])
    snr_db = float(loud - quiet)
    return {
        "clipped_fraction": clipped,
        "snr_db": snr_db,
        "silent_fraction": float(1 - speech.mean()),
        "quality": float(np.clip((snr_db - 5) / 25, 0, 1) * max(1 - 20 * clipped, 0)),
    }


def _clipped_fraction(sound: Array) -> float:
    """Return the share of samples that stay at the extremes of the sound."""
    # Three in a row: an undistorted wave touches its maximum in one sample or two.
    extreme = (sound >= 0.999 * sound.max()) | (sound <= 0.999 * sound.min())
    return float(np.mean(extreme[2:] & extreme[1:-1] & extreme[:-2]))


modality = Audio()
