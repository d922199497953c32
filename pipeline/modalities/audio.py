"""Voice: sound files and sound tracks, as log-mel bands, cepstra and prosody.

The spectrum is taken once per frame and shared by every feature. Pitch is the highest peak of
the window-corrected autocorrelation (Boersma 1993). In silence, features of the voice go on at
the local mean of the speech around, so that statistics over a window are those of its speech.
Synchronisation clicks are found as isolated impulses in the high band and cut out before
anything is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import av
import librosa
import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.signal
import soundfile
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.errors import RecordingError
from pipeline.files import content_hash
from pipeline.modalities._container import CONTAINERS, declared_s, open_container
from pipeline.modalities._corrupt_audio import CORRUPTIONS
from pipeline.modalities.base import (
    Corruption,
    Features,
    Header,
    ModalityParams,
    Severities,
    Signal,
    default_corruptions,
)
from pipeline.model.encoders import FunctionalsEncoder

Array = NDArray[np.float32]

FORMATS = {
    ".wav": ("WAV", "WAVEX", "RF64"),
    ".flac": ("FLAC",),
    ".mp3": ("MP3", "MPEG"),
}
MISSING_S = 0.25  # between what a container says and what its sound track holds
SILENT = 1e-4  # peak to peak, full scale 1: a few steps of 16-bit sound
MAX_LEVEL = 1e4  # full scale 1; float samples may exceed it, a scale that is wrong by far may not
OCTAVE_COST = 0.03  # of the autocorrelation: how much lower pitch is held back
SILENCE_DB = -90.0  # frames are told apart down to here


class AudioParams(ModalityParams):
    """Parameters of the voice."""

    rate_hz: float = Field(16000.0, gt=0)
    window_s: float = Field(0.032, gt=0)
    hop_s: float = Field(0.02, gt=0)
    mel_bands: int = Field(26, ge=1)
    cepstra: int = Field(13, ge=1)
    pitch_min_hz: float = Field(60.0, gt=0)
    pitch_max_hz: float = Field(600.0, gt=0)
    pitch_window_s: float = Field(0.05, gt=0)
    voicing_threshold: float = Field(0.5, gt=0, lt=1)
    click_band_hz: float = Field(4000.0, gt=0)
    click_ratio: float = Field(12.0, gt=1)
    click_s: float = Field(0.004, gt=0)
    smoothing_frames: int = Field(3, ge=1)
    speech_range_db: float = Field(35.0, gt=0)
    hold_s: float = Field(0.5, gt=0)
    KNOWN: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS
    corruptions: dict[str, Severities] = default_corruptions(CORRUPTIONS)

    @model_validator(mode="after")
    def _consistent(self) -> AudioParams:
        if abs(self.hop_s * self.rate_hz - round(self.hop_s * self.rate_hz)) > 1e-6:
            raise ValueError("hop_s must be a whole number of samples at rate_hz")
        if self.cepstra > self.mel_bands:
            raise ValueError("cepstra must not exceed mel_bands")
        if not self.pitch_min_hz < self.pitch_max_hz < self.rate_hz / 4:
            raise ValueError("pitch_min_hz < pitch_max_hz < rate_hz / 4 must hold")
        return self


class Audio:
    """The voice modality."""

    name: ClassVar[str] = "audio"
    suffixes: ClassVar[tuple[str, ...]] = (*FORMATS, *CONTAINERS)
    Params: ClassVar[type[ModalityParams]] = AudioParams

    def probe(self, path: Path, item: str | None) -> Header:
        """Read rate, channels and duration from the header.

        Raises
        ------
        RecordingError
            If the file is no sound, is empty, or holds less than its header says.
        """
        _refuse_empty(path)
        if path.suffix.lower() in CONTAINERS:
            return _probe_container(path)
        return _probe_file(path)

    def identity(self, path: Path, item: str | None) -> str:
        """Return the hash of the file."""
        return content_hash(path)

    def read(self, path: Path, item: str | None, params: AudioParams) -> Signal:
        """Read the sound, mono and resampled, and find its synchronisation clicks.

        Returns
        -------
        Signal
            ``values`` float32, shape (n_samples,), full scale 1.
        """
        _refuse_empty(path)
        if path.suffix.lower() in CONTAINERS:
            sound, rate_hz, start_s = _decode_container(path)
        else:
            sound, rate_hz = _decode_file(path)
            start_s = 0.0
        if not np.isfinite(sound).all():
            raise RecordingError(
                "the sound has NaN or infinite samples", str(path), "export it again"
            )
        mono = sound.mean(axis=0, dtype=np.float32)
        pulses_s = start_s + clicks(mono, rate_hz, params)
        if rate_hz != params.rate_hz:
            mono = librosa.resample(
                mono, orig_sr=rate_hz, target_sr=params.rate_hz, res_type="soxr_hq"
            )
        times_s = start_s + np.arange(mono.size) / params.rate_hz
        return Signal(mono, times_s, ("mono",), pulses_s)

    def features(self, signal: Signal, params: AudioParams) -> Features:
        """Cut the clicks out, and measure spectrum and prosody frame by frame.

        Raises
        ------
        RecordingError
            If the sound is flat or shorter than one window.
        """
        clean = self.checked(signal, params)
        start_s = float(signal.times_s[0])
        columns = describe(clean, params)
        values = np.stack(list(columns.values()), axis=1).astype(np.float32)
        times_s = start_s + np.arange(len(values), dtype=np.float64) * params.hop_s
        measures = quality(clean, columns["loudness_db"], columns["speech"])
        measures["offset_fraction"] = float(np.mean(signal.values))
        return Features(values, times_s, tuple(columns), measures)

    def checked(self, signal: Signal, params: AudioParams) -> Array:
        """Return the sound without offset and clicks. Raises RecordingError: see `features`."""
        sound = np.asarray(signal.values, np.float32)
        if not np.isfinite(sound).all():
            raise RecordingError(
                "the sound has NaN or infinite samples", "audio", "export it again"
            )
        if sound.size <= max(params.pitch_window_s, params.window_s) * params.rate_hz:
            raise RecordingError(
                f"{sound.size} samples are shorter than one window", "audio", "record for longer"
            )
        if np.abs(sound).max() > MAX_LEVEL:
            raise RecordingError(
                f"the sound goes to {np.abs(sound).max():g} times full scale",
                "audio",
                "export it within -1 and 1",
            )
        if np.ptp(sound) < SILENT:
            raise RecordingError("the sound is silent throughout", "audio", "check the microphone")
        start_s = float(signal.times_s[0])
        return cut_clicks(sound - sound.mean(), signal.pulses_s - start_s, params)

    def corrupt(
        self,
        signal: Signal,
        kind: str,
        severity: int,
        params: AudioParams,
        rng: np.random.Generator,
    ) -> Signal:
        """Spoil the sound as it comes out of the microphone."""
        sound = np.asarray(signal.values, np.float32)
        level = params.corruptions[kind][severity - 1]
        spoilt = CORRUPTIONS[kind].apply(sound, level, params.rate_hz, rng)
        return replace(signal, values=spoilt)

    def frame_rate_hz(self, params: AudioParams) -> float:
        """Return the frames a second."""
        return 1 / params.hop_s

    def encoder(self, n_features: int, width: int, dropout: float) -> FunctionalsEncoder:
        """Return functionals over time and a small network."""
        return FunctionalsEncoder(n_features, width, dropout)


def describe(sound: Array, params: AudioParams) -> dict[str, Array]:
    """Measure every feature on one frame grid, frame ``i`` centred at ``i * hop_s``.

    Parameters
    ----------
    sound : ndarray of float32, shape (n_samples,)
        Without offset, full scale 1.

    Returns
    -------
    dict of str to ndarray of float32, shape (n_frames,)
    """
    frames = _frames(sound, params.window_s, params)
    window = scipy.signal.windows.hann(frames.shape[1], sym=False).astype(np.float32)
    spectrum = scipy.fft.rfft(frames * window, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2) / np.float32(window.sum() ** 2)
    power += np.float32(10 ** (SILENCE_DB / 10 - 2))
    bank = _mel(params.rate_hz, frames.shape[1], params.mel_bands)
    mel = 10 * np.log10(power @ bank.T)
    cepstra = scipy.fft.dct(mel, axis=1, norm="ortho")[:, : params.cepstra]
    pitch, voicing = pitch_track(sound, params)
    voice = {
        **{f"mel_{i:02d}_db": column for i, column in enumerate(mel.T)},
        **{f"mfcc_{i:02d}": column for i, column in enumerate(cepstra.T)},
        **_spectral(power, mel, params),
        "zero_crossings": np.diff(np.signbit(frames), axis=1).mean(axis=1),
        "pitch_semitones": pitch,
    }
    loudness = 10 * np.log10(frames.var(axis=1) + np.float32(10 ** (SILENCE_DB / 10)))
    speech = loudness > np.percentile(loudness, 95) - params.speech_range_db
    smooth = _smooth(np.stack([*voice.values(), loudness, voicing], axis=1), params)
    steps = np.gradient(smooth[:, params.mel_bands :], axis=0)
    held = hold(np.hstack([smooth[:, :-2], steps]), speech, params.hold_s / params.hop_s)
    names = [*voice, "loudness_db", "voicing"]
    stepping = [f"{name}_step" for name in names[params.mel_bands :]]
    values = np.hstack([held, smooth[:, -2:], speech[:, None]]).astype(np.float32)
    return dict(zip([*voice, *stepping, *names[-2:], "speech"], values.T, strict=True))


def hold(values: Array, speech: NDArray[np.bool_], width: float) -> Array:
    """Replace what is not speech by a Gaussian-weighted mean of the speech around.

    Parameters
    ----------
    values : ndarray of float32, shape (n_frames, n_features)
    speech : ndarray of bool, shape (n_frames,)
        With at least one frame of speech.
    width : float
        Standard deviation of the Gaussian in frames; far from any speech, the mean of the
        whole recording's speech takes over.
    """
    faint = 1e-3
    inside = np.where(speech[:, None], values, 0)
    total = scipy.ndimage.gaussian_filter1d(inside, width, axis=0, mode="constant")
    weight = scipy.ndimage.gaussian_filter1d(speech.astype(np.float32), width, mode="constant")
    around = (total + faint * values[speech].mean(axis=0)) / (weight + faint)[:, None]
    result: Array = np.where(speech[:, None], values, around)
    return result


def _smooth(values: Array, params: AudioParams) -> Array:
    result: Array = scipy.ndimage.uniform_filter1d(
        values, params.smoothing_frames, axis=0, mode="nearest"
    )
    return result


def _spectral(power: Array, mel: Array, params: AudioParams) -> dict[str, Array]:
    hz = np.linspace(0, params.rate_hz / 2, power.shape[1], dtype=np.float32)
    total = power.sum(axis=1)
    centroid = power @ hz / total
    spread = np.sqrt(np.maximum(power @ hz**2 / total - centroid**2, 0))
    cumulative = np.cumsum(power, axis=1)
    rolloff = hz[(cumulative < 0.85 * total[:, None]).sum(axis=1)]
    flatness = 10 * (np.log10(power).mean(axis=1) - np.log10(power.mean(axis=1)))
    flux = np.abs(np.diff(mel, axis=0, prepend=mel[:1])).mean(axis=1)
    low, high = power[:, hz < 1000].sum(axis=1), power[:, hz >= 1000].sum(axis=1)
    return {
        "centroid_khz": centroid / 1000,
        "spread_khz": spread / 1000,
        "rolloff_khz": rolloff / 1000,
        "flatness_db": flatness,
        "flux_db": flux,
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
    frames = _frames(sound, params.pitch_window_s, params)
    frames = frames - frames.mean(axis=1, keepdims=True)
    size = frames.shape[1]
    window = scipy.signal.windows.hann(size, sym=False).astype(np.float32)
    shortest = int(params.rate_hz / params.pitch_max_hz)
    longest = min(int(params.rate_hz / params.pitch_min_hz), size - 2)
    correlation = _autocorrelation(frames * window)[:, : longest + 2]
    correlation /= _autocorrelation(window[None])[:, : longest + 2]
    correlation /= np.maximum(correlation[:, :1], 1e-12)
    lags = np.arange(shortest, longest + 1)
    candidates = correlation[:, lags] - OCTAVE_COST * np.log2(lags / shortest).astype(np.float32)
    summit = correlation[:, lags] >= np.maximum(correlation[:, lags - 1], correlation[:, lags + 1])
    peak = np.argmax(np.where(summit, candidates, -1), axis=1) + shortest
    rows = np.arange(len(peak))
    before, height, after = (correlation[rows, peak + step] for step in (-1, 0, 1))
    bend = before - 2 * height + after
    shift = np.where(bend < -1e-6, 0.5 * (before - after) / np.where(bend < -1e-6, bend, -1), 0)
    pitch = 12 * np.log2(params.rate_hz / (peak + np.clip(shift, -0.5, 0.5)) / 55)
    strength = np.where(summit.any(axis=1), np.clip(height, 0, 1), 0)
    loud = frames.var(axis=1)
    voiced = (strength > params.voicing_threshold) & (loud > 1e-3 * np.percentile(loud, 95))
    if not voiced.any():
        return np.zeros(len(peak), np.float32), strength.astype(np.float32)
    smooth = scipy.ndimage.median_filter(pitch[voiced], 5, mode="nearest")
    return np.interp(rows, rows[voiced], smooth).astype(np.float32), strength.astype(np.float32)


def _autocorrelation(frames: Array) -> Array:
    size = scipy.fft.next_fast_len(2 * frames.shape[1], real=True)
    spectrum = scipy.fft.rfft(frames, size, axis=1)
    result: Array = scipy.fft.irfft(spectrum.real**2 + spectrum.imag**2, size, axis=1)
    return result


def _frames(sound: Array, length_s: float, params: AudioParams) -> Array:
    """Cut overlapping frames centred on multiples of the hop, mirroring the ends."""
    size = 2 * round(length_s * params.rate_hz / 2)
    hop = round(params.hop_s * params.rate_hz)
    padded = np.pad(sound, size // 2, mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]


@lru_cache
def _mel(rate_hz: float, size: int, n_bands: int) -> Array:
    bank: Array = librosa.filters.mel(sr=rate_hz, n_fft=size, n_mels=n_bands)
    return bank / bank.sum(axis=1, keepdims=True)


def clicks(sound: Array, rate_hz: float, params: AudioParams) -> NDArray[np.float64]:
    """Find short broadband clicks.

    A click is a sample of the high band that exceeds ``click_ratio`` times the root mean
    square of the 20 ms around it, itself left out, and that of the whole sound.

    Returns
    -------
    ndarray of float64, shape (n_clicks,)
        Seconds from the first sample.
    """
    if sound.size < 0.1 * rate_hz or params.click_band_hz >= 0.45 * rate_hz:
        return np.empty(0)
    band = scipy.signal.butter(4, params.click_band_hz, "highpass", fs=rate_hz, output="sos")
    high = scipy.signal.sosfiltfilt(band, sound).astype(np.float64) ** 2
    inner, outer = (2 * round(length_s * rate_hz / 2) + 1 for length_s in (params.click_s, 0.02))
    around = scipy.ndimage.uniform_filter1d(high, outer, mode="reflect") * outer
    around -= scipy.ndimage.uniform_filter1d(high, inner, mode="reflect") * inner
    floor = np.maximum(around / (outer - inner), 1e-10)
    ratio = np.where(high > np.var(sound), high / floor, 0)
    peaks, _ = scipy.signal.find_peaks(ratio, params.click_ratio**2, distance=outer)
    return peaks / rate_hz


def cut_clicks(sound: Array, pulses_s: NDArray[np.float64], params: AudioParams) -> Array:
    """Replace the clicks by a straight line from their left to their right."""
    keep = np.ones(sound.size, bool)
    before, after = round(0.001 * params.rate_hz), round(params.click_s * params.rate_hz)
    for onset in np.rint(pulses_s * params.rate_hz).astype(int):
        keep[max(onset - before, 0) : onset + after + 1] = False
    if keep.all() or not keep.any():
        return sound
    index = np.arange(sound.size)
    return np.interp(index, index[keep], sound[keep]).astype(np.float32)


def quality(sound: Array, loudness_db: Array, speech: Array) -> dict[str, float]:
    """Judge a sound by its frames: 1 from 30 dB between speech and pauses on, 0 at 5 or less."""
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
    """Return the share of samples that stay at the sound's own extremes."""
    extreme = (sound >= 0.999 * sound.max()) | (sound <= 0.999 * sound.min())
    return float(np.mean(extreme[2:] & extreme[1:-1] & extreme[:-2]))


