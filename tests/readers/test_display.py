from __future__ import annotations

from fractions import Fraction
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.readers.display import (
    AS_STORED,
    Display,
    aspect_findings,
    display_of,
    display_reader,
    pixel_aspect,
)

# a, b, c, d, and the sentence of the check
ORIENTATIONS = {
    (1, 0, 0, 1): [],
    (0, 1, -1, 0): ["rotated 270°, turned upright"],
    (-1, 0, 0, -1): ["rotated 180°, turned upright"],
    (0, -1, 1, 0): ["rotated 90°, turned upright"],
    (-1, 0, 0, 1): ["mirrored left to right"],
    (1, 0, 0, -1): ["mirrored top to bottom, turned upright"],
    (0, 1, 1, 0): ["mirrored left to right and rotated 90°, turned upright"],
    (0, -1, -1, 0): ["mirrored left to right and rotated 270°, turned upright"],
}

UPRIGHT = (1, 0, 0, 0, 1, 0, 0, 0, 1)
QUARTER = (0, -1, 0, 1, 0, 0, 0, 0, 1)


def frame_with(matrix: list[int] | None) -> SimpleNamespace:
    side_data = {} if matrix is None else {"DISPLAYMATRIX": np.array(matrix, np.int32)}
    return SimpleNamespace(side_data=side_data)


@pytest.mark.parametrize("signs", ORIENTATIONS)
def test_every_orientation_displays_each_pixel_where_the_matrix_puts_it(signs) -> None:
    a, b, c, d = signs
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3)
    matrix = [65536 * a, 65536 * b, 0, 65536 * c, 65536 * d, 0, 7 << 16, 0, 1 << 30]
    display = display_of(frame_with(matrix))
    upright = display.upright(stored)
    placed = {(a * x + c * y, b * x + d * y): stored[y, x] for y, x in product(range(2), range(3))}
    left, top = (min(place[axis] for place in placed) for axis in (0, 1))
    assert upright.size == stored.size
    assert all(upright[y - top, x - left] == value for (x, y), value in placed.items())
    assert display.findings() == ORIENTATIONS[signs]
    # The rotation that is stated undoes the matrix, once the picture is mirrored.
    mirrored = stored[:, ::-1] if display.is_mirrored else stored
    assert (np.rot90(mirrored, round(display.angle_deg / 90)) == upright).all()


@given(st.integers(0, 359), st.booleans(), st.floats(0.1, 3))
def test_any_angle_and_scale_gives_the_nearest_quarter(
    angle: int, mirrored: bool, scale: float
) -> None:
    cos, sin = (scale * f(np.radians(angle)) for f in (np.cos, np.sin))
    a, b, c, d = (-cos, sin, sin, cos) if mirrored else (cos, -sin, sin, cos)
    display = Display(a, b, c, d)
    assert display.is_mirrored == mirrored
    assert round(display.angle_deg) % 360 == angle
    if abs(angle % 90 - 45) > 1:
        stored = np.arange(6, dtype=np.uint8).reshape(2, 3)
        source = stored[:, ::-1] if mirrored else stored
        assert (display.upright(stored) == np.rot90(source, round(angle / 90))).all()
        assert ("nearest quarter" in "".join(display.findings())) == (1 < angle % 90 < 89)


@pytest.mark.parametrize("matrix", [None, [0] * 9, [65536, 0, 0, 0, 0, 0, 0, 0, 1 << 30]])
def test_without_a_valid_matrix_pictures_stay_as_stored(matrix: list[int] | None) -> None:
    assert display_of(frame_with(matrix)) == AS_STORED


@pytest.mark.parametrize(
    ("stated", "ratio", "remark"),
    [
        (None, 1, []),
        (Fraction(0), 1, []),
        (Fraction(1), 1, []),
        (Fraction(16, 11), 16 / 11, ["pixels of 16:11, resized to square ones"]),
        (Fraction(500), 1, ["pixels of 500:1, invalid and ignored"]),
    ],
)
def test_the_shape_of_pixels(stated: Fraction | None, ratio: float, remark: list[str]) -> None:
    stream = SimpleNamespace(sample_aspect_ratio=stated)
    assert pixel_aspect(stream) == ratio
    assert aspect_findings(stream) == remark


def test_the_matrix_is_read_where_the_rotation_changes() -> None:
    upright, turned = (frame_with([65536 * n for n in m]) for m in (UPRIGHT, QUARTER))
    frames = [upright, SimpleNamespace(), turned, SimpleNamespace(), SimpleNamespace(), upright]
    for frame, rotation_deg in zip(frames, [0, 0, 90, 90, 90, 0], strict=True):
        frame.rotation = rotation_deg
    display_at = display_reader()
    displays = [display_at(frame) for frame in frames]
    assert [display.is_sideways for display in displays] == [False, False, True, True, True, False]
