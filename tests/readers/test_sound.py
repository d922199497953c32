from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.readers import container, sound

RATE_HZ = 44100


def tone(duration_s: float = 1.0, hz: float = 440.0) -> np.ndarray:
    times_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * hz * times_s)).astype(np.float32)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left = tone()
    soundfile.write(tmp_path / "a.wav", np.stack([left, left / 2], axis=1), RATE_HZ, "FLOAT")
    header = sound.probe(tmp_path / "a.wav")
    assert header == (RATE_HZ, 2, 1.0)
    values, rate_hz, start_s = sound.decode(tmp_path / "a.wav")
    assert (rate_hz, start_s, values.dtype) == (RATE_HZ, 0.0, np.float32)
    np.testing.assert_allclose(values, 0.75 * left, atol=1e-7)


def test_every_channel_is_yielded(tmp_path: Path) -> None:
    stereo = generator("stereo").uniform(-0.5, 0.5, (1000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", stereo, RATE_HZ, "FLOAT")
    blocks = list(sound.channel_blocks(tmp_path / "a.wav"))
    assert all(stamp_s is None for stamp_s, _ in blocks)
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks], axis=1), stereo.T)


def test_a_tone_keeps_its_frequency_and_amplitude_at_another_rate() -> None:
    values = sound.resample(tone(), RATE_HZ, 16000, Path("tone"))
    assert values.size == pytest.approx(16000, abs=1)
    expected = 0.3 * np.sin(2 * np.pi * 440 * np.arange(values.size) / 16000)
    inner = slice(200, -200)  # a filter has no neighbours beyond the ends
    np.testing.assert_allclose(values[inner], expected[inner], atol=1e-3)


def test_the_same_rate_changes_nothing() -> None:
    values = tone()
    assert sound.resample(values, RATE_HZ, RATE_HZ, Path("tone")) is values


def test_lost_samples_stay_lost_at_another_rate_and_do_not_spread() -> None:
    values = tone()
    values[10000:20000] = np.nan
    lost = np.flatnonzero(np.isnan(sound.resample(values, RATE_HZ, 16000, Path("tone"))))
    assert lost[0] / 16000 == pytest.approx(10000 / RATE_HZ, abs=1e-4)
    assert lost[-1] / 16000 == pytest.approx(19999 / RATE_HZ, abs=1e-4)
    assert lost.size == lost[-1] - lost[0] + 1


def test_blocks_are_resampled_as_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sound.resample(tone(), RATE_HZ, 16000, Path("tone"))
    monkeypatch.setattr(sound, "BLOCK", 1000)
    np.testing.assert_array_equal(sound.resample(tone(), RATE_HZ, 16000, Path("tone")), whole)


def test_the_packets_of_a_file_are_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.flac", tone(), RATE_HZ)
    opened: list[Path] = []

    def open_container(path: Path, kind: str) -> object:
        opened.append(path)
        return container.open_container(path, kind)

    monkeypatch.setattr(sound, "open_container", open_container)
    for read in (sound.probe, sound.decode, sound.inspect):
        read(tmp_path / "a.flac")
    assert len(opened) == 1


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all"])
def test_a_file_without_sound_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    for read in (sound.probe, sound.decode):
        with pytest.raises(RecordingError):
            read(tmp_path / "a.wav")


def test_a_sound_file_with_another_ending_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), RATE_HZ)
    (tmp_path / "a.flac").write_bytes((tmp_path / "a.wav").read_bytes())
    with pytest.raises(RecordingError, match="the content is WAV, not FLAC"):
        sound.decode(tmp_path / "a.flac")


def with_frames(path: Path, n_frames: int) -> None:
    """State another number of samples in the header of a FLAC file."""
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = n_frames.to_bytes(4, "big")
    path.write_bytes(content)


def with_data_bytes(path: Path, n_bytes: int) -> None:
    """State another length of the samples in the header of a WAV file."""
    content = bytearray(path.read_bytes())
    content[40:44] = n_bytes.to_bytes(4, "little")
    path.write_bytes(content)


@pytest.mark.parametrize("stated_s", [0.0, 0.4])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_sound_behind_its_stated_length_is_read(
    suffix: str, stated_s: float, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, tone(), RATE_HZ)
    whole, _, _ = sound.decode(path)
    n_stated = round(stated_s * RATE_HZ)
    if suffix == ".wav":
        with_data_bytes(path, 2 * n_stated)
    else:
        with_frames(path, n_stated)
    np.testing.assert_array_equal(sound.decode(path)[0], whole)
    assert sound.probe(path).duration_s == 1.0
    assert any("1.00 s are read" in text for text in sound.inspect(path))


def test_a_flac_file_shorter_than_stated_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(), RATE_HZ)
    with_frames(path, 2 * RATE_HZ)
    with pytest.raises(RecordingError, match="truncated"):
        sound.decode(path)


