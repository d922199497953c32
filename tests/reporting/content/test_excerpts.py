from __future__ import annotations

import cv2
import numpy as np
import pytest

from consilience.alignment.clock import Clock
from consilience.reporting.content.excerpts import (
    MOST_CHANNELS,
    MOST_POINTS,
    SECONDS,
    band_shares,
    excerpt,
    features_excerpt,
    png,
    spectrum,
    thinned,
)
from consilience.signals.types import Signal

BANDS = {"theta": (4.0, 8.0), "alpha": (8.0, 13.0)}
RNG = np.random.default_rng(3)


def signal(rate_hz: float, seconds: float, n_channels: int, tone_hz: float = 10.0) -> Signal:
    times_s = np.arange(int(rate_hz * seconds)) / rate_hz
    values = np.sin(2 * np.pi * tone_hz * times_s)[:, None] * np.ones(n_channels)
    return Signal(values, times_s, tuple(f"C{n}" for n in range(n_channels)))


def test_an_excerpt_begins_at_its_session_time_on_the_recordings_own_clock():
    ramp = Signal(np.arange(6000.0)[:, None], np.arange(6000) / 100, ("a",))
    part = excerpt(ramp, Clock.linear(offset_s=7.0), 27.0, {}, with_pictures=False)
    assert part is not None
    assert part.times_s[0] == pytest.approx(0, abs=0.01)
    assert part.values[0, 0] == pytest.approx(2000)  # 20 s of native time
    assert part.times_s[-1] < SECONDS


def test_many_channels_and_samples_are_reduced():
    part = excerpt(signal(1000, 20, 30), Clock.linear(), 5.0, BANDS, with_pictures=False)
    assert part is not None
    assert part.kind == "signal"
    assert part.values.shape[1] == len(part.channels) == MOST_CHANNELS
    assert len(part.times_s) <= MOST_POINTS
    assert part.channels[0] == "C0"
    assert part.channels[-1] == "C29"


def test_a_tone_of_10_hz_is_alpha_and_the_maximum_of_the_spectrum():
    part = excerpt(signal(250, 60, 2), Clock.linear(), 20.0, BANDS, with_pictures=False)
    assert part is not None
    assert part.bands["alpha"] > 0.99
    peak = part.frequency_hz[part.power_db.argmax()]
    assert peak == pytest.approx(10, abs=0.6)
    assert part.power_db.max() == pytest.approx(0)


def test_a_sound_shows_its_level():
    loud = signal(16000, 8, 1, 440.0)
    loud.values[: 16000 * 4] *= 0.1
    part = excerpt(loud, Clock.linear(), 1.5, {}, with_pictures=False)
    assert part is not None
    assert part.kind == "sound"
    first, last = part.values[part.times_s < 2], part.values[part.times_s > 3]
    assert np.median(first) == pytest.approx(0.1 / np.sqrt(2), rel=0.02)
    assert np.median(last) == pytest.approx(1 / np.sqrt(2), rel=0.02)


def pictures(n: int = 250) -> Signal:
    values = np.full((n, 96, 128), 50, np.uint8)
    values[n // 2 :] = 150
    return Signal(values, np.arange(n) / 25, ("grey",))


def test_pictures_show_brightness_and_change_but_no_face_unless_asked_for():
    part = excerpt(pictures(), Clock.linear(), 2.5, {}, with_pictures=False)
    assert part is not None
    assert part.kind == "picture"
    assert part.thumbnails == []
    assert part.values[[0, -1], 0].tolist() == [50, 150]
    assert np.nanmax(part.values[:, 1]) == 100


def test_thumbnails_are_small_png_files():
    part = excerpt(pictures(), Clock.linear(), 2.5, {}, with_pictures=True)
    assert part is not None
    assert len(part.thumbnails) == 5
    decoded = cv2.imdecode(np.frombuffer(part.thumbnails[-1], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert decoded.shape == (48, 64)
    assert (decoded == 150).all()


def test_a_png_holds_the_picture():
    picture = RNG.integers(0, 256, (7, 11)).astype(np.uint8)
    decoded = cv2.imdecode(np.frombuffer(png(picture), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert (decoded == picture).all()
    assert png(picture) == png(picture.copy())


def test_nothing_is_drawn_where_a_recording_has_no_samples():
    assert excerpt(signal(100, 4, 1), Clock.linear(), 50.0, {}, with_pictures=False) is None


def test_gaps_do_not_break_the_spectrum_and_silence_has_none():
    values = signal(100, 30, 2).values
    values[500:900, 0] = np.nan
    frequency_hz, power = spectrum(values, 100)
    assert frequency_hz[power.argmax()] == pytest.approx(10, abs=0.6)
    assert len(spectrum(np.full((100, 1), np.nan), 100)[0]) == 0
    assert len(thinned(*spectrum(np.zeros((300, 1)), 100))[0]) == 0


def test_shares_of_bands_add_up():
    shares = band_shares(np.arange(1.0, 20), np.ones(19), BANDS)
    assert sum(shares.values()) == pytest.approx(1)
    assert band_shares(np.arange(1.0, 20), np.zeros(19), BANDS) == {}


def test_feature_frames_without_times_are_numbered():
    part = features_excerpt(np.ones((3, 20)), np.full(3, np.nan), [f"f{n}" for n in range(20)])
    assert part.times_s.tolist() == [0, 1, 2]
    assert part.values.shape == (3, MOST_CHANNELS)
    single = features_excerpt(np.ones((1, 2)), np.array([4.0]), ["a", "b"])
    assert single.values.shape == (1, 2)
