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

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import av
import cv2
import numpy as np
import scipy.ndimage
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import content_hash
from consilience.modalities.base import Modality
from consilience.modalities.params.video import VideoParams
from consilience.pretrained.face_identity import CROP, crop_face, follow_face
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
from consilience.readers.display import aspect_findings, display_of, pixel_aspect
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.baseline import subtract_median
from consilience.signals.frame_buffer import spool
from consilience.signals.frame_period import frame_period_s
from consilience.signals.robust import MAD_TO_SD
from consilience.signals.sound_track import read_sound_track
from consilience.signals.types import Features, Header, Signal
from consilience.signals.video_corruptions import APPLY

Array = NDArray[np.float32]
Times = NDArray[np.float64]
Frames = NDArray[np.uint8]  # shape (n_frames, height, width)

REACH = 6  # pixels by which registration may move a crop
STILL_GREY = 0.5  # mean change below which two pictures differ only by their compression
BLOCK_ROWS, BLOCK_COLUMNS = 6, 8  # patches in which flashes are detected
# Rows and columns (of one half of the face) in the crop, and cosine orders down and across.
REGIONS: dict[str, tuple[slice, slice, tuple[int, int]]] = {
    "brow": (slice(10, 26), slice(6, 32), (4, 3)),
    "eye": (slice(20, 34), slice(6, 32), (4, 3)),
    "mouth": (slice(42, 62), slice(14, 32), (5, 3)),
}
GAP_FRAMES = 1.5  # a longer step, in usual steps, means that frames are missing
LONGEST_PERIOD_S = 0.04  # of a camera that writes bursts of frames; longer steps are gaps
UNEVEN = 0.05  # spread of the steps, relative to the usual step, that is reported
ROUNDING_S = 0.0025  # spread of steps that rounding to milliseconds causes
TALLEST = 4  # ratio of height to width above which the picture is reduced by its height
MOST_FRAMES = 2**20  # more than 4 hours at 60 frames a second
CHUNK = 64  # crops described at a time: as much as fits a core's cache


@dataclass(frozen=True)
class FaceTrack:
    """Position of the face in every frame; NaN where it is not detected.

    Attributes
    ----------
    boxes : ndarray of float64, shape (n_frames, 3)
        Centre x, centre y and side length of the square face box, in pixels.
    confidence : ndarray of float64, shape (n_frames,)
        Confidence of the detector, 0 to 1.
    found_fraction : float
        Share of the inspected frames in which a face was detected.
    """

    boxes: NDArray[np.float64]
    confidence: NDArray[np.float64]
    found_fraction: float


class Video(Modality):
    """The face modality."""

    name: ClassVar[str] = "video"
    suffixes: ClassVar[tuple[str, ...]] = tuple(CONTAINERS)
    Params: ClassVar[type[ModalityParams]] = VideoParams
    activity_feature: ClassVar[str | None] = "mouth_motion"

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
        stamps: list[float] = []
        with open_container(path, "video") as container:
            start_s = origin_s(container)
            stream = default_track(container, "video")
            declared = declared_s(container, stream)
            of_longest_track = stream.duration is None
            try:
                frames = spool(_in_order(_decode(container, params.width, path), stamps, path))
            except (av.FFmpegError, ValueError, IndexError) as error:
                raise failed("the video breaks off", error, path) from None
        if len(stamps) < 2:
            raise RecordingError(
                f"{len(stamps)} frames are too few for a video",
                str(path),
                "copy it again from the recorder",
            )
        # A container without the durations of its tracks states that of the longest one.
        if not (of_longest_track and declared and content_s(path) > declared - START_S):
            _refuse_cut_off(path, stamps, declared)
        times_s = np.array(stamps) - start_s
        return Signal(frames, times_s, ("grey",), flashes(frames, times_s, params))

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
        stamps = []
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
        frames, times_s = signal.values, signal.times_s
        if all(cv2.absdiff(frame, frames[0]).mean() < STILL_GREY for frame in frames):
            raise RecordingError(
                "the picture never changes", "video", "check that the camera was connected"
            )
        track = track_face(frames, times_s, params)
        crops, boxes = align_crops(frames, track.boxes)
        columns: dict[str, NDArray[Any]] = {**describe(crops, times_s), **_head(boxes, times_s)}
        values = np.stack(list(columns.values()), axis=1).astype(np.float32)
        missing = np.isnan(boxes[:, 0])
        missing[1:] |= missing[:-1]  # motion is a difference to the previous frame
        values[missing] = np.nan
        if params.relative:
            values = subtract_median(values, ~missing)
        period_s = frame_period_s(times_s, 1 / params.frame_rate_hz)
        quality = _quality(frames, times_s, period_s, crops, track)
        return Features(values, times_s, tuple(columns), quality)

    def corrupt(
        self,
        signal: Signal,
        kind: str,
        severity: int,
        params: VideoParams,
        rng: np.random.Generator,
    ) -> Signal:
        """Corrupt the pictures; occlusions follow the position of the face in the clean ones."""

        def face() -> NDArray[np.float64]:
            return track_face(signal.values, signal.times_s, params).boxes

        level = params.corruptions[kind][severity - 1]
        return replace(signal, values=APPLY[kind](signal.values, level, face, rng))


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
        plural = "s" if gaps_s.size > 1 else ""
        findings.append(f"{gaps_s.size} gap{plural}, longest {gaps_s.max():.2f} s")
    return findings


