"""Scores of consensus labels against the true state, for corpora whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.windows.layout import Window

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TrueState:
    """True state of one window: its most frequent class, and mean valence and arousal."""

    emotion: str
    valence: float
    arousal: float


def true_states(truth: pl.DataFrame, windows: Sequence[Window]) -> list[TrueState | None]:
    """Return the true state of each window; None for a window without a true sample.

    Parameters
    ----------
    truth : polars.DataFrame
        Columns session, time_s, valence, arousal, emotion.
    windows : sequence of Window
        Windows of any sessions.
    """
    by_session = truth.partition_by("session", as_dict=True)
    return [_true_state(by_session.get((window.session,)), window) for window in windows]


def _true_state(truth: pl.DataFrame | None, window: Window) -> TrueState | None:
    if truth is None:
        return None
    inside = truth.filter(pl.col("time_s").is_between(window.start_s, window.end_s, closed="left"))
    if not inside.height:
        return None
    # Sorted by name as well, so that ties do not depend on the order of rows.
    emotion = inside["emotion"].value_counts().sort("count", "emotion", descending=True)
    affect = inside.select(pl.col("valence", "arousal").mean()).row(0)
    return TrueState(emotion["emotion"][0], *affect)


def concordance(x: Floats, y: Floats) -> float | None:
    """Compute Lin's concordance correlation coefficient.

    ``2 cov(x, y) / (var x + var y + (mean x - mean y)²)`` (Lin 1989, Biometrics 45(1):255-268).

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)

    Returns
    -------
    float or None
        None for fewer than two pairs.
    """
    if len(x) < 2:
        return None
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    scale = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    return round(float(2 * covariance / scale), 4) if scale > 0 else 1.0


def accuracy(
    shares: Sequence[Sequence[float] | None],
    states: Sequence[TrueState | None],
    classes: Sequence[str],
) -> float | None:
    """Return the fraction of windows whose class with the largest share is the true one.

    Parameters
    ----------
    shares : sequence of (sequence of float, or None)
        Shares of the classes, by window.
    states : sequence of (TrueState or None)
        By window; windows without shares or without a state are ignored.
    classes : sequence of str
    """
    hits = [
        classes[int(np.argmax(share))] == state.emotion
        for share, state in zip(shares, states, strict=True)
        if share is not None and state is not None
    ]
    return round(float(np.mean(hits)), 4) if hits else None


def brier_score(
    shares: Sequence[Sequence[float] | None],
    states: Sequence[TrueState | None],
    classes: Sequence[str],
) -> float | None:
    """Return the mean squared distance of the shares from the true class, from 0 to 2.

    Parameters
    ----------
    shares, states, classes
        As in `accuracy`.
    """
    errors = [
        sum(
            (value - (name == state.emotion)) ** 2
            for value, name in zip(share, classes, strict=True)
        )
        for share, state in zip(shares, states, strict=True)
        if share is not None and state is not None
    ]
    return round(float(np.mean(errors)), 4) if errors else None


def value_concordance(
    labels: pl.DataFrame, states: Sequence[TrueState | None]
) -> dict[str, float | None]:
    """Return the concordance of valence and of arousal with the true state.

    Parameters
    ----------
    labels : polars.DataFrame
        With columns valence and arousal, one row per window.
    states : sequence of (TrueState or None)
    """
    result: dict[str, float | None] = {}
    for name in ("valence", "arousal"):
        pairs = [
            (value, getattr(state, name))
            for value, state in zip(labels[name], states, strict=True)
            if value is not None and state is not None
        ]
        x, y = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        result[name] = concordance(x, y)
    return result
