from dataclasses import replace

import numpy as np
import pytest

from consilience.alignment.clock import SHARED, Line
from consilience.alignment.cross_recording import fit_content, fit_sound, fit_start_times
from consilience.alignment.sound import SoundTrack
from consilience.core import registry
from consilience.core.seeds import generator
from consilience.schema.params.alignment import AlignmentParams
from tests.real_data import NO_REAL_DATA, REAL_DATA

PARAMS = AlignmentParams()
DATA = REAL_DATA
CLIPS = [*sorted(DATA.glob("grid/*.mpg")), *sorted(DATA.glob("crema_d/*.flv"))]


def noise(n: int, *names: object) -> np.ndarray:
    return generator("companions", *names).standard_normal(n).astype(np.float32)


def test_sound_gives_the_offset_to_a_known_clock() -> None:
    source = noise(20 * 16000, "source")
    values = source[12000:] + 0.1 * noise(len(source) - 12000, "own")
    track = SoundTrack(values, 0.0, 16000.0)
    reference = SoundTrack(source, 0.0, 16000.0)
    fit = fit_sound(track, reference, SHARED, PARAMS, (0.0, track.end_s))
    assert (fit.status, fit.method) == ("aligned", "shared sound")
    assert fit.clock is not None
    assert fit.clock.to_session(5.0) == pytest.approx(5.75, abs=1e-4)


def test_the_error_of_the_reference_clock_is_added() -> None:
    source = SoundTrack(noise(20 * 16000, "source"), 0.0, 16000.0)
    inaccurate = replace(SHARED, error_ms=15.0)
    fit = fit_sound(source, source, inaccurate, PARAMS, (0.0, source.end_s))
    assert fit.status == "coarse"
    assert fit.error_ms == pytest.approx(15.0, abs=0.1)
    assert "with the reference clock's error" in (fit.reason or "")


def test_start_times_give_a_coarse_clock() -> None:
    fit = fit_start_times("2026-01-01T10:00:03", "2026-01-01T10:00:01Z", SHARED, PARAMS)
    assert fit.clock is not None
    assert (fit.status, fit.clock.longest) == ("coarse", Line(2.0))
    for other in (None, "yesterday", "2026-01-01T12:00:00"):
        assert fit_start_times("2026-01-01T10:00:03", other, SHARED, PARAMS).status == "unaligned"


def mouth_and_voice(length_s: float, *names: object) -> tuple[np.ndarray, np.ndarray]:
    """Return times and a trace with peaks at the rate of syllables."""
    times = np.arange(0, length_s, 0.04)
    syllables = np.cumsum(generator("syllables", *names).uniform(0.15, 0.6, 100))
    return times, np.exp(-(((times[:, None] - syllables) / 0.08) ** 2)).sum(axis=1)


def test_content_is_coarse_at_best() -> None:
    times, trace = mouth_and_voice(10, "one")
    fit = fit_content(times, trace, times + 1.2, trace, PARAMS)
    assert fit.status == "coarse"
    assert fit.clock is not None
    assert fit.clock.longest.offset_s == pytest.approx(1.2, abs=0.02)
    assert (fit.error_ms or 0) >= 100


def test_ambiguous_content_gives_no_clock() -> None:
    times, trace = mouth_and_voice(10, "one")
    _, other = mouth_and_voice(10, "other")
    beat = np.sin(2 * np.pi * 3 * times)
    for a, b in ((trace, other), (beat, beat), (trace, np.full_like(trace, np.nan))):
        assert fit_content(times, a, times, b, PARAMS).status == "unaligned"


@pytest.mark.real_data
@pytest.mark.skipif(not CLIPS, reason=NO_REAL_DATA)
def test_shifted_sound_tracks_of_real_clips_are_aligned_within_a_frame() -> None:
    """The other recorder starts later, and adds independent noise at 10 dB."""
    audio = registry.get("modalities", "audio")
    n_aligned = 0
    for clip in CLIPS:
        signal = audio.read(clip, None, audio.Params())
        rate_hz = (len(signal.times_s) - 1) / float(signal.times_s[-1] - signal.times_s[0])
        camera = SoundTrack(signal.values, float(signal.times_s[0]), rate_hz)
        shift = round(0.2371 * rate_hz)
        level = float(np.std(signal.values)) * 10 ** (-10 / 20)
        noisy = signal.values[shift:] + level * noise(len(signal.values) - shift, clip.name)
        late = SoundTrack(noisy.astype(np.float32), 0.0, rate_hz)
        near = AlignmentParams(max_offset_s=1.0)
        fit = fit_sound(late, camera, SHARED, near, (0.0, late.end_s))
        n_aligned += fit.status == "aligned"
        if fit.status == "aligned":
            assert fit.clock is not None
            error_s = fit.clock.to_session(1.0) - (1.0 + shift / rate_hz + camera.start_s)
            assert abs(error_s) < 0.04
    print(f"\nshared sound of real clips: {n_aligned} of {len(CLIPS)} aligned")
    assert n_aligned >= len(CLIPS) / 2


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.skipif(not CLIPS, reason=NO_REAL_DATA)
def test_content_of_real_clips_is_within_the_stated_error() -> None:
    audio, video = (registry.get("modalities", name) for name in ("audio", "video"))
    audio_params, video_params = audio.Params(corruptions={}), video.Params(corruptions={})
    shift_s, errors_ms = 0.4, []
    for clip in CLIPS[:3] + CLIPS[-3:-2]:
        voice = audio.features(audio.read(clip, None, audio_params), audio_params)
        face = video.features(video.read(clip, None, video_params), video_params)
        fit = fit_content(
            face.times_s,
            face.values[:, face.names.index("mouth_motion")].astype(np.float64),
            voice.times_s + shift_s,
            voice.values[:, voice.names.index("loudness_db")].astype(np.float64),
            AlignmentParams(max_offset_s=1.0),
        )
        assert fit.status != "aligned"
        if fit.clock is not None:
            errors_ms.append(1e3 * (fit.clock.longest.offset_s - shift_s))
    print(f"\ncontent of real clips: {len(errors_ms)} of 4 coarse, errors {errors_ms} ms")
    assert all(abs(error) <= 250 for error in errors_ms)