def flashes(frames: Frames, times_s: Times, params: VideoParams) -> Times:
    """Detect flashes of light, of the whole picture or of a patch.

    A flash is a rise of a patch's brightness from one frame to the next, far above the patch's
    median change, that ends within `flash_max_s`. It begins between the last dark and the first
    bright frame, so its time is the middle of the two; a flash right after lost frames is dropped,
    because its time is too uncertain.

    Returns
    -------
    ndarray of float64, shape (n_flashes,)
        Seconds on the clock of `times_s`.
    """
    light = np.array([_patches(frame) for frame in frames])
    rise = np.diff(light, axis=0)
    # Half a grey level keeps the ratio finite for a patch that never changes.
    usual = MAD_TO_SD * np.median(np.abs(rise), axis=0) + 0.5
    sudden = (rise > params.flash_grey) & (rise > params.flash_ratio * usual)
    period_s = float(np.median(np.diff(times_s)))
    flashes_s: list[float] = []
    for before in np.flatnonzero(sudden.any(axis=1)):
        first = before + 1
        until = np.searchsorted(times_s, times_s[first] + params.flash_max_s, side="right")
        # The flash has ended once the patch is below half of its rise.
        half = 0.5 * (light[before] + light[first])
        gone = (light[first + 1 : until] < half).any(axis=0)
        uncertain = times_s[first] - times_s[before] > 1.5 * period_s
        soon = bool(flashes_s) and times_s[first] - flashes_s[-1] < params.flash_max_s / 2
        if (gone & sudden[before]).any() and not uncertain and not soon:
            flashes_s.append(0.5 * (times_s[before] + times_s[first]))
    return np.array(flashes_s)