def test_a_hole_in_a_flac_file_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    noise = generator("hole").uniform(-0.5, 0.5, 3 * RATE_HZ).astype(np.float32)
    soundfile.write(path, noise, RATE_HZ)
    whole, _, _ = sound.decode(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + content[len(content) // 2 + 2000 :])
    values, _, _ = sound.decode(path)
    missing = np.isnan(values)
    assert 0 < missing.sum() < RATE_HZ
    assert values.size == whole.size
    np.testing.assert_array_equal(values[~missing], whole[~missing])


@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
def test_joined_files_of_a_stream_are_read_in_full(suffix: str, tmp_path: Path) -> None:
    names = [tmp_path / f"{number}{suffix}" for number in range(2)]
    for path, duration_s in zip(names, (2.0, 3.0), strict=True):
        soundfile.write(path, tone(duration_s), RATE_HZ)
    joined = tmp_path / f"joined{suffix}"
    joined.write_bytes(b"".join(path.read_bytes() for path in names))
    values, rate_hz, start_s = sound.decode(joined)
    assert 0 <= start_s < 0.03
    assert values.size / rate_hz == pytest.approx(5, abs=0.1)
    assert not np.isnan(values).any()
    assert any("s are read" in text for text in sound.inspect(joined))


@pytest.mark.parametrize(("rate_hz", "quality"), [(16000, 4), (44100, 2), (48000, 7)])
@pytest.mark.parametrize("n_joined", [1, 3])
def test_a_variable_bit_rate_without_a_header_is_read_in_full(
    n_joined: int, rate_hz: int, quality: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.mp3"
    speech = np.where(np.arange(4 * RATE_HZ) // RATE_HZ % 2, 0.0, tone(4.0)).astype(np.float32)
    with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=rate_hz, layout="mono")
        stream.codec_context.flags |= av.codec.context.Flags.qscale
        stream.codec_context.global_quality = 118 * quality
        frame = av.AudioFrame.from_ndarray(speech[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, 0
        convert = av.AudioResampler(stream.format, "mono", rate_hz)
        for part in [*convert.resample(frame), *convert.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    path.write_bytes(n_joined * path.read_bytes())
    values, read_hz, _ = sound.decode(path)
    assert read_hz == rate_hz
    # Each part has the run-in and run-out of the coder, which nothing states.
    assert values.size / rate_hz == pytest.approx(4 * n_joined, abs=0.11 * n_joined)
    assert sound.probe(path).duration_s == pytest.approx(values.size / rate_hz, abs=0.02)


def test_sound_behind_the_stated_length_of_aiff_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.aiff"
    soundfile.write(path, tone(), RATE_HZ)
    content = bytearray(path.read_bytes())
    for chunk, offset, number in ((b"SSND", 4, 10_008), (b"COMM", 10, 5_000)):
        place = content.index(chunk) + offset
        content[place : place + 4] = number.to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="samples continue behind their stated length"):
        sound.decode(path)


@pytest.mark.parametrize("bits", [16, 24])
def test_samples_in_integer_steps_are_divided_by_full_scale(bits: int, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone() * 2.0 ** (bits - 1), RATE_HZ, "FLOAT")
    values, _, _ = sound.decode(tmp_path / "a.wav")
    np.testing.assert_allclose(values, tone(), atol=1e-6)
    assert any(f"read as {bits}-bit steps" in text for text in sound.inspect(tmp_path / "a.wav"))


def test_opposite_channels_do_not_cancel(tmp_path: Path) -> None:
    left = tone()
    soundfile.write(tmp_path / "a.wav", np.stack([left, -left], axis=1), RATE_HZ, "FLOAT")
    np.testing.assert_allclose(np.abs(sound.decode(tmp_path / "a.wav")[0]), np.abs(left), atol=1e-6)
    assert any("opposite phase" in text for text in sound.inspect(tmp_path / "a.wav"))


def test_a_silent_channel_does_not_lower_the_level(tmp_path: Path) -> None:
    left = tone()
    soundfile.write(tmp_path / "a.wav", np.stack([left, 0 * left], axis=1), RATE_HZ, "FLOAT")
    np.testing.assert_allclose(sound.decode(tmp_path / "a.wav")[0], left, atol=1e-6)
    assert sound.inspect(tmp_path / "a.wav") == ["stereo, silent: channel 2"]


@pytest.mark.parametrize(("suffix", "kind"), [(".aiff", "AIFF"), (".ogg", "OGG"), (".oga", "OGG")])
def test_further_formats_are_read(suffix: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, tone(), RATE_HZ, format=kind)
    values, rate_hz, start_s = sound.decode(path)
    assert (values.size, rate_hz, start_s) == (RATE_HZ, RATE_HZ, 0.0)
    np.testing.assert_allclose(values[1000:40000], tone()[1000:40000], atol=0.02)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff", ".mp3", ".ogg"])
@settings(max_examples=12, deadline=None)
@given(share=st.floats(0.0, 1.0))
def test_a_cut_file_gives_its_beginning_or_is_refused(suffix: str, share: float) -> None:
    content, whole = encoded(suffix)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"cut{suffix}"
        path.write_bytes(content[: int(share * len(content))])
        try:
            values, rate_hz, start_s = sound.decode(path)
        except RecordingError:
            return
    assert rate_hz == RATE_HZ
    assert 0 <= start_s < 0.03
    assert values.size <= whole.size
    # The last packet of a lossy codec overlaps with what was cut off.
    inner = max(values.size - 4096, 0)
    np.testing.assert_allclose(values[:inner], whole[:inner], atol=1e-4)


@cache
def encoded(suffix: str) -> tuple[bytes, np.ndarray]:
    """Return the bytes of a sound file, and its samples as they are decoded."""
    noise = generator("cut").uniform(-0.3, 0.3, 2 * RATE_HZ).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"whole{suffix}"
        soundfile.write(path, noise, RATE_HZ)
        return path.read_bytes(), sound.decode(path)[0]


def test_damage_in_a_file_without_time_stamps_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, tone(4.0), RATE_HZ)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 6000] = bytes(6000)
    path.write_bytes(content)
    for read in (sound.probe, sound.decode):
        with pytest.raises(RecordingError, match="bytes are not frames"):
            read(path)
