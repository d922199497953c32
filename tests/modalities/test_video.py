import gc
import struct
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from consilience.core import scratch
from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities import video
from consilience.modalities.params.video import CORRUPTIONS
from consilience.modalities.video import (
    FaceTrack,
    VideoParams,
    _quality,
    flashes,
    measure,
    modality,
    patches,
    track_face,
    uneven,
)
from consilience.schema.params.synthesis import SynthesisParams
from consilience.signals.frame_period import frame_period_s
from consilience.signals.types import Signal
from consilience.synthesis.face import write_face
from consilience.synthesis.plan import Session, sessions

PARAMS = VideoParams()
RATE_HZ = 25
Frames = NDArray[np.uint8]


@pytest.fixture(scope="module")
def session() -> Session:
    plan = SynthesisParams(
        subjects=2, sessions=1, trials=1, trial_s=2, missing_fraction=0, faulty_fraction=0
    )
    return sessions(plan)[0]


@pytest.fixture(scope="module")
def face(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "face.mp4"
    write_face(session, path)
    return path


@pytest.fixture(scope="module")
def signal(face: Path) -> Signal:
    return modality.read(face, None, PARAMS)


def write_video(
    path: Path,
    frames: Frames,
    stamps: Iterable[int],
    time_base: Fraction = Fraction(1, RATE_HZ),
    codec: str = "mpeg4",
    matrix: list[int] | None = None,
    aspect: Fraction | None = None,
) -> Path:
    """Write grey frames, shape (n, height, width), at time stamps counted in `time_base`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE_HZ)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt = "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        stream.codec_context.time_base = time_base
        for picture, stamp in zip(frames, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = stamp, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def wall(n_frames: int, height: int = 96, width: int = 128) -> Frames:
    """Return frames of a slightly noisy grey wall."""
    noise = generator("wall").normal(120, 2, (n_frames, height, width))
    return noise.astype(np.uint8)


def light(frames: Frames) -> NDArray[np.float32]:
    return np.array([patches(frame) for frame in frames])


def test_features_are_named_finite_and_on_the_frames(signal: Signal) -> None:
    features = modality.features(signal, PARAMS)
    assert features.values.shape == (len(signal.times_s), len(features.names))
    assert features.values.dtype == np.float32
    assert np.isfinite(features.values).all()
    assert len(set(features.names)) == len(features.names) <= 80
    assert features.quality["face_fraction"] == 1
    assert features.quality["dropped_fraction"] == 0
    assert 0.9 < features.quality["quality"] <= 1


def test_the_header_agrees_with_the_samples(face: Path, signal: Signal) -> None:
    header = modality.probe(face, None)
    assert header.rate_hz == RATE_HZ
    assert header.duration_s == pytest.approx(signal.times_s[-1] + 1 / RATE_HZ)


def test_every_flash_is_found_within_half_a_frame(session: Session, signal: Signal) -> None:
    expected = session.clocks["video"].native_s(session.pulses_s)
    assert len(signal.pulses_s) == len(expected)
    assert np.abs(signal.pulses_s - expected).max() <= 0.5 / RATE_HZ + 1e-3


@pytest.mark.parametrize("n_rows", [4096, 40, 39, 1])
def test_a_flash_of_a_patch_counts_and_a_lasting_change_does_not(
    n_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "LIGHT_ROWS", n_rows)
    frames, times_s = wall(100), np.arange(100) / RATE_HZ
    frames[40:42, 8:40, 8:40] += 60
    frames[70:] += 60
    assert flashes(light(frames), times_s, PARAMS) == pytest.approx([39.5 / RATE_HZ])


def test_a_flash_whose_start_was_lost_is_left_out() -> None:
    frames, kept = wall(100), np.delete(np.arange(100), slice(38, 41))
    frames[40:42] += 60
    assert flashes(light(frames[kept]), kept / RATE_HZ, PARAMS).size == 0


@pytest.mark.parametrize("shape", [(180, 240), (135, 240), (7, 11)])
def test_patches_divide_the_picture_evenly(shape: tuple[int, int]) -> None:
    frame = generator("patches", shape).integers(0, 255, shape).astype(np.uint8)
    # Every pixel as often as a patch is wide: then borders of patches are borders of pixels.
    fine = frame.repeat(6, axis=0).repeat(8, axis=1).astype(float)
    expected = fine.reshape(6, shape[0], 8, shape[1]).mean(axis=(1, 3))
    assert patches(frame) == pytest.approx(expected.ravel(), rel=1e-5)


def test_dropped_frames_stay_gaps_in_time(tmp_path: Path) -> None:
    kept = np.delete(np.arange(60), slice(20, 30))
    path = write_video(tmp_path / "gap.mp4", wall(60)[kept], kept.tolist())
    times_s = modality.read(path, None, PARAMS).times_s
    assert times_s == pytest.approx(kept / RATE_HZ)
    assert modality.probe(path, None).rate_hz == RATE_HZ  # not lowered by the gap


def test_dropped_and_repeated_frames_lower_the_quality(signal: Signal) -> None:
    kept = np.delete(np.arange(len(signal.times_s)), slice(50, 75))
    gappy = replace(signal, values=signal.values[kept], times_s=signal.times_s[kept])
    dropped = modality.features(gappy, PARAMS).quality
    assert dropped["dropped_fraction"] == pytest.approx(25 / len(signal.times_s))
    frozen = signal.values.copy()
    frozen[50:76] = frozen[50]
    repeated = modality.features(replace(signal, values=frozen), PARAMS).quality
    assert repeated["duplicate_fraction"] == pytest.approx(25 / (len(frozen) - 1))
    whole = modality.features(signal, PARAMS).quality
    assert max(dropped["quality"], repeated["quality"]) < whole["quality"]


@given(st.lists(st.integers(1, 40), min_size=12, max_size=60))
@settings(max_examples=30, deadline=None)
def test_any_steps_between_frames_give_fractions_as_quality(steps: list[int]) -> None:
    times_s = np.cumsum([0, *steps]) / 600
    boxes = np.tile([32.0, 32.0, 60.0], (len(times_s), 1))
    track = FaceTrack(boxes, np.zeros(len(times_s)), np.ones(len(times_s)), 1.0)
    frames = wall(len(times_s), 64, 64)
    quality = _quality(frames, times_s, frame_period_s(times_s, 0.04), track)
    assert 0 <= quality["dropped_fraction"] < 1
    assert 0 <= quality["quality"] <= 1


@pytest.mark.parametrize("steps", [[20, 20, 20, 5, 5], [20, 20, 5, 5, 5]])
def test_bursts_of_short_steps_are_not_lost_frames(steps: list[int]) -> None:
    times_s = np.cumsum(np.tile(steps, 12)) / 600
    period_s = frame_period_s(times_s, 1 / PARAMS.frame_rate_hz)
    boxes = np.tile([32.0, 32.0, 60.0], (60, 1))
    frames = generator("burst").integers(0, 255, (60, 64, 64)).astype(np.uint8)
    quality = _quality(frames, times_s, period_s, FaceTrack(boxes, np.zeros(60), np.ones(60), 1.0))
    assert (quality["dropped_fraction"], quality["quality"]) == (0, 1)


def test_uneven_time_stamps_are_kept(tmp_path: Path) -> None:
    stamps_ms = np.cumsum(generator("jitter").integers(20, 60, 50))
    stamps_ms -= stamps_ms[0]
    path = write_video(tmp_path / "jitter.mkv", wall(50), stamps_ms.tolist(), Fraction(1, 1000))
    assert modality.read(path, None, PARAMS).times_s == pytest.approx(stamps_ms / 1000)


FORMATS = [
    (".mp4", "libx264"),
    (".mov", "libx264"),
    (".mkv", "libx264"),
    (".mkv", "ffv1"),
    (".avi", "mpeg4"),
    (".avi", "libx264"),
    (".flv", "flv"),
    (".mpg", "mpeg1video"),
    (".mpeg", "mpeg2video"),
]


@pytest.mark.parametrize(("suffix", "codec"), FORMATS)
def test_every_format_is_read_frame_by_frame(suffix: str, codec: str, tmp_path: Path) -> None:
    # Many small frames in one packet of an MPEG stream would share its time stamp.
    frames = generator("grain").integers(0, 120, (30, 64, 96)).astype(np.uint8)
    for index, frame in enumerate(frames):
        frame[:, 3 * index : 3 * index + 6] = 220  # a bar that moves on
    path = write_video(tmp_path / f"bar{suffix}", frames, range(30), codec=codec)
    signal = modality.read(path, None, PARAMS)
    bars = uniform_filter1d(signal.values.mean(axis=1), 6).argmax(axis=1)
    assert signal.times_s == pytest.approx(np.arange(30) / RATE_HZ, abs=1.1e-3)
    assert np.abs(bars - (3 * np.arange(30) + 2.5)).max() <= 3
    assert modality.probe(path, None).rate_hz == pytest.approx(RATE_HZ, rel=0.01)
    assert modality.inspect(path, None) == []


# From ISO 14496-12: x' = a x + c y, y' = b x + d y; the matrix is a b u, c d v, x y w.
TURNS = {
    "a quarter to the right": ([0, 1, 0, -1, 0, 0], "upper right", "rotated 270°, turned upright"),
    "a quarter to the left": ([0, -1, 0, 1, 0, 0], "lower left", "rotated 90°, turned upright"),
    "upside down": ([-1, 0, 0, 0, -1, 0], "lower right", "rotated 180°, turned upright"),
    "mirrored": ([-1, 0, 0, 0, 1, 0], "upper right", "mirrored left to right"),
    "in a mirror on the floor": (
        [1, 0, 0, 0, -1, 0],
        "lower left",
        "mirrored top to bottom, turned upright",
    ),
    "across": (
        [0, -1, 0, -1, 0, 0],
        "lower right",
        "mirrored left to right and rotated 270°, turned upright",
    ),
}


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_rotated_recording_is_turned_upright(turn: str, suffix: str, tmp_path: Path) -> None:
    signs, corner, expected = TURNS[turn]
    stored = np.full((5, 64, 96), 60, np.uint8)
    stored[:, :20, :30] = 220  # upper left as stored
    matrix = [65536 * sign for sign in signs] + [0, 0, 1 << 30]
    path = write_video(tmp_path / f"turned{suffix}", stored, range(5), matrix=matrix)
    picture = modality.read(path, None, PARAMS).values[2]
    bright = {
        f"{row} {column}": picture[rows, columns].mean()
        for row, rows in (("upper", slice(0, 8)), ("lower", slice(-8, None)))
        for column, columns in (("left", slice(0, 8)), ("right", slice(-8, None)))
    }
    assert max(bright, key=lambda place: bright[place]) == corner
    assert picture.shape == ((64, 96) if signs[0] else (96, 64))
    assert modality.inspect(path, None) == [expected]


@pytest.mark.parametrize("matrix", [None, [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]])
def test_pixels_that_are_not_square_become_square(matrix: list[int] | None, tmp_path: Path) -> None:
    stored = wall(5, 64, 48)
    path = write_video(
        tmp_path / "wide.mkv", stored, range(5), matrix=matrix, aspect=Fraction(2, 1)
    )
    assert modality.read(path, None, PARAMS).values.shape == (
        5,
        *((96, 64) if matrix else (64, 96)),
    )
    assert "pixels of 2:1, resized to square ones" in modality.inspect(path, None)


def test_a_face_filmed_sideways_is_found(session: Session, signal: Signal, tmp_path: Path) -> None:
    sideways = np.rot90(signal.values[:50], axes=(1, 2))  # to the left
    matrix = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]  # and to the right
    path = write_video(tmp_path / "side.mp4", sideways, range(50), matrix=matrix)
    features = modality.features(modality.read(path, None, PARAMS), PARAMS)
    assert features.quality["face_fraction"] == 1


def test_the_brows_of_a_mirrored_recording_are_measured_at_the_brows(
    signal: Signal, tmp_path: Path
) -> None:
    matrix = [-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30]
    path = write_video(tmp_path / "selfie.mp4", signal.values[:50], range(50), matrix=matrix)
    mirrored = modality.read(path, None, PARAMS)
    change = np.abs(mirrored.values[:, :, ::-1].astype(float) - signal.values[:50])
    assert change.mean() < 4  # of the codec
    plain = replace(signal, values=signal.values[:50], times_s=signal.times_s[:50])
    features = [modality.features(each, PARAMS) for each in (plain, mirrored)]
    columns = {
        region: [i for i, name in enumerate(features[0].names) if name.startswith(f"{region}_dct")]
        for region in ("brow", "mouth")
    }
    brows, seen = (each.values[:, columns["brow"]].mean(axis=0) for each in features)
    mouth = features[0].values[:, columns["mouth"]].mean(axis=0)[: len(brows)]
    assert np.abs(seen - brows).mean() < 0.3 * np.abs(seen - mouth).mean()


@pytest.mark.parametrize(
    ("steps_ms", "expected"),
    [
        ([40] * 50, []),
        ([33, 34, 33] * 20, []),
        ([40] * 20 + [160] + [40] * 20 + [1000] + [40] * 9, ["2 gaps, longest 1.00 s"]),
        ([20, 25, 30] * 20, ["variable frame rate, 33.3 to 50 frames a second"]),
        ([10, 10, 10, 40, 40] * 12, ["variable frame rate, 25 to 100 frames a second"]),
        (
            [10, 10, 10, 40, 40] * 12 + [500],
            ["variable frame rate, 25 to 100 frames a second", "1 gap, longest 0.50 s"],
        ),
        ([40], []),
    ],
)
def test_uneven_frames_are_reported(steps_ms: list[int], expected: list[str]) -> None:
    assert uneven(np.cumsum([0, *steps_ms]) / 1000) == expected


def test_pictures_lie_in_a_file_not_in_memory(signal: Signal) -> None:
    noisy = modality.corrupt(signal, "noise", 1, PARAMS, generator("memory"))
    for values in (signal.values, noisy.values):
        assert isinstance(values.base, np.memmap)


@pytest.mark.parametrize("block_bytes", [scratch.BLOCK_BYTES, 1000, 1])
def test_features_of_long_videos_lie_in_a_file_and_are_equal(
    block_bytes: int, signal: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = VideoParams()
    lost = signal.values.copy()
    lost[50:80] = 128  # without a face, across blocks
    signal = replace(signal, values=lost)
    expected = modality.features(signal, params)
    monkeypatch.setattr(video, "FRAMES_BYTES", 0)
    monkeypatch.setattr(scratch, "BLOCK_BYTES", block_bytes)
    features = modality.features(signal, params)
    assert isinstance(features.values.base, np.memmap)
    assert np.array_equal(features.values, expected.values, equal_nan=True)
    assert features.quality == expected.quality
    assert np.isnan(features.values).any()


def test_decoded_pictures_leave_memory_without_the_garbage_collector(face: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        n_frames = len(modality.read(face, None, PARAMS).values)
        # Of the type, because isinstance asks proxies whose object is gone.
        n_left = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
    finally:
        gc.enable()
    assert n_left < 5 < n_frames


def test_corrupted_pictures_are_not_stored(
    signal: Signal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = modality.features(signal, PARAMS)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    noisy = list(modality.corrupted_features(signal, clean, "noise", PARAMS, "name"))
    assert [values.shape for values in noisy] == [clean.values.shape] * 5


@pytest.mark.parametrize("kind", ["noise", "occlusion"])
def test_corrupted_features_are_those_of_the_corrupted_recording(signal: Signal, kind: str) -> None:
    params = VideoParams(corruptions={kind: CORRUPTIONS[kind].severities})
    start = replace(signal, values=signal.values[:40], times_s=signal.times_s[:40])
    clean = modality.features(start, params)
    values = list(modality.corrupted_features(start, clean, kind, params, "name"))
    for severity in (1, 3):
        corrupted = modality.corrupt(
            start, kind, severity, params, generator(kind, "name", severity)
        )
        expected = modality.features(corrupted, params).values
        assert np.array_equal(values[severity - 1], expected, equal_nan=True)


def test_a_corruption_that_leaves_no_face_is_missing(signal: Signal) -> None:
    params = VideoParams(corruptions={"darkness": (0.9, 0.8, 0.7, 0.6, 0.0)})
    clean = modality.features(signal, params)
    *_, last = modality.corrupted_features(signal, clean, "darkness", params, "name")
    assert last.shape == clean.values.shape
    assert np.isnan(last).all()


def test_pictures_are_at_most_as_wide_as_the_working_width(tmp_path: Path) -> None:
    path = write_video(tmp_path / "wide.avi", wall(4, 240, 640), range(4))
    signal = modality.read(path, None, PARAMS)
    assert signal.values.shape == (4, 90, 240)
    assert signal.values.dtype == np.uint8


def test_light_does_not_change_appearance(signal: Signal) -> None:
    boxes = track_face(signal.values, signal.times_s, PARAMS).boxes
    names = modality.features(signal, PARAMS).names
    darker = (0.6 * signal.values).astype(np.uint8)
    bright, dark = (measure(v, signal.times_s, boxes)[0] for v in (signal.values, darker))
    for name, at, less in zip(names, bright.T, dark.T, strict=True):
        change = np.abs(at - less).mean() / at.std()
        assert ("grey" in name) == (change > 0.5) or "side" in name or "speed" in name, name


def test_registration_takes_jitter_out_of_the_boxes(signal: Signal) -> None:
    boxes = track_face(signal.values, signal.times_s, PARAMS).boxes
    jitter = generator("jitter").uniform(-2, 2, (len(boxes), 2))
    shaken = boxes.copy()
    shaken[:, :2] += jitter
    _, steady = measure(signal.values, signal.times_s, boxes)
    _, aligned = measure(signal.values, signal.times_s, shaken)
    assert (aligned - steady)[:, :2].std() < jitter.std() / 3


def test_a_face_out_of_sight_is_unknown_and_comes_back(signal: Signal) -> None:
    hidden = signal.values.copy()
    gone = (signal.times_s > 3) & (signal.times_s < 6.5)
    hidden[gone] = wall(int(gone.sum()), *signal.values.shape[1:])
    features = modality.features(replace(signal, values=hidden), PARAMS)
    observed = np.isfinite(features.values).all(axis=1)
    assert (np.isnan(features.values).all(axis=1) == ~observed).all()
    away = (signal.times_s > 4.6) & (signal.times_s < 5)
    assert not observed[away].any()
    assert observed[signal.times_s < 3].all()
    assert observed[signal.times_s > 7].all()
    assert features.quality["face_fraction"] < 0.9


def test_a_recording_without_a_face_is_refused() -> None:
    frames = Signal(wall(60), np.arange(60) / RATE_HZ, ("grey",))
    with pytest.raises(RecordingError, match="no face is found"):
        modality.features(frames, PARAMS)


def test_a_still_picture_is_refused() -> None:
    frames = Signal(wall(1).repeat(60, axis=0), np.arange(60) / RATE_HZ, ("grey",))
    with pytest.raises(RecordingError, match="never changes"):
        modality.features(frames, PARAMS)


def sound_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 16000), np.float32), format="fltp", layout="mono"
        )
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def no_frames(path: Path) -> None:
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=RATE_HZ)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        container.start_encoding()


def cut_off_avi(path: Path) -> None:
    write_video(path, wall(200), range(200))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def huge_pictures(path: Path) -> None:
    """Claim pictures of 20,000 by 20,000."""
    write_video(path, wall(3), range(3), codec="rawvideo")
    content = path.read_bytes()
    true = struct.pack("<ii", 128, 96)
    assert true in content
    path.write_bytes(content.replace(true, struct.pack("<ii", 20000, 20000)))


HOSTILE = {
    "empty.mp4": (lambda path: path.write_bytes(b""), "empty"),
    "random.mp4": (lambda path: path.write_bytes(generator("x").bytes(9999)), "not a readable"),
    "words.avi": (lambda path: path.write_text("no video " * 500), "not a readable"),
    "sound.mp4": (sound_only, "no video stream"),
    "zero.avi": (no_frames, "0 frames|not a readable"),
    "huge.avi": (huge_pictures, "breaks off"),
    "half.avi": (cut_off_avi, "cut off|breaks off"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, name: str) -> None:
    make, reason = HOSTILE[name]
    make(tmp_path / name)
    with pytest.raises(RecordingError, match=reason) as error:
        modality.read(tmp_path / name, None, PARAMS)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".flv", ".mpg"])
@pytest.mark.parametrize("seed", range(6))
def test_damaged_bytes_are_read_or_refused_in_one_line(
    suffix: str, seed: int, tmp_path: Path
) -> None:
    path = write_video(
        tmp_path / f"a{suffix}", wall(12, 64, 96), range(12), codec=dict(FORMATS)[suffix]
    )
    content = bytearray(path.read_bytes())
    rng = generator("spoilt", suffix, seed)
    if seed % 2:
        content = content[: rng.integers(1, len(content))]
    else:
        for place in rng.integers(0, 400, 12):
            content[place] ^= 1 << rng.integers(8)
    path.write_bytes(content)
    for reading in (modality.read, modality.probe, modality.inspect):
        try:
            reading(path, None, *([PARAMS] if reading == modality.read else []))
        except RecordingError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_a_truncated_mp4_is_refused(face: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.mp4"
    path.write_bytes(face.read_bytes()[: face.stat().st_size // 2])
    with pytest.raises(RecordingError, match=r"half\.mp4"):
        modality.read(path, None, PARAMS)


def test_a_wrong_ending_is_refused_with_the_content(face: Path, tmp_path: Path) -> None:
    path = tmp_path / "face.avi"
    path.write_bytes(face.read_bytes())
    with pytest.raises(RecordingError, match="not avi"):
        modality.probe(path, None)


@pytest.mark.real_data
@pytest.mark.parametrize("pattern", ["grid/*.mpg", "crema_d/*.flv"])
def test_real_faces_are_found_all_along(real_data: Path, pattern: str) -> None:
    paths = sorted(real_data.glob(pattern))
    assert paths
    for path in paths:
        header = modality.probe(path, None)
        signal = modality.read(path, None, PARAMS)
        features = modality.features(signal, PARAMS)
        assert (np.diff(signal.times_s) > 0).all()
        lasted_s = signal.times_s[-1] - signal.times_s[0] + 1 / header.rate_hz
        assert lasted_s == pytest.approx(header.duration_s, abs=0.05)
        assert features.quality["face_fraction"] >= 0.9
        assert np.isfinite(features.values).all(axis=1).mean() >= 0.9
        assert signal.pulses_s.size == 0
