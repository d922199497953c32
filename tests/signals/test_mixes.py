"""Transforms of mixes."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.signals.mixes import Mixes

SOUND, ADDED = generator("mixes").standard_normal((2, 100)).astype(np.float32)
GAINS = (0.5, 3.0)


def test_a_linear_transform_of_a_mix_is_the_mix_of_transforms() -> None:
    mixes = Mixes([SOUND, ADDED], GAINS)
    transforms = [np.fft.rfft(part).astype(np.complex64) for part in mixes.parts]
    for gain, mix in zip(GAINS, mixes.of(transforms), strict=True):
        assert np.allclose(mix, np.fft.rfft(SOUND + gain * ADDED), atol=1e-4)


def test_a_product_of_a_mix_is_the_mix_of_products() -> None:
    mixes = Mixes([SOUND, ADDED], GAINS)
    for gain, mix in zip(GAINS, mixes.of_products(np.multiply, mixes.parts), strict=True):
        assert np.allclose(mix, (SOUND + gain * ADDED) ** 2, atol=1e-4)


def test_without_added_sound_the_only_mix_is_the_sound() -> None:
    mixes = Mixes([SOUND])
    assert next(mixes.of([SOUND])) is SOUND
    assert next(mixes.of_products(np.multiply, [SOUND])) == pytest.approx(SOUND**2)
