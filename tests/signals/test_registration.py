"""Displacement from a template."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from consilience.core.seeds import generator
from consilience.signals.registration import Registration

SIDE, REACH = 64, 6
SMOOTH = cv2.GaussianBlur(
    generator("texture").integers(0, 255, (96, 96)).astype(np.uint8), (0, 0), 3.0
)


def moved(right: float, down: float) -> NDArray[np.uint8]:
    """Return the centre of the texture, displaced, with twice the contrast and less light."""
    transform = np.array([[1, 0, right - 16], [0, 1, down - 16]], np.float64)
    picture = cv2.warpAffine(SMOOTH, transform, (SIDE, SIDE))
    return np.clip(2.0 * picture - 160, 0, 255).astype(np.uint8)


@pytest.fixture
def registration() -> Registration:
    return Registration(moved(0, 0), REACH)


def test_displacements_are_measured_within_a_quarter_of_a_pixel(
    registration: Registration,
) -> None:
    offsets = generator("offsets").uniform(-3.5, 3.5, (40, 2))
    pictures = np.array([moved(*offset) for offset in offsets])
    assert np.abs(registration.displacements(pictures) - offsets).max() < 0.25


def test_a_peak_at_the_border_counts_as_no_displacement(registration: Registration) -> None:
    pictures = np.array([moved(8, 0), moved(0, -8), moved(2, 2)])
    displacements = registration.displacements(pictures)
    assert not displacements[:2].any()
    assert displacements[2].all()


def test_an_even_picture_is_not_displaced(registration: Registration) -> None:
    assert not registration.displacements(np.full((1, SIDE, SIDE), 90, np.uint8)).any()


def test_similarity_is_that_of_opencv(registration: Registration) -> None:
    half = cv2.resize(moved(1, -2), (32, 32), interpolation=cv2.INTER_AREA)
    template = cv2.resize(moved(0, 0).astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA)
    expected = cv2.matchTemplate(
        half.astype(np.float32), template[3:-3, 3:-3], cv2.TM_CCOEFF_NORMED
    )
    similarity = registration.similarity(np.array([moved(5, 5), moved(1, -2)]))
    assert similarity.shape == (2, 7, 7)
    assert similarity[1] == pytest.approx(expected, abs=1e-3)
