from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.readers.channel_mix import ChannelStatistics

VOICE = 0.2 * np.sin(np.arange(4000) / 7).astype(np.float32)


def of(*channels: np.ndarray) -> ChannelStatistics:
    """Return the statistics of some channels, added in two blocks."""
    statistics = ChannelStatistics(Path("a.wav"))
    block = np.stack(channels).astype(np.float32)
    statistics.add(block[:, :1500])
    statistics.add(block[:, 1500:])
    return statistics


def hiss(name: str, level: float = 0.01) -> np.ndarray:
    return level * generator(name).standard_normal(VOICE.size)


@pytest.mark.parametrize(
    ("channels", "weights"),
    [
        ([VOICE], None),
        ([VOICE, 0.3 * VOICE], None),
        ([VOICE, hiss("a", 0.2)], None),
        ([0 * VOICE, 0 * VOICE], None),
        ([VOICE, -VOICE], [0.5, -0.5]),
        ([-0.5 * VOICE + hiss("b"), VOICE + hiss("c")], [-0.5, 0.5]),
        ([0 * VOICE, VOICE, 0 * VOICE], [0, 1, 0]),
        ([hiss("e", 5e-4), VOICE], [0, 1]),
        ([VOICE, 0 * VOICE, -VOICE / 2, VOICE / 2], [1 / 3, 0, -1 / 3, 1 / 3]),
        ([VOICE + 0.3, -VOICE - 0.3], [0.5, -0.5]),
        ([VOICE + 0.3, hiss("d", 0.2) - 0.3], None),
    ],
)
def test_weights(channels: list[np.ndarray], weights: list[float] | None) -> None:
    result = of(*channels).weights()
    if weights is None:
        assert result is None
    else:
        np.testing.assert_allclose(result, weights, atol=1e-6)


def test_missing_samples_are_ignored() -> None:
    damaged = VOICE.copy()
    damaged[100:200] = np.nan
    assert of(damaged, 0.3 * damaged).weights() is None
    assert of(damaged, 0.3 * damaged).peaks[0] == pytest.approx(0.2, abs=1e-3)


def test_samples_beyond_every_full_scale_are_refused() -> None:
    assert of(VOICE * 15).divisor == 1
    assert of(VOICE * 2**17).divisor == 2**15
    with pytest.raises(RecordingError, match="times full scale"):
        _ = of(VOICE * 1e12).divisor


def test_a_change_of_the_channels_is_refused() -> None:
    statistics = of(VOICE)
    with pytest.raises(RecordingError, match="channels changes from 1 to 2"):
        statistics.add(np.zeros((2, 10), np.float32))


def test_findings() -> None:
    assert ChannelStatistics(Path("a.wav")).findings() == ["no samples"]
    assert of(VOICE, -VOICE).findings() == [
        "stereo, averaged",
        "opposite phase: channel 2, inverted before averaging",
    ]
    assert of(np.clip(50 * VOICE, -1, 1)).findings()[0].endswith("samples at full scale")
