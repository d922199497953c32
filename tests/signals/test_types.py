"""Signals with masked channels."""

from __future__ import annotations

import numpy as np

from consilience.signals.types import Signal

SIGNAL = Signal(np.arange(6).reshape(3, 2), np.arange(3) / 10, ("Fp1", "Cz"))


def test_masked_channels_are_nan_and_others_unchanged() -> None:
    masked = SIGNAL.masked({"Cz", "O1"})
    assert np.isnan(masked.values[:, 1]).all()
    assert masked.values[:, 0].tolist() == [0, 2, 4]
    assert masked.values.dtype == np.float64
    assert (masked.times_s is SIGNAL.times_s, masked.channels) == (True, SIGNAL.channels)


def test_masking_does_not_change_the_original() -> None:
    SIGNAL.masked(["Fp1", "Cz"])
    assert SIGNAL.values.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_without_pulses_and_anchors_the_arrays_are_empty() -> None:
    assert SIGNAL.pulses_s.shape == (0,)
    assert SIGNAL.anchors_s.shape == (0, 2)
