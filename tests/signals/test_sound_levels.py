"""Levels of a sound in blocks."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.signals import sound_levels
from consilience.signals.sound_levels import levels

SOUND = (0.1 + generator("levels").standard_normal(1000)).astype(np.float32)


@pytest.mark.parametrize("block", [7, 100, 2000])
def test_blocks_change_no_level(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_levels, "BLOCK", block)
    measured = levels(SOUND)
    assert measured.n_present == 1000
    assert (measured.low, measured.high) == (SOUND.min(), SOUND.max())
    assert measured.peak == np.abs(SOUND).max()
    assert measured.mean == pytest.approx(SOUND.mean(), rel=1e-5)
    assert measured.variance == pytest.approx(SOUND.var(), rel=1e-5)


def test_lost_samples_do_not_count() -> None:
    recorded = SOUND.copy()
    recorded[200:700] = np.nan
    expected = levels(SOUND[~np.isnan(recorded)])
    for measured in (levels(recorded), levels(SOUND, recorded)):
        assert measured == expected._replace(n_lost=500)
    silent = np.where(np.isnan(recorded), np.float32(0), recorded)
    assert levels(recorded).whole_variance == pytest.approx(silent.var(), rel=1e-5)
    assert levels(np.full(5, np.nan, np.float32)).n_present == 0
