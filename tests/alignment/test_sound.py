import numpy as np
import pytest
from scipy import signal
from scipy.ndimage import map_coordinates

from consilience.alignment.clock import Line
from consilience.alignment.piecewise_fit import robust_line
from consilience.alignment.sound import FLOOR_S, SoundTrack, shared_sound_anchors
from consilience.core.seeds import generator
from consilience.schema.params.alignment import AlignmentParams

PARAMS = AlignmentParams()
RATE_HZ = 16000.0


def room(length_s: float) -> np.ndarray:
    """Return noise with the spectrum and the syllable rate of speech, with pauses, at 48 kHz."""
    rng = generator("room", length_s)
    n = round(length_s * 48000)
    low = signal.butter(1, [150, 1500], "bandpass", fs=48000, output="sos")
    band = signal.butter(6, 6000, "lowpass", fs=48000, output="sos")
    noise = signal.sosfilt(band, signal.sosfilt(low, rng.standard_normal(n)))
    syllables = np.repeat(
        rng.random(round(length_s * 4) + 1) ** 2 * (rng.random(round(length_s * 4) + 1) > 0.3),
        12000,
    )[:n]
    return (noise * syllables / np.std(noise * syllables)).astype(np.float32)


def recorded(source: np.ndarray, clock: Line, snr_db: float, name: str) -> SoundTrack:
    """Return the source, whose clock is the session's, as a device with this clock records it."""
    length_s = len(source) / 48000
    n = int(clock.to_native(length_s - 1) * RATE_HZ)
    position = 48000 * clock.to_session(np.arange(n) / RATE_HZ)
    values = map_coordinates(source, position[None], order=3, mode="constant")
    noise = generator("noise", name).standard_normal(n) * 10 ** (-snr_db / 20)
    return SoundTrack((values + noise).astype(np.float32), 0.0, RATE_HZ)


@pytest.mark.slow
def test_noisy_tracks_of_five_minutes_are_aligned_within_a_fraction_of_a_millisecond() -> None:
    source, mine, other = room(300), Line(1.3, 180), Line(-0.7, -240)
    anchors = shared_sound_anchors(
        recorded(source, mine, 10, "mine"), recorded(source, other, 10, "other"), 10.0, PARAMS
    )
    true = other.to_native(mine.to_session(anchors[:, 0]))
    line = robust_line(anchors[:, 0], anchors[:, 1], FLOOR_S, 1000)
    times = np.linspace(0, 300, 50)
    error_ms = 1e3 * (line.to_session(times) - other.to_native(mine.to_session(times)))
    drift_ppm = 1e6 * ((1 + 180e-6) / (1 - 240e-6) - 1)
    window_ms = 1e3 * np.sqrt(np.mean((anchors[:, 1] - true) ** 2))
    line_ms = np.sqrt(np.mean(error_ms**2))
    off_ppm = line.drift_ppm - drift_ppm
    print(
        f"\n{len(anchors)} windows: {window_ms:.4f} ms RMS; line {line_ms:.4f}, {off_ppm:.3f} ppm"
    )
    assert len(anchors) > 50
    assert window_ms <= 0.2
    assert line_ms <= 0.2
    assert abs(off_ppm) <= 2


def test_short_tracks_are_aligned() -> None:
    source, clock = room(20), Line(0.4, -300)
    anchors = shared_sound_anchors(
        recorded(source, clock, 10, "a"), recorded(source, Line(), 10, "b"), 3.0, PARAMS
    )
    assert len(anchors) >= 3
    error_ms = 1e3 * np.abs(anchors[:, 1] - clock.to_session(anchors[:, 0]))
    assert error_ms.max() < 0.2


def test_unrelated_tracks_have_no_anchors() -> None:
    tracks = [recorded(room(length_s), Line(), 10, str(length_s)) for length_s in (19, 21)]
    assert len(shared_sound_anchors(*tracks, 3.0, PARAMS)) == 0


def test_silence_has_no_anchors() -> None:
    silent = SoundTrack(np.zeros(160000, np.float32), 0.0, RATE_HZ)
    assert len(shared_sound_anchors(silent, recorded(room(12), Line(), 10, "c"), 3.0, PARAMS)) == 0
