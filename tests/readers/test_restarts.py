from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.core.errors import RecordingError
from consilience.readers.restarts import Packets, find_restarts, steps

PATH = Path("takes.mpg")


def stream(*stamps_s: np.ndarray, period_s: float) -> Packets:
    packets = Packets()
    for stamp_s in np.concatenate(stamps_s):
        packets.add(float(stamp_s), float(stamp_s), period_s)
    return packets


def shifted(packets: Packets, shift) -> np.ndarray:
    return np.array([stamp + shift(number) for number, stamp in enumerate(packets.dts_s)])


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.floats(0, 40_000), st.integers(20, 80)), min_size=2, max_size=4),
    st.floats(-0.03, 0.03),
)
def test_parts_follow_each_other_and_keep_picture_and_sound_together(
    parts: list[tuple[float, int]], delay_s: float
) -> None:
    starts = [start_s for start_s, _ in sorted(parts, reverse=True)]
    lengths = [n for _, n in sorted(parts, reverse=True)]
    if any(a - b < 4 for a, b in pairwise(starts)):
        return
    picture = stream(
        *(a + 0.04 * np.arange(n) for a, n in zip(starts, lengths, strict=True)), period_s=0.04
    )
    sound = stream(
        *(a + delay_s + 0.02 * np.arange(2 * n) for a, n in zip(starts, lengths, strict=True)),
        period_s=0.02,
    )
    result = find_restarts({0: picture, 1: sound}, PATH)
    assert result.first[0] == tuple(np.cumsum(lengths)[:-1])
    images_s, blocks_s = (
        shifted(packets, result.shifts_s(index)) for index, packets in enumerate((picture, sound))
    )
    assert (np.diff(images_s) > 0).all()
    assert images_s[-1] - starts[0] == pytest.approx(0.04 * (sum(lengths) - 1), abs=0.1)
    np.testing.assert_allclose(blocks_s[::2] - images_s, delay_s, atol=1e-6)


def test_the_end_is_that_of_the_last_part() -> None:
    picture, sound = (
        stream(np.arange(0, 10, period_s), np.arange(0, 4, period_s), period_s=period_s)
        for period_s in (0.04, 0.02)
    )
    restarts = find_restarts({0: picture, 1: sound}, PATH)
    assert [restarts.end_s(0, picture), restarts.end_s(1, sound)] == pytest.approx([14, 14])
    one = stream(np.arange(3, 10, 0.02), period_s=0.02)
    assert find_restarts({0: one}, PATH).end_s(0, one) == pytest.approx(10)


def test_wrong_stamps_and_pauses_are_not_restarts() -> None:
    stamps_s = 0.02 * np.arange(500)
    stamps_s[200] += 5
    stamps_s[300] -= 3
    stamps_s[400:] += 600
    assert steps(stamps_s) == ()
    assert find_restarts({0: stream(stamps_s, period_s=0.02)}, PATH).shifts_s(0) is None


def test_a_step_of_days_is_another_clock() -> None:
    stamps_s = np.concatenate([0.02 * np.arange(100), 95_443 + 0.02 * np.arange(100)])
    assert steps(stamps_s) == (100,)


def test_picture_and_sound_that_begin_again_apart_are_refused() -> None:
    take = 0.04 * np.arange(100)
    streams = {0: stream(take, take, period_s=0.04), 1: stream(take, 4 + take, period_s=0.04)}
    with pytest.raises(RecordingError, match="different places"):
        find_restarts(streams, PATH)
