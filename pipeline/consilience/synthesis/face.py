"""Simulated video: a drawn, shaded face with movements and expressions, written as MP4."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from consilience.core.seeds import generator
from consilience.synthesis.plan import RATES_HZ, Floats, Session, random_wave

Image = NDArray[Any]  # blue-green-red in 0-255, shape (240, 320, 3), unless stated otherwise

RATE_HZ = int(RATES_HZ["video"])
WIDTH, HEIGHT = 320, 240
CENTRE = np.array([160.0, 124.0])
HEAD = np.array([54.0, 72.0])  # half-axes of the face
FLASH_S = 0.08  # of a flash of light at every pulse; two frames
FLASH_GREY = 45
NOISE_GREY = 2.0
N_GRAINS = 6  # patterns of sensor noise, repeated in turn, which saves time
HEAD_AREA = (slice(12, 238), slice(72, 248))  # rows and columns within reach of the head
DROPPED = 0.06  # fraction of the frames that a faulty camera drops
SUBPIXEL = 4  # fractional bits of OpenCV's fixed-point coordinates

# Change in pixels (of a logarithm: without unit) per unit of expressed valence and arousal.
CORNER_UP = (4.5, 0.5)
LOG_MOUTH_WIDTH = (0.10, 0.02)
MOUTH_OPEN = (0.2, 1.2)
INNER_BROW_UP = (1.6, -1.0)
OUTER_BROW_UP = (0.3, 1.4)
LOG_EYE_OPEN = (-0.06, 0.20)


@dataclass(frozen=True)
class Person:
    """Appearance of a subject at rest; lengths in pixels, colours blue-green-red."""

    skin: Floats
    hair: Floats
    eye_x: float
    eye_y: float
    eye_open: float
    brow_y: float
    brow_width: int
    mouth_y: float
    mouth_half: float
    smile: float
    head: Floats


@dataclass(frozen=True)
class Motion:
    """Pose, expression and light, one value per frame."""

    corner_up: Floats
    mouth_half: Floats
    mouth_open: Floats
    inner_brow_up: Floats
    outer_brow_up: Floats
    eye_open: Floats
    gaze: Floats
    shift_x: Floats
    shift_y: Floats
    turn_deg: Floats
    scale: Floats
    light: Floats
    side_light: Floats
    flash: Floats


def write_face(session: Session, path: Path) -> list[str]:
    """Simulate a session's video and write it as H.264 in MP4.

    Parameters
    ----------
    session : Session
        Plan of the session.
    path : Path
        The MP4 to write. A dropped frame leaves a gap in the time stamps; frames with a time
        stamp within a flash are brighter.

    Returns
    -------
    list of str
        Faults of the recording.
    """
    n_frames = int(np.ceil(session.native_duration_s("video") * RATE_HZ))
    native_s = np.arange(n_frames) / RATE_HZ
    person = _person(session.subject)
    motion = _motion(session, person, native_s)
    kept, faults = _kept_frames(session, n_frames)
    painter = _Painter(session, person)
    # Bit-exact: without the version of the encoder and the date in the file. One thread, because
    # the number of threads changes the bytes.
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"preset": "ultrafast", "crf": "22", "flags": "+bitexact"}
        for index in kept:
            frame = av.VideoFrame.from_ndarray(painter.frame(motion, index), format="yuv420p")
            frame.pts = int(index)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return faults


def _kept_frames(session: Session, n_frames: int) -> tuple[NDArray[np.int64], list[str]]:
    """Return the indices of the recorded frames, and the faults."""
    kept = np.arange(n_frames)
    if session.faulty != "video":
        return kept, []
    rng = generator("demo", session.name, "face", "dropped")
    is_dropped = rng.random(n_frames) < DROPPED
    start = int(rng.integers(n_frames // 4, n_frames // 2))
    is_dropped[start : start + RATE_HZ] = True  # and one gap of a second
    is_dropped[[0, -1]] = False  # the first and the last frame define the duration
    return kept[~is_dropped], [f"dropped {is_dropped.sum()} of {n_frames} frames"]


def _person(subject: str) -> Person:
    """Draw a subject's appearance, which is the same in all its sessions."""
    rng = generator("demo", subject, "face")
    tone = rng.uniform(0.72, 1.0)
    return Person(
        skin=tone * np.array([150.0, 180.0, 222.0]) + rng.normal(0, 4, 3),
        hair=rng.uniform(0.5, 1.2) * np.array([28.0, 38.0, 52.0]),
        eye_x=22 + rng.normal(0, 0.8),
        eye_y=-14 + rng.normal(0, 0.8),
        eye_open=5.0 * np.exp(rng.normal(0, 0.08)),
        brow_y=-30 + rng.normal(0, 0.8),
        brow_width=int(rng.integers(4, 7)),
        mouth_y=38 + rng.normal(0, 1),
        mouth_half=18 * np.exp(rng.normal(0, 0.05)),
        smile=rng.normal(0, 1.0),
        head=HEAD * np.exp(rng.normal(0, 0.03, 2)),
    )


