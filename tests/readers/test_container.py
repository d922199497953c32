from __future__ import annotations

import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.audio import modality
from consilience.modalities.video import modality as video
from consilience.readers.container import (
    LOST_S,
    MAX_SAMPLES,
    check_duration,
    check_size,
    check_sound_format,
    default_track,
    losses,
    open_container,
    origin_s,
)
from consilience.readers.sound import decode, inspect

RATE_HZ = 44100
ONSET_S = 0.5
# Coder by ending, and the run-in that coder adds where the container has no place to state it.
TRACKS = [
    (".mp4", "aac", 0.0),
    (".mp4", "libmp3lame", 0.0),
    (".mov", "pcm_s16le", 0.0),
    (".mkv", "flac", 0.0),
    (".mkv", "libopus", 0.0),
    (".avi", "pcm_s16le", 0.0),
    (".avi", "libmp3lame", 0.025),
    (".flv", "libmp3lame", 0.025),
    (".flv", "aac", 0.0232),
    (".mpg", "mp2", 0.011),
    (".mpeg", "mp2", 0.011),
]


def struck(duration_s: float = 1.5) -> np.ndarray:
    """Return faint noise, and from `ONSET_S` on a tone that dies away."""
    since_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ - ONSET_S
    tone = 0.3 * np.sin(2 * np.pi * 700 * since_s) * np.exp(-np.maximum(since_s, 0) / 0.05)
    noise = 1e-3 * generator("track").standard_normal(since_s.size)
    return (np.where(since_s >= 0, tone, 0) + noise).astype(np.float32)


