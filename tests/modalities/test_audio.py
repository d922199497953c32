from pathlib import Path

import av
import librosa
import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from consilience.core import scratch
from consilience.core.errors import RecordingError
from consilience.core.memo import Memo, remembering
from consilience.core.seeds import generator
from consilience.modalities import audio
from consilience.modalities.audio import describe, feature_names, hold, modality
from consilience.modalities.params.audio import CORRUPTIONS, AudioParams
from consilience.modalities.voice import pulses
from consilience.signals import sound_levels
from consilience.signals.audio_corruptions import ADDED
from consilience.signals.mixes import Mixes
from consilience.signals.types import Signal
from tests.modalities.block_sizes import check_blocks_change_nothing
from tests.real_data import NO_REAL_DATA, REAL_DATA
from tests.voices import RATE_HZ, voice

PARAMS = AudioParams()
DATA = REAL_DATA


def signal_of(sound: np.ndarray, pulses_s: np.ndarray | None = None) -> Signal:
    pulses = np.empty(0) if pulses_s is None else pulses_s
    return Signal(sound.astype(np.float32), np.arange(sound.size) / RATE_HZ, ("mono",), pulses)


def write_wav(path: Path, sound: np.ndarray, rate_hz: int = RATE_HZ) -> Path:
    soundfile.write(path, sound, rate_hz, subtype="FLOAT")
    return path


def click(since_s: np.ndarray) -> np.ndarray:
    after_s = np.maximum(since_s, 0)
    return (since_s >= 0) * np.cos(2 * np.pi * 5000 * after_s) * np.exp(-after_s / 5e-4)