def _motion(session: Session, person: Person, native_s: Floats) -> Motion:
    """Return the motion at the frames' times, from the expressed state and random movements."""
    session_s = session.clocks["video"].session_s(native_s)
    valence, arousal = session.expressed("video", session_s)

    def effect(change: tuple[float, float]) -> Floats:
        return change[0] * valence + change[1] * arousal

    def wave(name: str, low_hz: float = 0.05, high_hz: float = 0.4) -> Floats:
        return random_wave("demo", session.name, "face", name, low_hz=low_hz, high_hz=high_hz)(
            session_s
        )

    # The mouth opens and closes in the trials, as a speaker's does: a nuisance for expressions.
    talking = session.activity(session_s) * np.exp(0.3 * arousal) * np.abs(wave("talk", 1.5, 4))
    since_pulse = session_s[:, None] - session.pulses_s
    return Motion(
        corner_up=person.smile + effect(CORNER_UP) + 0.5 * wave("corner", 0.2, 1),
        mouth_half=person.mouth_half * np.exp(effect(LOG_MOUTH_WIDTH)),
        mouth_open=np.maximum(0.4, 0.8 + effect(MOUTH_OPEN) + 1.6 * talking),
        inner_brow_up=effect(INNER_BROW_UP) + 0.4 * wave("inner brow", 0.2, 1),
        outer_brow_up=effect(OUTER_BROW_UP) + 0.4 * wave("outer brow", 0.2, 1),
        eye_open=person.eye_open * np.exp(effect(LOG_EYE_OPEN)) * _lids(session, native_s),
        gaze=1.5 * wave("gaze", 0.1, 0.8),
        shift_x=4 * wave("shift x"),
        shift_y=2.5 * wave("shift y"),
        turn_deg=2.0 * wave("turn"),
        scale=1 + 0.02 * wave("scale"),
        light=1 + 0.05 * wave("light", 0.02, 0.1),
        side_light=0.10 * wave("side light", 0.02, 0.1),
        flash=((since_pulse >= 0) & (since_pulse < FLASH_S)).sum(axis=1).astype(np.float64),
    )


def _lids(session: Session, native_s: Floats) -> Floats:
    """Return the opening of the lids, shape (n_frames,): 1, and almost 0 in a blink."""
    rng = generator("demo", session.name, "face", "blinks")
    closed = np.zeros(len(native_s))
    for time_s in rng.uniform(0, native_s[-1], rng.poisson(0.25 * native_s[-1])):
        closed = np.maximum(closed, np.exp(-0.5 * ((native_s - time_s) / 0.06) ** 2))
    return 1 - 0.92 * closed