def write_track(
    path: Path,
    channels: list[np.ndarray],
    codec: str = "pcm_s16le",
    starts_s: float = 0.0,
    rate_hz: int = RATE_HZ,
    title: str = "",
    options: dict[str, str] | None = None,
) -> Path:
    """Write channels of sound as the track of a container."""
    layout = "mono" if len(channels) == 1 else "stereo"
    rate_hz = 48000 if codec == "libopus" else rate_hz
    with av.open(str(path), "w", options=options or {}) as container:
        if title:
            container.metadata["title"] = title
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.stack(channels), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = RATE_HZ, round(starts_s * RATE_HZ)
        convert = av.AudioResampler(stream.format, layout, rate_hz)
        for part in [*convert.resample(frame), *convert.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def onset_s(sound: np.ndarray, rate_hz: float) -> float:
    return float(np.argmax(np.abs(sound) > 0.05) / rate_hz)


@pytest.mark.parametrize(("suffix", "codec", "unstated_s"), TRACKS)
def test_a_sound_track_is_read_with_its_time(
    suffix: str, codec: str, unstated_s: float, tmp_path: Path
) -> None:
    path = write_track(tmp_path / f"track{suffix}", [struck()], codec)
    sound, rate_hz, start_s = decode(path)
    assert np.isfinite(sound).all()
    assert start_s == pytest.approx(0, abs=1e-3)
    assert start_s + onset_s(sound, rate_hz) == pytest.approx(ONSET_S + unstated_s, abs=1.5e-3)


def test_channels_are_averaged_as_in_a_sound_file(tmp_path: Path) -> None:
    left = struck()
    path = write_track(tmp_path / "stereo.mkv", [left, left / 2])
    sound, _, _ = decode(path)
    assert np.abs(sound - 0.75 * left).max() < 1e-3


def write_packets(path: Path, stamps_s: list[float], size: int = 441) -> Path:
    """Write packets of a rising ramp, each with a time stamp."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for number, stamp_s in enumerate(stamps_s):
            samples = np.full((1, size), 10 * (number + 1), np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE_HZ, round(stamp_s * RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_lost_sound_is_missing_and_later_sound_is_not_shifted(tmp_path: Path) -> None:
    stamps_s = [0.01 * number + (0.5 if number >= 60 else 0) for number in range(100)]
    sound, rate_hz, _ = decode(write_packets(tmp_path / "lost.mkv", stamps_s))
    lost = np.isnan(sound)
    assert lost.sum() == pytest.approx(0.5 * rate_hz, abs=0.002 * rate_hz)
    assert np.flatnonzero(lost)[0] == pytest.approx(0.6 * rate_hz, abs=0.002 * rate_hz)
    assert sound.size == pytest.approx(1.5 * rate_hz, abs=0.002 * rate_hz)


@given(
    st.lists(st.integers(100, 2000), min_size=1, max_size=40),
    st.lists(st.floats(0, LOST_S / 2), min_size=40, max_size=40),
)
def test_briefly_late_blocks_are_not_losses(sizes: list[int], late_s: list[float]) -> None:
    blocks = np.array(sizes)
    due_s = (np.cumsum(blocks) - blocks) / RATE_HZ
    lost, first_s = losses(blocks, (due_s + late_s[: blocks.size]).tolist(), RATE_HZ)
    assert not lost.any()
    assert 0 <= first_s <= LOST_S / 2


@given(st.lists(st.tuples(st.integers(1, 4000), st.one_of(st.none(), st.floats(-1e6, 1e6)))))
def test_nothing_is_lost_before_the_first_block(
    blocks: list[tuple[int, float | None]],
) -> None:
    if not blocks:
        return
    sizes, stamps = zip(*blocks, strict=True)
    lost, first_s = losses(np.array(sizes), stamps, RATE_HZ)
    assert lost[0] == 0
    assert (lost >= 0).all()
    assert np.isfinite(first_s)


def test_two_losses_are_distinguished() -> None:
    lost, first_s = losses(np.full(5, 100), [0, 1, 3, 4, 5.5], 100)
    assert lost.tolist() == [0, 0, 100, 0, 50]
    assert first_s == 0


def test_a_slightly_fast_clock_is_not_a_loss() -> None:
    due_s = 0.02 * np.arange(3000)
    lost, first_s = losses(np.full(3000, 882), (due_s * (1 - 3e-4)).tolist(), RATE_HZ)
    assert not lost.any()
    assert first_s == pytest.approx(0, abs=1e-3)


def write_film(path: Path, sound: np.ndarray, starts_s: float = 0.0) -> Path:
    """Write 25 empty pictures, a second of them, and a track of sound."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 96, 64, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for index in range(25):
            picture = av.VideoFrame(96, 64, "yuv420p")
            picture.pts = index
            container.mux(pictures.encode(picture))
        samples = np.round(sound[None]).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, round(starts_s * RATE_HZ)
        container.mux(audio.encode(frame))
        container.mux([*pictures.encode(None), *audio.encode(None)])
    return path


def test_the_start_of_sound_after_the_picture_is_returned(tmp_path: Path) -> None:
    path = write_film(tmp_path / "late.mkv", 32767 * struck(), starts_s=0.3)
    sound, rate_hz, start_s = decode(path)
    assert start_s == pytest.approx(0.3, abs=1e-3)
    assert start_s + onset_s(sound, rate_hz) == pytest.approx(0.3 + ONSET_S, abs=2e-3)


def test_time_counts_from_the_presentation_start(tmp_path: Path) -> None:
    path = write_track(tmp_path / "a.mpg", [struck()], "mp2")
    with open_container(path, "audio") as container:
        assert origin_s(container) == pytest.approx(0.5, abs=0.2)  # as MPEG streams do
    assert decode(path)[2] == pytest.approx(0, abs=1e-3)


PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile beside.mp4\n",
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nbeside.mp4\n#EXT-X-ENDLIST\n",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=audio 5004 RTP/AVP 0\n",
}


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".wav", ".mp3"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_no_playlist_is_followed(tmp_path: Path, kind: str, ending: str) -> None:
    """FFmpeg goes by the content, whatever the ending; followed, these would be read."""
    write_track(tmp_path / "beside.mp4", [struck()], "aac")
    path = tmp_path / f"list{ending}"
    path.write_text(PLAYLISTS[kind])
    with pytest.raises(RecordingError, match=r"not one of mov|not a readable"):
        modality.probe(path, None)