def without_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the network detect no speech, so that all loud frames count as speech."""
    monkeypatch.setattr(
        "consilience.modalities.audio.speech_probability",
        lambda mixes, rate_hz, times_s: np.zeros((1, times_s.size), np.float32),
    )


def test_names_and_frames_agree_with_the_rate() -> None:
    features = modality.features(signal_of(voice()), PARAMS)
    assert features.values.shape == (101, len(features.names))
    assert features.values.dtype == np.float32
    assert np.isfinite(features.values).all()
    assert len(set(features.names)) == len(features.names)
    assert np.allclose(np.diff(features.times_s), 1 / PARAMS.frame_rate_hz)
    assert 0 < features.quality["quality"] <= 1


def test_a_click_hardly_disturbs_the_features() -> None:
    pulses_s = np.array([0.8, 1.7])
    clean = voice()
    clicked = clean.copy()
    for time_s in pulses_s:
        clicked += 0.4 * click(np.arange(clean.size) / RATE_HZ - time_s)
    first, second, uncut = (
        modality.features(signal, PARAMS).values
        for signal in (
            signal_of(clean, pulses_s),
            signal_of(clicked, pulses_s),
            signal_of(clicked),
        )
    )
    assert np.abs(first - second).mean() < 0.1 * np.abs(first - uncut).mean()


def held(
    values: np.ndarray, speech: np.ndarray, width: float, memory: int, audible: bool = True
) -> np.ndarray:
    result = values.astype(np.float32)[:, None]
    hold(result, speech, np.full(len(speech), audible), width, memory)
    return result[:, 0]


def test_silence_takes_the_mean_of_the_speech_around() -> None:
    values = np.array([1, 1, 3, 99, 99, 99, 7, 9])
    speech = np.array([True, True, True, False, False, False, True, True])
    result = held(values, speech, 1.0, 100)
    assert np.array_equal(result[speech], values[speech])
    # Speech that is later by more than the width has no weight.
    assert result[3] == pytest.approx((3 * 0.6065 + 1 * (0.1353 + 0.0111)) / 0.7530, abs=5e-3)
    assert 1 < result[4] < 3
    assert 6 < result[5] < 7


def test_long_after_speech_all_of_it_decides_until_it_is_forgotten() -> None:
    speech = np.arange(500) < 10
    result = held(np.where(speech, np.arange(500), 77), speech, 5.0, 200)
    assert result[150] == pytest.approx(4.5)
    assert result[205] == pytest.approx(7.0)
    assert (result[210:] == 77).all()


def test_features_of_remembered_sound_are_the_same() -> None:
    sound = np.concatenate([voice(150, 5.0), 1e-4 * voice(100, 2.0), voice(210, 7.0)])
    params, memo = AudioParams(), Memo()
    for first, last in ((0, 8), (0, 10), (4, 14)):
        part = sound[first * RATE_HZ : last * RATE_HZ].astype(np.float32)
        signal = Signal(part, first + np.arange(part.size) / RATE_HZ, ("mono",))
        with remembering(memo):
            streamed = modality.features(signal, params).values
        expected = modality.features(signal, params).values
        np.testing.assert_allclose(streamed, expected, atol=2e-5)


def test_silence_before_any_speech_is_missing() -> None:
    speech = np.arange(50) == 20
    result = held(np.ones(50), speech, 5.0, 10, audible=False)
    assert np.array_equal(np.isnan(result), (np.arange(50) < 15) | (np.arange(50) > 30))


def test_frames_depend_on_no_sound_beyond_the_lookahead() -> None:
    rng = generator("later")
    sound = np.concatenate([voice(150, 4), voice(110, 4)])
    later = sound.copy()
    later[5 * RATE_HZ :] = 0.3 * rng.standard_normal(3 * RATE_HZ)
    features = modality.features(signal_of(sound), PARAMS)
    changed = modality.features(signal_of(later), PARAMS)
    before = features.times_s <= 5 - PARAMS.lookahead_s
    assert np.allclose(features.values[before], changed.values[before], atol=1e-3, equal_nan=True)


def test_frames_depend_on_the_latest_seconds_only() -> None:
    sound = np.concatenate([voice(pitch_hz, 8) for pitch_hz in (150, 110, 200, 130)])
    sound[: 8 * RATE_HZ] *= 4
    whole = modality.features(signal_of(0.1 + sound), PARAMS).values
    part = modality.features(signal_of(0.1 + sound[8 * RATE_HZ :]), PARAMS).values
    assert np.allclose(whole[400 + 800 :], part[800:], atol=2e-3)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_corrupted_features_are_those_of_the_corrupted_sound(kind: str) -> None:
    params = AudioParams(corruptions={kind: CORRUPTIONS[kind].severities})
    sound = voice()
    sound[20000:24000] = np.nan
    signal = signal_of(0.01 + sound, np.array([0.3, 0.31]))
    clean = modality.features(signal, params)
    together = modality.corrupted_features(signal, clean, kind, params, "sub-01")
    for severity, values in enumerate(together, 1):
        # Added sound is drawn once for all severities.
        names = (kind, "sub-01") if kind in ADDED else (kind, "sub-01", severity)
        corrupted = modality.corrupt(signal, kind, severity, params, generator(*names))
        alone = modality.features(corrupted, params).values
        assert np.array_equal(np.isnan(values), np.isnan(alone))
        assert np.array_equal(values[:, -1], alone[:, -1], equal_nan=True)
        assert np.nanmax(np.abs(values - alone)) < 2e-3
        assert np.nanmean(np.abs(values - clean.values)) > 0.01


def test_sound_beyond_all_levels_is_missing() -> None:
    params = AudioParams(corruptions={"noise": (20, 10, 0, -20, -60)})
    signal = signal_of(200 * voice())
    clean = modality.features(signal, params)
    *mild, severe = modality.corrupted_features(signal, clean, "noise", params, "sub-01")
    assert np.isfinite(mild).all()
    assert np.isnan(severe).all()
    assert severe.shape == clean.values.shape


def test_equal_quantities_equal_those_of_librosa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "consilience.modalities.audio.speech_probability",
        lambda mixes, rate_hz, times_s: np.ones((1, times_s.size), np.float32),
    )
    sound = voice().astype(np.float32)
    sound -= sound.mean()
    columns = dict(
        zip(feature_names(PARAMS), next(describe(Mixes([sound]), PARAMS)).T, strict=True)
    )
    frames = {"n_fft": 512, "hop_length": 320}
    power = np.abs(librosa.stft(sound, **frames, pad_mode="reflect")) ** 2
    mel = librosa.feature.melspectrogram(S=power, sr=RATE_HZ, n_mels=PARAMS.mel_bands)
    bank = librosa.filters.mel(sr=RATE_HZ, n_fft=512, n_mels=PARAMS.mel_bands)
    # Relative to full scale and to the width of the band.
    mel_db = 10 * np.log10(mel / bank.sum(axis=1, keepdims=True) / 256**2 + 1e-11)
    expected = {
        **{f"mel_{band:02d}_db": row for band, row in enumerate(mel_db)},
        **{
            f"mfcc_{number:02d}": row
            for number, row in enumerate(librosa.feature.mfcc(S=mel_db, n_mfcc=PARAMS.cepstra))
        },
        "centroid_khz": librosa.feature.spectral_centroid(S=power, sr=RATE_HZ)[0] / 1000,
        "spread_khz": librosa.feature.spectral_bandwidth(S=power, sr=RATE_HZ)[0] / 1000,
        "rolloff_khz": librosa.feature.spectral_rolloff(S=power, sr=RATE_HZ)[0] / 1000,
    }
    # Frames are averaged over three; those of speech are not replaced.
    inside = slice(2, 24)
    assert columns["speech"][inside].all()
    for name, values in expected.items():
        average = np.convolve(values, np.ones(3) / 3, "same")
        assert np.abs(columns[name] - average)[inside].max() < 1e-4 * max(np.ptp(average), 1), name


def test_clipping_lowers_the_quality() -> None:
    sound = voice()
    clipped = np.clip(6 * sound, -0.5, 0.5)
    good, bad = (modality.features(signal_of(x), PARAMS).quality for x in (sound, clipped))
    assert bad["clipped_fraction"] > 0.1 > good["clipped_fraction"]
    assert bad["quality"] < good["quality"]


def test_a_gain_changes_the_level() -> None:
    sound = 0.1 * voice()
    quiet, loud = (modality.features(signal_of(x), PARAMS).quality for x in (sound, 4 * sound))
    assert quiet["level_db"] == pytest.approx(10 * np.log10(sound.var()), abs=0.1)
    assert loud["level_db"] - quiet["level_db"] == pytest.approx(20 * np.log10(4), abs=0.01)


def test_stereo_of_another_rate_is_mixed_and_resampled(tmp_path: Path) -> None:
    sound = voice(rate_hz=44100)
    path = write_wav(tmp_path / "a.wav", np.stack([sound, sound], axis=1), 44100)
    header = modality.probe(path, None)
    signal = modality.read(path, None, PARAMS)
    assert (header.rate_hz, header.n_channels, header.duration_s) == (44100, 2, 2.0)
    assert signal.values.shape == (2 * RATE_HZ,)
    (values,) = describe(Mixes([signal.values]), PARAMS)
    semitones = values[:, feature_names(PARAMS).index("pitch_semitones")]
    assert semitones[60] == pytest.approx(12 * np.log2(150 / 55), abs=0.2)


@pytest.mark.parametrize("second", [1.0, -1.0, -0.5])
def test_opposite_channels_have_the_signal_to_noise_ratio_of_one(
    second: float, tmp_path: Path
) -> None:
    sound = np.stack([voice(), second * voice()], axis=1)
    sound += 3e-3 * generator("hiss").standard_normal(sound.shape)
    paths = [
        write_wav(tmp_path / f"{name}.wav", channels)
        for name, channels in (("one", sound[:, 0]), ("both", sound))
    ]
    one, both = (
        modality.features(modality.read(path, None, PARAMS), PARAMS).quality["snr_db"]
        for path in paths
    )
    assert one > 20
    assert one - 3.5 < both < one + 3.5  # the mean of two channels has 3 dB less hiss


def test_a_sound_track_is_read_from_a_container(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_track(path, voice())
    signal = modality.read(path, None, PARAMS)
    assert np.abs(signal.values - voice()).max() < 1e-3
    assert modality.probe(path, None).n_channels == 1


def write_track(path: Path, sound: np.ndarray, codec: str | None = None) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec or "pcm_s16le", rate=RATE_HZ, layout="mono")
        samples = np.round(sound * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        for part in av.AudioResampler(stream.format, "mono", RATE_HZ).resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def test_sound_lost_in_a_container_is_missing_in_the_features(tmp_path: Path) -> None:
    path = tmp_path / "lost.mkv"
    sound = np.round(voice() * 32767).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for start in range(0, sound.size, 320):
            if 0.6 <= start / RATE_HZ < 1.0:
                continue
            frame = av.AudioFrame.from_ndarray(
                sound[None, start : start + 320], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = RATE_HZ, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    signal = modality.read(path, None, PARAMS)
    features = modality.features(signal, PARAMS)
    missing = np.isnan(features.values).all(axis=1)
    assert np.isnan(signal.values).sum() == pytest.approx(0.4 * RATE_HZ, abs=32)
    assert np.isfinite(features.values[~missing]).all()
    assert missing[(features.times_s > 0.59) & (features.times_s < 1.01)].all()
    assert not missing[(features.times_s < 0.55) | (features.times_s > 1.05)].any()
    assert features.quality["lost_fraction"] == pytest.approx(missing.mean())
    assert signal.pulses_s.size == 0  # sound that breaks off is no click
    noisy = modality.corrupt(signal, "noise", 3, PARAMS, generator("lost"))
    assert np.array_equal(np.isnan(noisy.values), np.isnan(signal.values))
    assert modality.inspect(path, None) == ["sound lost at 1 place, up to 0.40 s"]


def test_a_long_sound_gives_the_same_clicks_and_features_in_chunks(monkeypatch) -> None:
    sound = voice(duration_s=4)
    for time_s in (0.7, 1.0, 1.61, 2.999, 3.8):
        sound += 0.4 * click(np.arange(sound.size) / RATE_HZ - time_s)
    whole = pulses(sound.astype(np.float32), RATE_HZ, PARAMS)
    features = modality.features(signal_of(sound, whole), PARAMS).values
    monkeypatch.setattr("consilience.modalities.voice.PULSE_CHUNK_S", 1.0)
    monkeypatch.setattr("consilience.signals.sound_frames.CHUNK", 32)
    monkeypatch.setattr("consilience.modalities.audio.ROWS", 32)
    assert np.array_equal(pulses(sound.astype(np.float32), RATE_HZ, PARAMS), whole)
    again = modality.features(signal_of(sound, whole), PARAMS).values
    assert np.abs(again - features).max() < 1e-3
    assert whole.size == 5


@pytest.mark.parametrize(
    ("channels", "rate_hz", "expected"),
    [
        ([voice()], RATE_HZ, []),
        ([np.zeros(2 * RATE_HZ)], RATE_HZ, ["mono, silent throughout"]),
        ([np.zeros(2 * RATE_HZ), voice()], RATE_HZ, ["stereo, silent: channel 1"]),
        ([voice(), voice()], RATE_HZ, ["stereo, all channels alike"]),
        ([voice(), 0.5 * voice()], RATE_HZ, ["stereo, averaged"]),
        ([voice(), 0 * voice(), voice()], RATE_HZ, ["3 channels, silent: channel 2"]),
        ([voice()[::2]], RATE_HZ // 2, ["8000 Hz: nothing above 4000 Hz is in it"]),
        ([np.clip(40 * voice(), -1, 1)], RATE_HZ, ["% of the samples at full scale"]),
    ],
)
def test_what_is_odd_is_remarked_on(
    channels: list[np.ndarray], rate_hz: int, expected: list[str], tmp_path: Path
) -> None:
    remarks = modality.inspect(
        write_wav(tmp_path / "a.wav", np.stack(channels, axis=1), rate_hz), None
    )
    assert len(remarks) == len(expected)
    assert all(text in remark for text, remark in zip(expected, remarks, strict=True))


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
def test_files_of_a_sound_library_are_read_with_their_time(suffix: str, tmp_path: Path) -> None:
    sound = voice() * (np.arange(2 * RATE_HZ) > 0.2 * RATE_HZ)
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, sound, RATE_HZ)
    read = modality.read(path, None, PARAMS)
    assert read.values.size == sound.size
    lag = np.argmax(np.correlate(read.values[:8000], sound[:8000], "full")) - 7999
    assert abs(lag) <= 1


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_samples(path: Path) -> None:
    soundfile.write(path, np.empty(0), RATE_HZ)


def cut_off(path: Path) -> None:
    soundfile.write(path, voice(), RATE_HZ)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def text(path: Path) -> None:
    path.write_text("no sound at all, just words\n" * 20)


def other_format(path: Path) -> None:
    soundfile.write(path, voice(), RATE_HZ, format="AIFF")


def rewritten(offset: int, value: bytes):
    """Return a maker of a wav file with other bytes in its header."""

    def make(path: Path) -> None:
        soundfile.write(path, voice(), RATE_HZ)
        content = bytearray(path.read_bytes())
        content[offset : offset + len(value)] = value
        path.write_bytes(content)

    return make


def endless_flac(path: Path) -> None:
    """Write a stream whose header promises all the samples that 36 bits can count."""
    soundfile.write(path, voice(), RATE_HZ)
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "suffix", "message"),
    [
        (rewritten(24, (1).to_bytes(4, "little")), ".wav", "sampling rate of sound: 1 Hz"),
        (rewritten(24, (2**31 - 1).to_bytes(4, "little")), ".wav", "sampling rate of sound"),
        (rewritten(22, (1000).to_bytes(2, "little")), ".wav", "channels|not a readable|no sampl"),
        (endless_flac, ".flac", "stated duration"),
        (empty, ".wav", "empty"),
        (empty, ".mp4", "empty"),
        (no_samples, ".wav", "no samples"),
        (cut_off, ".wav", "truncated"),
        (cut_off, ".flac", "truncated"),
        (text, ".wav", "not a readable sound file"),
        (text, ".mp4", "not a readable media file"),
        (other_format, ".wav", "AIFF"),
        (other_format, ".mp4", "the content is aiff, not mov"),
    ],
)
def test_bad_files_are_refused_in_one_line(make, suffix: str, message: str, tmp_path: Path) -> None:
    target = tmp_path / f"voice{suffix}"
    made = target if make is not other_format else tmp_path / "voice.aiff"
    make(made)
    made.rename(target)
    with pytest.raises(RecordingError, match=message) as caught:
        modality.read(target, None, PARAMS)
    assert "\n" not in str(caught.value)
    assert str(target) in str(caught.value)


@pytest.mark.parametrize(
    "suffix", [".wav", ".flac", ".mp3", ".mkv", ".mp4", ".avi", ".flv", ".mpg"]
)
@pytest.mark.parametrize("seed", range(6))
def test_damaged_bytes_are_read_or_refused_in_one_line(
    suffix: str, seed: int, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix in (".wav", ".flac", ".mp3"):
        soundfile.write(path, voice(), RATE_HZ)
    else:
        write_track(path, voice(), {".mp4": "aac", ".flv": "aac", ".mpg": "mp2"}.get(suffix))
    content = bytearray(path.read_bytes())
    rng = generator("spoilt", suffix, seed)
    if seed % 2:
        content = content[: rng.integers(1, len(content))]
    else:
        for place in rng.integers(0, 200, 12):
            content[place] ^= 1 << rng.integers(8)
    path.write_bytes(content)
    for reading in (modality.read, modality.probe, modality.inspect):
        try:
            reading(path, None, *([PARAMS] if reading == modality.read else []))
        except RecordingError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_a_truncated_sound_track_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_track(path, voice(duration_s=10))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RecordingError):
        modality.read(path, None, PARAMS)


@pytest.mark.parametrize(
    ("field", "value"),
    [(b"data", b"\xff" * 4), (b"data", b"\xff\xff\xff\x7f"), (b"RIFF", b"\0" * 4)],
)
def test_a_length_that_the_recorder_never_filled_in_is_no_fault(
    field: bytes, value: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, voice(), RATE_HZ)
    content = path.read_bytes()
    place = content.index(field) + 4
    path.write_bytes(content[:place] + value + content[place + 4 :])
    assert modality.read(path, None, PARAMS).values.size == 2 * RATE_HZ


def test_nan_samples_are_refused(tmp_path: Path) -> None:
    sound = voice()
    sound[100] = np.nan
    with pytest.raises(RecordingError, match="NaN"):
        modality.read(write_wav(tmp_path / "a.wav", sound), None, PARAMS)


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.zeros(RATE_HZ), "silent"),
        (np.full(RATE_HZ, 0.3), "silent"),
        (np.ones(10), "shorter"),
        (np.full(RATE_HZ, np.nan), "NaN"),
    ],
)
def test_unusable_sounds_are_refused(sound: np.ndarray, message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        modality.features(signal_of(sound), PARAMS)


@pytest.mark.parametrize(
    "wrong", [{"hop_s": 0.01001}, {"cepstra": 99}, {"pitch_min_hz": 900}, {"melbands": 3}]
)
def test_inconsistent_parameters_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        AudioParams(**wrong)


REAL = {
    "RAVDESS FLAC": "ravdess/Actor_03/03-01-05-02-01-01-03.flac",
    "RAVDESS WAV": "ravdess/original_48k/03-01-03-01-01-01-02.wav",
    "RAVDESS stereo WAV": "ravdess/original_48k/03-01-02-01-01-02-01.wav",
    "CREMA-D FLV": "crema_d/1001_DFA_ANG_XX.flv",
    "CREMA-D MP3": "crema_d/1002_DFA_SAD_XX.mp3",
    "GRID MPEG": "grid/bbaf2n.mpg",
}


@pytest.mark.parametrize("name", REAL)
@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_dir(), reason=NO_REAL_DATA)
def test_real_recordings_give_sane_features(name: str) -> None:
    path = DATA / REAL[name]
    header = modality.probe(path, None)
    signal = modality.read(path, None, PARAMS)
    features = modality.features(signal, PARAMS)
    columns = dict(zip(features.names, features.values.T, strict=True))
    voiced = (columns["voicing"] > 0.6) & (columns["speech"] > 0)
    pitch_hz = 55 * 2 ** (columns["pitch_semitones"][voiced] / 12)
    assert header.duration_s == pytest.approx(signal.times_s[-1], abs=0.06)
    assert np.isfinite(features.values).all(axis=1).mean() > 0.6  # but for the silence before
    assert 0.1 < columns["speech"].mean() <= 1
    assert voiced.sum() > 10
    assert 70 < np.median(pitch_hz) < 500


@pytest.mark.parametrize("kind", ["noise", "babble"])
@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_dir(), reason=NO_REAL_DATA)
def test_speech_stays_where_it_was_when_noise_fills_the_pauses(kind: str) -> None:
    params = AudioParams(corruptions={kind: PARAMS.CORRUPTION_KINDS[kind].severities})
    signal = modality.read(DATA / REAL["RAVDESS FLAC"], None, params)
    noisy = modality.corrupt(signal, kind, 3, params, generator(kind))
    before, after = (
        modality.features(sound, params).values[:, -1] > 0.5 for sound in (signal, noisy)
    )
    assert 0.2 < before.mean() < 0.8
    assert (before == after).mean() > 0.85


def test_where_no_speech_is_heard_loud_frames_count(monkeypatch: pytest.MonkeyPatch) -> None:
    without_speech(monkeypatch)
    features = modality.features(signal_of(voice(duration_s=6)), PARAMS)
    # Once it has been quiet: a constant sound is not speech.
    loud = features.values[55:, features.names.index("loudness_db")]
    speech = features.values[55:, -1] > 0.5
    assert speech.mean() == pytest.approx(0.5, abs=0.05)  # as much of the voice is sound
    assert loud[speech].min() > loud[~speech].max()


@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_dir(), reason=NO_REAL_DATA)
def test_a_resampled_copy_gives_nearly_the_same_features() -> None:
    name = "03-01-03-01-01-01-02"
    copies = (DATA / f"ravdess/original_48k/{name}.wav", DATA / f"ravdess/Actor_02/{name}.flac")
    first, second = (modality.features(modality.read(p, None, PARAMS), PARAMS) for p in copies)
    n_frames = min(len(first.values), len(second.values))
    spread = np.nanstd(second.values, axis=0) + 1e-6
    off = np.nanmean(np.abs(first.values[:n_frames] - second.values[:n_frames]), axis=0) / spread
    assert np.median(off) < 0.1


@pytest.mark.parametrize("lost", [False, True], ids=["complete", "with lost sound"])
def test_temporary_files_and_blocks_change_no_feature(
    lost: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_wav(tmp_path / "a.wav", 0.05 + voice(), 44100)

    def computed() -> list[np.ndarray]:
        signal = modality.read(tmp_path / "a.wav", None, PARAMS)
        if lost:
            signal.values[9000:9900] = np.nan
        features = modality.features(signal, PARAMS)
        corrupted = modality.corrupted_features(signal, features, "noise", PARAMS, "a")
        return [signal.values, signal.times_s, features.values, *corrupted]

    sizes = [
        (scratch, "BLOCK_BYTES", 5000),
        (scratch, "SMALL_BYTES", 1000),
        (sound_levels, "BLOCK", 3000),
        (audio, "FRAMES", 37),
        (audio, "FRAMES_BYTES", 1000),
    ]
    check_blocks_change_nothing(computed, sizes, monkeypatch, atol=1e-3)
