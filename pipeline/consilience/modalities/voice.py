"""Sound of a voice: what every modality that reads sound shares, from the file to its corruptions.

- Synchronisation clicks are isolated impulses in the high band; claps and tones are detected by
  their onsets (parameter ``pulse``). They are removed before anything is measured.
- Sound that a container's time stamps show to be lost is missing, not silent.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import content_hash
from consilience.core.scratch import blocks, empty, even_times_s, release
from consilience.modalities.base import Modality
from consilience.modalities.params.audio import VoiceParams
from consilience.readers import sound as sound_files
from consilience.readers.base import Recording
from consilience.readers.channel_mix import SILENT
from consilience.readers.sound import SUFFIXES, decode, probe, resample
from consilience.signals.audio_corruptions import APPLY
from consilience.signals.regular_grid import has_gaps, to_regular_grid
from consilience.signals.sound_levels import levels, variance, without_offset
from consilience.signals.sound_track import read_sound_track
from consilience.signals.sync_pulses import claps, clicks, tones
from consilience.signals.types import LEVEL_DB, Header, Signal

Array = NDArray[np.float32]

MAX_LEVEL = 1e4  # full scale 1: float samples may exceed it, a wrong unit exceeds this too
SUFFICIENT_HZ = 16000.0  # a lower rate cuts off frequencies that the features use
LEAST_HZ = 8000.0  # of a telephone
FRAMES = 2**13  # frames searched for lost samples at a time
PULSE_CHUNK_S = 60.0  # sound searched for pulses at a time: bounds memory
NEAR_LOST_S = 0.02  # an impulse this near to lost sound is its edge, not a click


class Voice(Modality):
    """A modality that reads sound; a subclass computes features."""

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    context_s: ClassVar[float] = 20.0  # a second of sound takes 1.5 ms; see `Audio`

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
        return self._signal(sound, source_hz, start_s, path, params)

    def stream_signal(self, recording: Recording, params: VoiceParams) -> Signal:
        """Return the sound of a stream, its channels averaged; NaN where samples were lost.

        Samples of whole numbers are divided by the largest of their type.

        Raises
        ------
        RecordingError
            If the stream has no rate.
        """
        if recording.rate_hz <= 0:
            raise RecordingError(
                "sound without a sampling rate",
                str(recording.path),
                "declare the nominal rate of the stream",
            )
        times_s = recording.times_s()
        samples = recording.stored_samples()
        if not len(times_s):
            return Signal(np.empty(0, np.float32), times_s, ("mono",))
        is_whole = np.issubdtype(samples.dtype, np.integer)
        full_scale = np.iinfo(samples.dtype).max + 1 if is_whole else 1
        sound = _mono(samples, full_scale)
        if has_gaps(times_s):
            mono = Signal(sound[:, None], times_s, ("mono",))
            sound = to_regular_grid(mono, recording.rate_hz)[0][:, 0].astype(np.float32)
        start_s = float(times_s[0])
        return self._signal(sound, recording.rate_hz, start_s, recording.path, params)

    def least_stream_hz(self, params: VoiceParams) -> float:
        """Return the rate in Hz below which a voice is not understood."""
        return LEAST_HZ

    def _signal(
        self, sound: Array, source_hz: float, start_s: float, path: Path, params: VoiceParams
    ) -> Signal:
        # Pulses are detected at the file's own rate, where their onsets are sharpest.
        pulses_s = start_s + _away_from_lost(sound, pulses(sound, source_hz, params), source_hz)
        mono = resample(sound, source_hz, params.rate_hz, path)
        times_s = even_times_s(mono.size, params.rate_hz, start_s)
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

    def checked(self, signal: Signal, params: VoiceParams) -> Array:
        """Return the sound without offset and pulses; lost samples are 0.

        Raises
        ------
        RecordingError
            If the sound is silent, shorter than one window, not finite, or far above full scale.
        """
        sound = np.asarray(signal.values, np.float32)
        measured = levels(sound)
        if not measured.n_present or np.isinf(measured.peak):
            raise RecordingError(
                "the sound has NaN or infinite samples", "audio", "export it again"
            )
        if sound.size <= max(params.pitch_window_s, params.window_s) * params.rate_hz:
            raise RecordingError(
                f"{sound.size} samples are shorter than one window", "audio", "record for longer"
            )
        if measured.peak > MAX_LEVEL:
            raise RecordingError(
                f"the sound reaches {measured.peak:g} times full scale",
                "audio",
                "export it within -1 and 1",
            )
        if measured.high - measured.low < SILENT:
            raise RecordingError("the sound is silent throughout", "audio", "check the microphone")
        return cleaned(sound, sound, signal.pulses_s - float(signal.times_s[0]), params)

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


def _mono(samples: NDArray[Any], full_scale: int) -> Array:
    """Return the mean of the channels of a stream, NaN where it is not finite."""
    # A mean over a single channel is slow.
    mono = samples.shape[1] == 1
    mean = samples[:, 0].astype(np.float64) if mono else samples.mean(axis=1, dtype=np.float64)
    sound = (mean / full_scale).astype(np.float32)
    sound[~np.isfinite(sound)] = np.nan
    return sound


def cleaned(
    sound: Array, recorded: Array, pulses_s: NDArray[np.float64], params: VoiceParams
) -> Array:
    """Return a sound without offset and pulses, 0 where it was lost; linear in the sound.

    Parameters
    ----------
    sound, recorded : ndarray of float32, shape (n_samples,)
        NaN in `recorded` marks lost samples.
    pulses_s : ndarray of float64, shape (n_pulses,)
        Seconds from the first sample.
    params : VoiceParams
    """
    centred = without_offset(sound, recorded, params.rate_hz)
    cut_pulses(centred, pulses_s, params)
    return centred


def lost_frames(recorded: Array, n_frames: int, params: VoiceParams) -> NDArray[np.bool_]:
    """Return the frames that contain lost samples, which are NaN, shape (n_frames,)."""
    hop = round(params.hop_s * params.rate_hz)
    # The longer of the two analysis windows decides which samples a frame depends on.
    reach = round(max(params.window_s, params.pitch_window_s) * params.rate_hz)
    centres = np.minimum(np.arange(n_frames) * hop, recorded.size - 1)
    starts, stops = np.maximum(centres - reach // 2, 0), centres - reach // 2 + reach
    lost = np.zeros(n_frames, bool)
    for frames in blocks(lost, step=FRAMES):
        first = starts[frames][0]
        missing = np.isnan(recorded[first : stops[frames][-1]])
        if missing.any():
            before = np.concatenate([[0], np.cumsum(missing)])
            inside = np.minimum(stops[frames] - first, missing.size)
            lost[frames] = before[inside] > before[starts[frames] - first]
        release(recorded)
    return lost


def pulses(sound: Array, rate_hz: float, params: VoiceParams) -> NDArray[np.float64]:
    """Detect synchronisation pulses of the kind ``params.pulse``; NaN marks lost sound.

    A click exceeds the surrounding high band by ``click_ratio``; a clap or a tone begins where a
    band becomes ``click_ratio`` times as loud. See `consilience.signals.sync_pulses`.

    Returns
    -------
    ndarray of float64, shape (n_pulses,)
        Seconds from the first sample.
    """
    highest_hz = params.tone_hz if params.pulse == "tone" else params.click_band_hz
    if sound.size < 0.1 * rate_hz or highest_hz >= 0.45 * rate_hz:
        return np.empty(0)  # too short for the filter, or the pulse lies above the sound's band
    power = variance(sound)
    size, margin = round(PULSE_CHUNK_S * rate_hz), round(rate_hz)
    pulse_samples = []
    for start in range(0, sound.size, size):
        # Chunks overlap by a second on both sides, so that none of the filters sees an edge.
        first = max(start - margin, 0)
        chunk = sound[first : start + size + margin]
        if np.isnan(chunk.sum()):
            chunk = np.where(np.isnan(chunk), np.float32(0), chunk)
        if params.pulse == "click":
            peaks = clicks(
                chunk, rate_hz, params.click_ratio, params.click_band_hz, params.click_s, power
            )
        elif params.pulse == "clap":
            peaks = claps(chunk, rate_hz, params.click_ratio, params.click_band_hz, power)
        else:
            peaks = tones(chunk, rate_hz, params.click_ratio, params.tone_hz, params.tone_s)
        peaks = first + peaks
        pulse_samples.append(peaks[(peaks >= start) & (peaks < start + size)])
        release(sound)
    return np.concatenate(pulse_samples) / rate_hz


def _away_from_lost(
    sound: Array, pulses_s: NDArray[np.float64], rate_hz: float
) -> NDArray[np.float64]:
    """Return the pulses that are not the edge of lost sound."""
    reach = round(NEAR_LOST_S * rate_hz)
    samples = np.rint(pulses_s * rate_hz).astype(int)
    alone = np.ones(len(samples), bool)
    for number, at in enumerate(samples):
        alone[number] = not np.isnan(sound[max(at - reach, 0) : at + reach + 1]).any()
        release(sound)
    return pulses_s[alone]


def cut_pulses(sound: Array, pulses_s: NDArray[np.float64], params: VoiceParams) -> None:
    """Replace the pulses by a straight line between the samples before and after them."""
    before, after = round(0.001 * params.rate_hz), round(params.pulse_s * params.rate_hz)
    for start, stop in _stretches(pulses_s * params.rate_hz, before, after, sound.size):
        if start == 0 and stop == sound.size:  # nothing to interpolate between
            continue
        left = sound[start - 1] if start else sound[stop]
        right = sound[stop] if stop < sound.size else left
        sound[start:stop] = np.linspace(left, right, stop - start + 2)[1:-1]
        release(sound)


def _stretches(
    onsets: NDArray[np.float64], before: int, after: int, size: int
) -> list[tuple[int, int]]:
    """Return the samples around onsets as stretches, since those of neighbours can overlap."""
    stretches: list[tuple[int, int]] = []
    for onset in np.sort(np.rint(onsets).astype(int)):
        start, stop = max(onset - before, 0), min(onset + after, size - 1) + 1
        if stretches and start <= stretches[-1][1]:
            start, stop = stretches[-1][0], max(stop, stretches.pop()[1])
        if start < stop:
            stretches.append((start, stop))
    return stretches


def without_pulses(signal: Signal, params: VoiceParams) -> Array:
    """Return the sound of a recording without its pulses, NaN where it was lost."""
    recorded = np.asarray(signal.values, np.float32)
    sound: Array = empty(recorded.size, np.float32)
    for places in blocks(recorded, sound):
        sound[places] = recorded[places]
    cut_pulses(sound, signal.pulses_s - float(signal.times_s[0]), params)
    return sound


def quality(sound: Array, loudness_db: Array, speech: Array) -> dict[str, float]:
    """Compute measures of quality from samples and frames.

    ``"quality"`` rises from 0 at 5 dB between loud and quiet frames to 1 at 30 dB, and falls with
    clipping: to 0 at 5 % of the samples. Clipping is sought in the sound as recorded, because the
    removal of a varying offset hides it. ``"level_db"`` is relative to a square wave of full scale.
    """
    clipped = _clipped_fraction(sound)
    quiet, loud = np.percentile(loudness_db, [5, 95])
    snr_db = float(loud - quiet)
    return {
        "clipped_fraction": clipped,
        LEVEL_DB: 10 * np.log10(variance(sound) + 1e-12),
        "snr_db": snr_db,
        "silent_fraction": float(1 - speech.mean()),
        "quality": float(np.clip((snr_db - 5) / 25, 0, 1) * max(1 - 20 * clipped, 0)),
    }


def _clipped_fraction(sound: Array) -> float:
    """Return the share of samples that stay at the extremes of the sound."""
    # Three in a row: an undistorted wave touches its maximum in one sample or two.
    measured, clipped = levels(sound), 0
    for places in blocks(sound):
        block = sound[places.start : places.stop + 2]
        extreme = (block >= np.float32(0.999 * measured.high)) | (
            block <= np.float32(0.999 * measured.low)
        )
        clipped += int(np.count_nonzero(extreme[2:] & extreme[1:-1] & extreme[:-2]))
    return clipped / max(sound.size - 2, 1)