def test_a_colon_in_a_name_is_not_a_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_track(tmp_path / "beside.mp4", [struck()], "aac").rename(tmp_path / "concat:beside.mp4")
    monkeypatch.chdir(tmp_path)
    assert modality.probe(Path("concat:beside.mp4"), None).rate_hz == RATE_HZ


def test_too_large_pictures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(96, 64, "yuv420p")))
        container.mux(stream.encode(None))
    monkeypatch.setattr("consilience.readers.container.MAX_PIXELS", 96 * 64 - 1)
    with pytest.raises(RecordingError, match="96 by 64 pixels are too large"):
        open_container(path, "video")


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (
            lambda value, path: check_sound_format(value, 1, path),
            1.0,
            "sampling rate of sound: 1 Hz",
        ),
        (lambda value, path: check_sound_format(value, 1, path), 4e9, "sampling rate of sound"),
        (lambda value, path: check_sound_format(16000, value, path), 65535, "channels: 65535"),
        (check_duration, 1e9, "stated duration"),
        (check_duration, float("nan"), "stated duration"),
        (check_size, MAX_SAMPLES + 1, "fit into temporary files"),
    ],
)
def test_an_invalid_size_is_refused(check, value: float, message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        check(value, Path("absurd.mkv"))


def write_takes(path: Path, codec: str, hz: tuple[float, ...]) -> list[bytes]:
    """Write takes of picture and sound, and return their bytes."""
    takes = []
    for pitch_hz in hz:
        with av.open(str(path), "w") as container:
            picture_track = container.add_stream(
                "mpeg2video" if path.suffix == ".mpg" else "flv", rate=25
            )
            picture_track.width, picture_track.height = 96, 64
            picture_track.pix_fmt = "yuv420p"
            audio = container.add_stream(codec, rate=RATE_HZ, layout="mono")
            for index in range(50):
                picture = av.VideoFrame(96, 64, "yuv420p")
                picture.pts = index
                container.mux(picture_track.encode(picture))
            tone = 0.3 * np.sin(2 * np.pi * pitch_hz * np.arange(2 * RATE_HZ) / RATE_HZ)
            frame = av.AudioFrame.from_ndarray(
                tone.astype(np.float32)[None], format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = RATE_HZ, 0
            convert = av.AudioResampler(audio.format, "mono", RATE_HZ)
            for part in [*convert.resample(frame), *convert.resample(None)]:
                container.mux(audio.encode(part))
            container.mux([*picture_track.encode(None), *audio.encode(None)])
        takes.append(path.read_bytes())
    return takes


@pytest.mark.parametrize(("suffix", "codec", "header"), [(".mpg", "mp2", 0), (".flv", "aac", 13)])
def test_joined_takes_follow_each_other(
    suffix: str, codec: str, header: int, tmp_path: Path
) -> None:
    path = tmp_path / f"takes{suffix}"
    first, second, third = write_takes(path, codec, (300, 600, 900))
    path.write_bytes(first + second[header:] + third[header:])
    sound, rate_hz, start_s = decode(path)
    assert start_s == pytest.approx(0, abs=1e-3)
    assert sound.size / rate_hz == pytest.approx(6, abs=0.2)
    for sensor in (modality, video):
        assert sensor.probe(path, None).duration_s == pytest.approx(6, abs=0.2)
    for time_s, pitch_hz in ((1, 300), (3, 600), (5, 900)):
        piece = sound[round((time_s - 0.25) * rate_hz) :][: round(0.5 * rate_hz)]
        spectrum = np.abs(np.fft.rfft(np.nan_to_num(piece) * np.hanning(piece.size)))
        assert np.argmax(spectrum) / 0.5 == pytest.approx(pitch_hz, abs=4)
    findings = ["time stamps begin again at 2 places: the parts follow each other without a pause"]
    assert findings[0] in inspect(path)
    signal = video.read(path, None, video.Params())
    assert len(signal.times_s) == pytest.approx(150, abs=3)
    assert signal.times_s[-1] == pytest.approx(6, abs=0.2)
    assert findings[0] in video.inspect(path, None)


@pytest.mark.parametrize("ppm", [-5000, -1000, 0, 1000, 40_000])
def test_sound_is_on_the_clock_of_the_time_stamps(ppm: int, tmp_path: Path) -> None:
    path, rate_hz, size, duration_s = tmp_path / "pace.mkv", 8000, 400, 60
    true_s = np.arange(duration_s * rate_hz) / rate_hz * (1 + ppm * 1e-6)
    samples = np.zeros(true_s.size, np.int16)
    times_s = np.arange(5, 55, 10)
    samples[np.searchsorted(true_s, times_s)] = 20000
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate_hz, layout="mono")
        for start in range(0, samples.size, size):
            if 20 <= start / rate_hz < 21:
                continue  # lost
            frame = av.AudioFrame.from_ndarray(
                samples[None, start : start + size], format="s16", layout="mono"
            )
            frame.sample_rate, frame.time_base = rate_hz, Fraction(1, 10**6)
            frame.pts = round(true_s[start] * 1e6)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    sound, paced_hz, start_s = decode(path)
    clicks_s = start_s + np.flatnonzero(np.nan_to_num(sound) > 0.5) / paced_hz
    np.testing.assert_allclose(clicks_s, times_s, atol=2e-3)
    assert np.isnan(sound).sum() / paced_hz == pytest.approx(1, abs=0.06)
    assert (paced_hz == rate_hz) == (ppm == 0)
    assert any("Hz, not 8000 Hz" in text for text in inspect(path)) == (ppm != 0)


def test_the_default_track_is_read_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "tracks.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(3)]
        for number, stream in enumerate(streams):
            stream.disposition = Disposition.default if number == 1 else Disposition(0)
        for number, stream in enumerate(streams, 1):
            samples = np.full((1, 8000), 1000 * number, np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, 0
            container.mux([*stream.encode(frame), *stream.encode(None)])
    assert decode(path)[0].max() == pytest.approx(2000 / 32768)
    assert "3 audio tracks: track 2 is read, the default" in inspect(path)
    with open_container(path, "audio") as container:
        assert default_track(container, "audio").index == 1


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "aac"), (".mkv", "flac"), (".flv", "aac")])
@pytest.mark.parametrize(("title", "encoding"), [("Garçon 1", "latin-1"), ("Сеанс 12", "cp1251")])
def test_a_tag_in_another_encoding_is_no_fault(
    suffix: str, codec: str, title: str, encoding: str, tmp_path: Path
) -> None:
    path = write_track(tmp_path / f"tag{suffix}", [struck()], codec, title="Session1")
    content = path.read_bytes()
    assert b"Session1" in content
    path.write_bytes(content.replace(b"Session1", title.encode(encoding)))
    sound, rate_hz, start_s = decode(path)
    assert sound.size / rate_hz == pytest.approx(1.5, abs=0.1)
    assert start_s + onset_s(sound, rate_hz) == pytest.approx(ONSET_S, abs=0.03)