def _refuse_empty(path: Path) -> None:
    if path.stat().st_size == 0:
        raise RecordingError("the file is empty", str(path), "copy it again from the recorder")


def _probe_file(path: Path) -> Header:
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise RecordingError(
            f"not a readable sound file: {error.error_string}", str(path), "copy or export it again"
        ) from None
    expected = FORMATS[path.suffix.lower()]
    if info.format not in expected:
        raise RecordingError(
            f"the content is {info.format}, not {expected[0]}",
            str(path),
            "correct the file's ending",
        )
    if info.frames == 0:
        raise RecordingError("there are no samples", str(path), "copy it again from the recorder")
    if "should be" in info.extra_info:
        raise RecordingError(
            "the file is cut off: it is shorter than its header says",
            str(path),
            "copy it again from the recorder",
        )
    return Header(float(info.samplerate), info.channels, info.frames / info.samplerate)


def _decode_file(path: Path) -> tuple[Array, float]:
    header = _probe_file(path)
    try:
        sound, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise RecordingError(
            f"the sound breaks off: {error.error_string}", str(path), "copy it again"
        ) from None
    if len(sound) < round((header.duration_s or 0) * rate_hz):
        raise RecordingError("the sound breaks off", str(path), "copy it again from the recorder")
    return sound.T, float(rate_hz)