class _Painter:
    """Draws the frames of one session; all that is the same in every frame is drawn once."""

    def __init__(self, session: Session, person: Person) -> None:
        rng = generator("demo", session.name, "face", "camera")
        self._person = person
        self._room = _room(rng)
        self._head, self._mask = _head(person)
        grain = rng.normal(0, NOISE_GREY, (N_GRAINS, HEIGHT, WIDTH))
        self._grains = grain.astype(np.float32)
        self._across = np.linspace(-1, 1, WIDTH, dtype=np.float32)
        self._lips = person.skin * (0.62, 0.55, 0.78)

    def frame(self, motion: Motion, index: int) -> Image:
        """Return frame `index` as planar YUV 4:2:0, shape (360, 320): luma, then chroma."""
        head = self._head.copy()
        self._brows(head, motion, index)
        self._eyes(head, motion, index)
        self._mouth(head, motion, index)
        # Drawn lines are sharper than any lens.
        head = cv2.GaussianBlur(head, (3, 3), 0.7)
        picture = self._room.copy()
        self._place(head, picture, motion, index)
        # Light and noise after the conversion, on the luma alone: a third of the values.
        frame = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
        luma = frame[:HEIGHT] * (motion.light[index] + motion.side_light[index] * self._across)
        luma += self._grains[index % N_GRAINS]
        luma += FLASH_GREY * motion.flash[index]
        frame[:HEIGHT] = np.clip(luma, 0, 255)
        return frame

    def _place(self, head: Image, picture: Image, motion: Motion, index: int) -> None:
        """Rotate, scale and shift the head, and draw it over the picture in place."""
        pose = cv2.getRotationMatrix2D(
            (CENTRE[0], CENTRE[1]), motion.turn_deg[index], motion.scale[index]
        )
        # Only the area within reach of the head is transformed.
        rows, columns = HEAD_AREA
        pose[:, 2] += motion.shift_x[index] - columns.start, motion.shift_y[index] - rows.start
        size = (columns.stop - columns.start, rows.stop - rows.start)
        # Alpha blending: the head is black outside its outline, and the mask weights the room.
        room = cv2.warpAffine(self._mask, pose, size, borderValue=(255, 255, 255))
        room = cv2.multiply(room, picture[HEAD_AREA], scale=1 / 255)
        picture[HEAD_AREA] = cv2.add(room, cv2.warpAffine(head, pose, size))

    def _brows(self, head: Image, motion: Motion, index: int) -> None:
        person = self._person
        inner_y = person.brow_y - motion.inner_brow_up[index]
        outer_y = person.brow_y + 1 - motion.outer_brow_up[index]
        middle_y = 0.5 * (inner_y + outer_y) - 3
        for side in (-1, 1):
            x = side * (person.eye_x + np.array([-12, -2, 13]))
            _stroke(head, x, [inner_y, middle_y, outer_y], 1.3 * person.hair, person.brow_width)

    def _eyes(self, head: Image, motion: Motion, index: int) -> None:
        person, half_open = self._person, motion.eye_open[index]
        phase = np.linspace(0, np.pi, 12)
        for side in (-1, 1):
            x = side * person.eye_x + 10.5 * np.cos(phase)
            upper = person.eye_y - half_open * np.sin(phase)
            lower = person.eye_y + 0.7 * half_open * np.sin(phase)
            _fill(head, [*x, *x[::-1]], [*upper, *lower[::-1]], np.array([205.0, 210, 215]))
            turn = np.linspace(0, 2 * np.pi, 16)
            iris_x = side * person.eye_x + motion.gaze[index] + 4.6 * np.cos(turn)
            iris_y = person.eye_y + np.clip(4.6 * np.sin(turn), -half_open, 0.7 * half_open)
            _fill(head, iris_x, iris_y, np.array([38.0, 42, 50]))
            _stroke(head, x, upper, np.array([40.0, 45, 55]), 2)

    def _mouth(self, head: Image, motion: Motion, index: int) -> None:
        person, half = self._person, motion.mouth_half[index]
        opening, up = motion.mouth_open[index], motion.corner_up[index]
        along = np.linspace(-1, 1, 13)
        x = half * along
        bend = person.mouth_y - up * along**2 + 0.4 * up
        bow = np.sqrt(1 - along**2)
        upper, lower = bend - (3.5 + 0.4 * opening) * bow, bend + (5 + opening) * bow
        _fill(head, [*x, *x[::-1]], [*upper, *lower[::-1]], self._lips)
        inside_up, inside_down = bend - 0.4 * opening * bow, bend + opening * bow
        _fill(head, [*x, *x[::-1]], [*inside_up, *inside_down[::-1]], np.array([30.0, 25, 60]))


