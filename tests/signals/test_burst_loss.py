"""Bursts of losses have the requested share and mean length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consilience.core.seeds import generator
from consilience.signals.burst_loss import bursts


@given(st.integers(1, 500), st.floats(0, 0.95), st.integers(0, 20))
@example(1, 0.80859375, 0)
def test_bursts_fill_their_length(n: int, share: float, seed: int) -> None:
    assert bursts(n, share, 3.0, generator(seed)).shape == (n,)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.65, 0.9])
def test_bursts_have_the_stated_share_and_length(share: float) -> None:
    lost = bursts(100_000, share, 4.0, generator("bursts"))
    assert lost.mean() == pytest.approx(share, abs=0.02)
    n_bursts = np.sum(lost[1:] & ~lost[:-1])
    assert lost.sum() / n_bursts == pytest.approx(max(4.0, share / (1 - share)), rel=0.05)


def test_nothing_is_lost_at_a_share_of_zero() -> None:
    assert not bursts(1000, 0.0, 4.0, generator("none")).any()


def test_bursts_depend_on_the_generator_alone() -> None:
    first, again = (bursts(500, 0.3, 4.0, generator("same")) for _ in range(2))
    assert np.array_equal(first, again)