def _probe_container(path: Path) -> Header:
    with open_container(path, "audio") as container:
        stream = container.streams.audio[0]
        return Header(float(stream.rate), stream.channels, declared_s(container, stream))


def _decode_container(path: Path) -> tuple[Array, float, float]:
    """Decode the first sound track; its start counts from the container's own."""
    blocks: list[NDArray[Any]] = []
    start_s = None
    with open_container(path, "audio") as container:
        origin_s = (container.start_time or 0) / av.time_base
        stream = container.streams.audio[0]
        rate_hz, duration_s = float(stream.rate), declared_s(container, stream)
        resampler = av.AudioResampler(format="fltp", layout="mono")
        try:
            for frame in container.decode(stream):
                if start_s is None:
                    start_s = (frame.time or 0.0) - origin_s
                blocks += [part.to_ndarray() for part in resampler.resample(frame)]
            blocks += [part.to_ndarray() for part in resampler.resample(None)]
        except av.FFmpegError as error:
            raise RecordingError(
                f"the sound track breaks off: {error.strerror}", str(path), "copy it again"
            ) from None
    if not blocks:
        raise RecordingError("the sound track has no samples", str(path), "export it again")
    sound = np.concatenate(blocks, axis=1, dtype=np.float32)
    if duration_s and sound.shape[1] / rate_hz < duration_s - MISSING_S:
        raise RecordingError(
            f"the sound track breaks off before its {duration_s:.2f} s are over",
            str(path),
            "copy it again from the recorder",
        )
    return sound, rate_hz, start_s or 0.0


modality = Audio()