def _room(rng: np.random.Generator) -> Image:
    """Draw a wall, darker to one side, with the person's shoulders in front of it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    wall = rng.uniform(110, 160) + rng.uniform(-0.12, 0.12) * (x - 160) - 0.1 * (y - 120)
    room = wall[..., None] * rng.uniform(0.9, 1.1, 3)
    room = np.ascontiguousarray(np.clip(room, 0, 255).astype(np.uint8))
    cloth = rng.uniform(40, 110, 3)
    cv2.ellipse(room, (160, 262), (105, 62), 0, 0, 360, cloth.tolist(), -1, cv2.LINE_AA)
    return room


def _head(person: Person) -> tuple[Image, Image]:
    """Draw the head without brows, eyes and mouth.

    Returns
    -------
    head : ndarray of uint8, shape (240, 320, 3)
        Black outside the head.
    mask : ndarray of uint8, shape (240, 320, 3)
        255 outside the head and 0 within it.
    """
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    u, v = x - CENTRE[0], y - CENTRE[1]
    half_x, half_y = person.head
    inside = (u / half_x) ** 2 + (v / half_y) ** 2
    skin = np.clip(_shade(person, u, v)[..., None] * person.skin, 0, 255)
    hair = (u / (half_x + 7)) ** 2 + ((v + 12) / (half_y + 4)) ** 2 < 1
    hairline = v < -0.62 * half_y + 0.012 * u**2
    neck = (np.abs(u) < 0.5 * half_x) & (v > 0) & (v < half_y + 22)
    head = np.zeros((HEIGHT, WIDTH, 3))
    # Not black outside the face: the blur would carry a dark seam into its border.
    head[:] = 0.6 * person.skin
    head[hair & (v < 20)] = person.hair
    face = (inside < 1) & ~(hairline & hair)
    head[face] = skin[face]
    outline = ((inside < 1) | (hair & (v < 20)) | neck).astype(np.float64)
    soft = cv2.GaussianBlur(outline, (5, 5), 1.0)[..., None]
    drawn = cv2.GaussianBlur(head, (5, 5), 1.0) * soft
    mask = np.repeat(255 * (1 - soft), 3, axis=2)
    return np.clip(drawn, 0, 255).astype(np.uint8), mask.astype(np.uint8)


def _shade(person: Person, u: Floats, v: Floats) -> Floats:
    """Return the brightness of the skin at coordinates relative to the head's centre."""
    half_x, half_y = person.head

    def blob(at_x: float, at_y: float, wide: float, high: float) -> Floats:
        return np.exp(-0.5 * (((u - at_x) / wide) ** 2 + ((v - at_y) / high) ** 2))

    # Shaded as an ellipsoid lit from above left, with eye sockets, cheeks, nose and nostrils.
    inside = (u / half_x) ** 2 + (v / half_y) ** 2
    depth = np.sqrt(np.clip(1 - inside, 0, 1))
    shade = 0.62 + 0.38 * depth - 0.06 * u / half_x - 0.06 * v / half_y
    for side in (-1, 1):
        shade -= 0.24 * blob(side * person.eye_x, person.eye_y - 1, 13, 8)
        shade += 0.10 * blob(side * 28, 12, 11, 9)
        shade -= 0.10 * blob(side * 9, 8, 3, 12)
        shade -= 0.32 * blob(side * 5.5, 20, 3, 2)
    shade += 0.12 * blob(0, 0, 5, 20) + 0.10 * blob(0, 14, 6, 5) + 0.08 * blob(0, -48, 26, 12)
    shade -= 0.14 * blob(0, 25, 10, 3) + 0.12 * blob(0, person.mouth_y + 11, 12, 3)
    return shade


def _points(x: Floats | list[float], y: Floats | list[float]) -> NDArray[np.int32]:
    """Convert coordinates relative to the head's centre to OpenCV's fixed-point ones."""
    at = np.stack([np.asarray(x) + CENTRE[0], np.asarray(y) + CENTRE[1]], axis=1)
    return np.round(at * 2**SUBPIXEL).astype(np.int32)


def _fill(image: Image, x: Floats | list[float], y: Floats | list[float], colour: Floats) -> None:
    cv2.fillPoly(image, [_points(x, y)], colour.tolist(), cv2.LINE_AA, SUBPIXEL)


def _stroke(
    image: Image, x: Floats | list[float], y: Floats | list[float], colour: Floats, width: int
) -> None:
    cv2.polylines(image, [_points(x, y)], False, colour.tolist(), width, cv2.LINE_AA, SUBPIXEL)
