from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.audio import modality
from consilience.readers.container import (
    LOST_S,
    MAX_SAMPLES,
    check_duration,
    check_size,
    check_sound_format,
    decode_sound,
    losses,
    open_container,
    origin_s,
)

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
    path: Path, channels: list[np.ndarray], codec: str = "pcm_s16le", starts_s: float = 0.0
) -> Path:
    """Write channels of sound as the track of a container."""
    layout = "mono" if len(channels) == 1 else "stereo"
    rate_hz = 48000 if codec == "libopus" else RATE_HZ
    with av.open(str(path), "w") as container:
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
    sound, rate_hz, start_s = decode_sound(path)
    assert np.isfinite(sound).all()
    assert start_s == pytest.approx(0, abs=1e-3)
    assert start_s + onset_s(sound, rate_hz) == pytest.approx(ONSET_S + unstated_s, abs=1.5e-3)


def test_channels_are_averaged_as_in_a_sound_file(tmp_path: Path) -> None:
    left = struck()
    path = write_track(tmp_path / "stereo.mkv", [left, np.zeros_like(left)])
    sound, _, _ = decode_sound(path)
    assert np.abs(sound - left / 2).max() < 1e-3


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
    sound, rate_hz, _ = decode_sound(write_packets(tmp_path / "lost.mkv", stamps_s))
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


def test_the_start_of_sound_after_the_picture_is_returned(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for index in range(25):
            picture = av.VideoFrame(96, 64, "yuv420p")
            picture.pts = index
            container.mux(video.encode(picture))
        frame = av.AudioFrame.from_ndarray(
            np.round(32767 * struck()[None]).astype(np.int16), format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = RATE_HZ, round(0.3 * RATE_HZ)
        container.mux(audio.encode(frame))
        container.mux([*video.encode(None), *audio.encode(None)])
    sound, rate_hz, start_s = decode_sound(path)
    assert start_s == pytest.approx(0.3, abs=1e-3)
    assert start_s + onset_s(sound, rate_hz) == pytest.approx(0.3 + ONSET_S, abs=2e-3)


def test_time_counts_from_the_presentation_start(tmp_path: Path) -> None:
    path = write_track(tmp_path / "a.mpg", [struck()], "mp2")
    with open_container(path, "audio") as container:
        assert origin_s(container) == pytest.approx(0.5, abs=0.2)  # as MPEG streams do
    assert decode_sound(path)[2] == pytest.approx(0, abs=1e-3)


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
        (check_size, MAX_SAMPLES + 1, "fit into memory"),
    ],
)
def test_an_invalid_size_is_refused(check, value: float, message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        check(value, Path("absurd.mkv"))
