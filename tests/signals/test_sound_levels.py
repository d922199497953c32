"""Levels of a sound in blocks."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.signals import sound_levels
from consilience.signals.sound_levels import levels, offset, variance

SOUND = (0.1 + generator("levels").standard_normal(1000)).astype(np.float32)


@pytest.mark.parametrize("block", [7, 100, 2000])
def test_blocks_change_no_level(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_levels, "BLOCK", block)
    monkeypatch.setattr(sound_levels, "SMALL_BLOCK", block)
    assert levels(SOUND) == (1000, SOUND.min(), SOUND.max())
    assert levels(SOUND).peak == np.abs(SOUND).max()
    assert offset(SOUND) == pytest.approx(SOUND.mean(), rel=1e-5)
    assert variance(SOUND) == pytest.approx(SOUND.var(), rel=1e-5)


@pytest.mark.parametrize("block", [7, 2000])
def test_lost_samples_do_not_count(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_levels, "BLOCK", block)
    monkeypatch.setattr(sound_levels, "SMALL_BLOCK", block)
    recorded = SOUND.copy()
    recorded[200:700] = np.nan
    present = SOUND[~np.isnan(recorded)]
    assert levels(recorded) == (500, present.min(), present.max())
    assert offset(recorded) == offset(SOUND, recorded) == pytest.approx(present.mean(), rel=1e-5)
    silent = np.where(np.isnan(recorded), np.float32(0), recorded)
    assert variance(recorded) == pytest.approx(silent.var(), rel=1e-5)
    assert levels(np.full(5, np.nan, np.float32)) == (0, 0, 0)


def test_an_offset_does_not_hide_the_variance() -> None:
    assert variance(SOUND * 1e-3 + 1) == pytest.approx(1e-6 * SOUND.var(), rel=1e-3)