def _patches(frame: Frames) -> Array:
    """Return the mean grey level of each patch of a picture, shape (n_patches,)."""
    small = cv2.resize(
        frame, (4 * BLOCK_COLUMNS, 4 * BLOCK_ROWS), interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    patches: Array = small.reshape(BLOCK_ROWS, 4, BLOCK_COLUMNS, 4).mean(axis=(1, 3)).ravel()
    return patches


def track_face(frames: Frames, times_s: Times, params: VideoParams) -> FaceTrack:
    """Detect the participant's face in every few frames, and interpolate in between.

    Raises
    ------
    RecordingError
        If no face is detected in any of the inspected frames.
    """
    keys = np.arange(0, len(frames), params.detection_every)
    detections, participant = follow_face([frames[key] for key in keys], params.confidence_floor)
    *columns, confidence = np.array(detections, np.float64).T
    confident = confidence >= params.confidence_floor
    if participant is None or not confident.any():
        raise RecordingError(
            "no face is found in any frame", "video", "point the camera at the face, add light"
        )
    boxes = np.stack([column[confident] for column in columns], axis=1)
    # The median removes single wrong boxes, the Gaussian the jitter between detections.
    smooth = scipy.ndimage.median_filter(boxes, (5, 1), mode="nearest")
    smooth = scipy.ndimage.gaussian_filter1d(smooth, 1.0, axis=0, mode="nearest")
    detected_s = times_s[keys[confident]]
    between = np.stack([np.interp(times_s, detected_s, column) for column in smooth.T], axis=1)
    confidence = np.interp(times_s, times_s[keys], confidence)
    between[confidence < params.confidence_floor] = np.nan
    # The face is lost at an unknown moment between two detections of which one failed.
    for index in _frames_beside(keys[~confident], len(frames), params.detection_every):
        if not np.isnan(between[index, 0]) and not participant.is_in(frames[index], between[index]):
            between[index] = np.nan
    return FaceTrack(between, confidence, float(confident.mean()))


def _frames_beside(keys: NDArray[np.intp], n_frames: int, reach: int) -> NDArray[np.intp]:
    """Return the frames that are less than `reach` frames away from one of `keys`."""
    beside = np.zeros(n_frames, bool)
    for key in keys:
        beside[max(key - reach + 1, 0) : key + reach] = True
    return np.flatnonzero(beside)


def align_crops(frames: Frames, boxes: NDArray[np.float64]) -> tuple[Frames, NDArray[np.float64]]:
    """Cut the face out of every frame and register it to the recording's mean face.

    Parameters
    ----------
    frames : ndarray of uint8, shape (n_frames, height, width)
    boxes : ndarray of float64, shape (n_frames, 3)
        Centre x, centre y, side; NaN where no face is detected.

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
    for index in with_face:
        crops[index] = crop_face(frames[index], boxes[index])
    mean_face = (crops.sum(axis=0, dtype=np.float64) / with_face.size).astype(np.float32)
    # Boxes are interpolated between detections, and so off by a few pixels; the mean face is not.
    for index in with_face:
        boxes[index, :2] += _displacement(crops[index], mean_face) * boxes[index, 2] / CROP
        crops[index] = crop_face(frames[index], boxes[index])
    return crops, boxes


def _displacement(crop: Frames, mean_face: Array) -> NDArray[np.float64]:
    """Return the offset of a crop from the mean face, right and down, in pixels of the crop.

    It is the peak of the normalised cross-correlation, refined by parabolas; 0 where the peak
    lies on the border, where the true peak may lie beyond it.
    """
    inner = mean_face[REACH:-REACH, REACH:-REACH]
    similarity = cv2.matchTemplate(crop.astype(np.float32), inner, cv2.TM_CCOEFF_NORMED)
    _, _, _, (x, y) = cv2.minMaxLoc(similarity)
    if not (0 < x < 2 * REACH and 0 < y < 2 * REACH):
        return np.zeros(2)
    across, down = similarity[y, x - 1 : x + 2], similarity[y - 1 : y + 2, x]
    return np.array([x - REACH + _vertex(across), y - REACH + _vertex(down)])


def _vertex(values: NDArray[Any]) -> float:
    """Return the vertex of the parabola through three values, relative to the middle one."""
    before, at, after = (float(value) for value in values)
    bend = before - 2 * at + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def describe(crops: Frames, times_s: Times) -> dict[str, Array]:
    """Compute features of face crops: appearance, edges and motion of each region, and light.

    Parameters
    ----------
    crops : ndarray of uint8, shape (n_frames, 64, 64)
    times_s : ndarray of float64, shape (n_frames,)

    Returns
    -------
    dict of str to ndarray of float32, shape (n_frames,)
        Motion is per second; light is in grey levels.
    """
    names, basis, masks = _basis()
    # The first frame has no predecessor: its motion is 0, over a median step.
    seconds = np.diff(times_s, prepend=times_s[0] - np.median(np.diff(times_s)))
    blocks = []
    last = crops[:1]
    for start in range(0, len(crops), CHUNK):
        block = crops[start : start + CHUNK]
        blocks.append(_describe_block(block, last, basis, masks))
        last = block[-1:]
    values = np.concatenate(blocks)
    n_regions = len(REGIONS)
    motion = slice(len(names) + 2 * n_regions, len(names) + 3 * n_regions)
    values[:, motion] /= seconds[:, None]
    all_names = [
        *names,
        *(
            f"{region}_{measure}"
            for measure in ("edges_x", "edges_y", "motion")
            for region in REGIONS
        ),
        *("light_grey", "contrast_grey", "side_light_grey"),
    ]
    return dict(zip(all_names, values.T, strict=True))


def _describe_block(crops: Frames, last: Frames, basis: Array, masks: Array) -> Array:
    """Return the features of some crops, shape (n, n_features); `last` is the crop before them."""
    grey = crops.astype(np.float32)
    flat = grey.reshape(len(grey), -1)
    mean, contrast = flat.mean(axis=1), flat.std(axis=1)
    half = CROP // 2
    side = grey[:, :, half:].mean(axis=(1, 2)) - grey[:, :, :half].mean(axis=(1, 2))
    faces = _even_light(np.concatenate([last.astype(np.float32), grey]))
    motion = np.abs(np.diff(faces, axis=0)).reshape(len(grey), -1) @ masks
    faces = faces[1:]
    edges_x = np.abs(np.diff(faces, axis=2, append=faces[:, :, -1:])).reshape(len(grey), -1)
    edges_y = np.abs(np.diff(faces, axis=1, append=faces[:, -1:])).reshape(len(grey), -1)
    return np.concatenate(
        [
            faces.reshape(len(grey), -1) @ basis,
            edges_x @ masks,
            edges_y @ masks,
            motion,
            np.stack([mean, contrast, side], axis=1),
        ],
        axis=1,
    )


def _even_light(grey: Array) -> Array:
    """Subtract the best-fitting plane of light and scale each crop to unit variance."""
    ramp = np.linspace(-1, 1, CROP, dtype=np.float32)
    centred = grey - grey.mean(axis=(1, 2), keepdims=True)
    # Light from one side is a plane across the picture; ramps in x and y are orthogonal, so that
    # each slope is a projection of its own.
    power = np.float32(np.mean(ramp**2))
    across = (centred.mean(axis=1) @ ramp) / CROP / power
    down = (centred.mean(axis=2) @ ramp) / CROP / power
    flat = centred - across[:, None, None] * ramp - down[:, None, None] * ramp[:, None]
    return flat / np.maximum(flat.std(axis=(1, 2), keepdims=True), 1)


@lru_cache
def _basis() -> tuple[list[str], Array, Array]:
    """Return names and weights of the cosine coefficients, and the masks of the regions.

    Weights and masks have shape (4096, n): a product with flattened crops gives all features.
    """
    names, weights, masks = [], [], []
    for region, (rows, columns, (n_down, n_across)) in REGIONS.items():
        height, width = rows.stop - rows.start, columns.stop - columns.start
        mask = np.zeros((CROP, CROP))
        mask[rows, columns] = 1 / (2 * height * width)
        masks.append(mask + mask[:, ::-1])
        for down in range(n_down):
            for across in range(n_across):
                if down == across == 0:
                    continue  # the mean of a region is light, not expression
                weight = np.zeros((CROP, CROP))
                weight[rows, columns] = np.outer(_cosine(down, height), _cosine(across, width))
                # Mirrored: left and right half are averaged.
                weights.append((weight + weight[:, ::-1]) / 2)
                names.append(f"{region}_dct_{down}{across}")
    return names, _columns(weights), _columns(masks)


def _cosine(order: int, length: int) -> NDArray[np.float64]:
    """Return the orthonormal cosine of an order (DCT-II), divided by the root of its length."""
    wave = np.cos(np.pi * order * (np.arange(length) + 0.5) / length)
    return wave / length * (np.sqrt(2) if order else 1)


def _columns(pictures: list[NDArray[np.float64]]) -> Array:
    """Return pictures as the columns of a matrix, shape (4096, n_pictures)."""
    return np.stack([picture.ravel() for picture in pictures], axis=1).astype(np.float32)


def _head(boxes: NDArray[np.float64], times_s: Times) -> dict[str, NDArray[np.float64]]:
    """Return position, size and speed of the head, in units of its median size."""
    x, y, side = (boxes - [*np.nanmedian(boxes[:, :2], axis=0), 0]).T / np.nanmedian(boxes[:, 2])
    seconds = np.diff(times_s)
    step = np.hypot(np.diff(x), np.diff(y)) / seconds
    speed = np.concatenate([step[:1], step])
    return {"head_x": x, "head_y": y, "head_size": side, "head_speed": speed}


def _quality(
    frames: Frames, times_s: Times, period_s: float, crops: Frames, track: FaceTrack
) -> dict[str, float]:
    """Return measures of quality; a picture with less contrast than 20 grey levels loses some."""
    steps_s = np.diff(times_s)
    # A step of n periods means n - 1 lost frames; a burst of short steps makes up for none of them.
    lost = float(np.sum(np.maximum(np.rint(steps_s / period_s) - 1, 0)))
    dropped = lost / (lost + len(frames))
    duplicate = float(np.mean([np.array_equal(a, b) for a, b in pairwise(frames)]))
    faces = crops[np.flatnonzero(~np.isnan(track.boxes[:, 0]))[::12]]  # a sample is enough
    contrast = float(np.mean([crop.std() for crop in faces]))
    sharpness = float(np.mean([cv2.Laplacian(crop, cv2.CV_32F).std() for crop in faces]))
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


def _decode(container: Any, width: int, path: Path) -> Iterator[tuple[float, Frames]]:
    """Yield time stamps in seconds and upright grey pictures no wider than `width`."""
    reformatter = VideoReformatter()  # one for all frames is three times faster than one each
    aspect = pixel_aspect(default_track(container, "video"))
    for time_s, frame in _timed(container, path):
        display, stored = display_of(frame), (aspect * frame.width, frame.height)
        sides = stored[::-1] if display.is_sideways else stored
        scale = min(width / sides[0], TALLEST * width / sides[1], 1.0)
        columns, rows = (max(round(scale * side), 1) for side in stored)
        grey: Any = reformatter.reformat(frame, columns, rows, "gray", interpolation="AREA")
        yield time_s, display.upright(grey.to_ndarray())


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
    decoded: Iterable[tuple[float, Frames]], stamps: list[float], path: Path
) -> Iterator[Frames]:
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


def _refuse_cut_off(path: Path, stamps: list[float], duration_s: float | None) -> None:
    """Raise RecordingError if the frames end well before the declared duration."""
    covered_s = stamps[-1] - stamps[0] + float(np.median(np.diff(stamps)))
    if duration_s is not None and covered_s < duration_s - max(0.5, 0.02 * duration_s):
        raise RecordingError(
            f"the file is cut off: {covered_s:.1f} s of {duration_s:.1f} s",
            str(path),
            "copy it again from the recorder",
        )


modality = Video()
