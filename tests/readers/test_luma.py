"""Grey pictures of decoded frames."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from consilience.core.seeds import generator
from consilience.readers.luma import GreyPictures, reduce

SCENE = cv2.GaussianBlur(
    generator("scene").integers(0, 255, (480, 640, 3)).astype(np.uint8), (0, 0), 6.0
)
SCENE = cv2.normalize(SCENE, None, 0, 255, cv2.NORM_MINMAX)
GREY = av.VideoFrame.from_ndarray(SCENE, format="bgr24").to_ndarray(format="gray")
FORMATS = ["yuv420p", "yuvj420p", "yuv444p", "nv12", "gray", "bgr24", "yuyv422", "yuv420p10le"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_the_grey_levels_of_the_scene(name: str) -> None:
    frame = av.VideoFrame.from_ndarray(SCENE, format="bgr24").reformat(format=name)
    picture = GreyPictures().picture(frame, 640, 480)
    assert np.abs(picture.astype(float) - GREY).max() <= 2


def test_the_range_of_the_luma_is_taken_from_the_frame() -> None:
    luma = np.tile(np.arange(256, dtype=np.uint8), (96, 1))
    frame = av.VideoFrame.from_ndarray(luma, format="yuv420p")  # 64 rows of luma, then chroma
    limited = GreyPictures().picture(frame, 256, 64)
    frame.color_range = ColorRange.JPEG
    assert np.array_equal(GreyPictures().picture(frame, 256, 64), luma[:64])
    assert limited[0, :17].max() == 0
    assert limited[0, 235:].min() == 255
    assert limited[0, [16, 89, 162, 235]].tolist() == [0, 85, 170, 255]


@pytest.mark.parametrize("size", [(240, 180), (320, 240), (100, 75), (160, 480), (639, 479)])
def test_a_reduced_picture_is_near_the_means_over_areas(size: tuple[int, int]) -> None:
    expected = cv2.resize(GREY.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    reduced = reduce(GREY, *size)
    assert reduced.shape == size[::-1]
    assert np.abs(reduced - expected).mean() < 1


def test_sides_of_odd_length_are_reduced() -> None:
    odd = GREY[:479, :637]
    expected = cv2.resize(odd.astype(np.float32), (240, 180), interpolation=cv2.INTER_AREA)
    assert np.abs(reduce(odd, 240, 180) - expected).mean() < 2


def test_a_grain_of_single_pixels_is_averaged_out() -> None:
    grain = np.indices((480, 640)).sum(axis=0) % 2 * 255
    assert np.ptp(reduce(grain.astype(np.uint8), 240, 180)) <= 1