def test_a_stated_duration_that_is_too_short_is_reported(tmp_path: Path) -> None:
    path = write_track(tmp_path / "a.m4a", [struck(4.0)], "aac")
    content = bytearray(path.read_bytes())
    place = content.index(b"mdhd") + 20
    content[place : place + 4] = RATE_HZ.to_bytes(4, "big")
    path.write_bytes(content)
    assert modality.probe(path, None).duration_s == pytest.approx(4, abs=0.05)
    assert decode(path)[0].size == pytest.approx(4 * RATE_HZ, abs=2048)
    assert "the header states 1.00 s: 4.02 s are read" in inspect(path)


def test_a_stream_without_a_stated_duration_has_that_of_its_content(tmp_path: Path) -> None:
    path = tmp_path / "live.webm"
    write_track(path, [struck(3.0)], "libopus", options={"live": "1"})
    assert modality.probe(path, None).duration_s == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize(("suffix", "codec"), [(".aac", "aac"), (".mp3", "libmp3lame")])
def test_a_change_of_the_sampling_rate_is_refused(suffix: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    parts = []
    for rate_hz in (16000, 44100):
        write_track(path, [struck()], codec, rate_hz=rate_hz)
        parts.append(path.read_bytes())
    path.write_bytes(b"".join(parts))
    for read in (decode, inspect):
        with pytest.raises(RecordingError, match=r"sampling rate changes between \d+ and \d+ Hz"):
            read(path)


def test_a_damaged_section_is_missing_and_nothing_is_shifted(tmp_path: Path) -> None:
    path = write_track(tmp_path / "damaged.mp4", [struck(4.0)], "flac")
    whole, rate_hz, _ = decode(path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 600] = generator("damage").bytes(600)
    path.write_bytes(content)
    sound, _, _ = decode(path)
    missing = np.isnan(sound)
    assert 0.05 * rate_hz < missing.sum() < 0.5 * rate_hz
    np.testing.assert_array_equal(sound[~missing], whole[: sound.size][~missing])
    assert any("missing" in text or "lost" in text for text in inspect(path))


@pytest.mark.parametrize("suffix", [".mp4", ".flv"])
def test_a_second_file_that_is_not_decoded_is_refused(suffix: str, tmp_path: Path) -> None:
    path = write_track(tmp_path / f"a{suffix}", [struck()], "aac")
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(RecordingError, match="a second recording follows the first"):
        decode(path)


def test_damaged_pictures_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "damaged.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(50):
            noise = generator("picture", index).integers(0, 255, (96, 96), np.uint8)
            picture = av.VideoFrame.from_ndarray(noise, format="yuv420p")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    whole = video.read(path, None, video.Params())
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = generator("damage").bytes(20_000)
    path.write_bytes(content)
    damaged = video.read(path, None, video.Params())
    assert 25 <= len(damaged.times_s) < 50
    assert set(np.round(damaged.times_s, 6)) < set(np.round(whole.times_s, 6))
    for index in (*range(20), *range(-10, 0)):
        np.testing.assert_array_equal(damaged.values[index], whole.values[index])


@cache
def encoded(suffix: str, codec: str) -> tuple[bytes, np.ndarray, float]:
    """Return the bytes of a container, and its sound as it is decoded."""
    noise = generator("cut").uniform(-0.3, 0.3, 2 * RATE_HZ).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = write_track(Path(folder) / f"whole{suffix}", [noise], codec)
        sound, _, start_s = decode(path)
        return path.read_bytes(), sound, start_s


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", "aac"), (".mkv", "flac"), (".webm", "libopus"), (".flv", "aac"), (".mpg", "mp2")],
)
@settings(max_examples=12, deadline=None)
@given(share=st.floats(0, 1))
def test_a_cut_container_gives_its_beginning_or_is_refused(
    suffix: str, codec: str, share: float
) -> None:
    content, whole, whole_start_s = encoded(suffix, codec)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"cut{suffix}"
        path.write_bytes(content[: int(share * len(content))])
        try:
            sound, rate_hz, start_s = decode(path)
        except RecordingError:
            return
    assert sound.size <= whole.size
    assert start_s == pytest.approx(whole_start_s, abs=1 / rate_hz)
    # The last packet of a lossy codec overlaps with what was cut off.
    inner = max(sound.size - 4096, 0)
    np.testing.assert_allclose(sound[:inner], whole[:inner], atol=1e-4)


def test_a_track_may_end_before_the_longest_one(tmp_path: Path) -> None:
    path = write_film(tmp_path / "short.mkv", 9000 * struck(3.0))
    assert decode(path)[0].size == 3 * RATE_HZ
    assert len(video.read(path, None, video.Params()).times_s) == 25
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 4])
    for read in (decode, lambda path: video.read(path, None, video.Params())):
        with pytest.raises(RecordingError):
            read(path)
