"""Evidence of a small problem: three classes, two sensors, windows in sessions of ten."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import softmax

from consilience.core.seeds import generator
from consilience.query.evidence import QueryEvidence
from consilience.query.selection import Layout

K, N = 3, 120
TRUTH = np.arange(N) % K
WRONG = np.arange(5, N, 17)  # windows whose label is not the true class


def labels() -> np.ndarray:
    """Return labels, of which those of `WRONG` name the next class."""
    label = TRUTH.copy()
    label[WRONG] = (label[WRONG] + 1) % K
    return np.eye(K)[label]


def evidence(sharpness: float = 3.0, seeds: int = 2) -> QueryEvidence:
    """Return evidence of two sensors that mostly show the true class."""
    rng = generator("small evidence")
    shown = np.eye(K)[TRUTH][:, None] * sharpness + rng.normal(0, 0.7, (N, 2, K))
    sensors = softmax(shown, -1)
    together = softmax(shown.sum(1) + rng.normal(0, 0.1, (seeds, N, K)), -1)
    return QueryEvidence(
        probability=together,
        sensors=sensors,
        reliability=np.full((N, 2), np.nan),
        available=np.ones((N, 2), bool),
        vacuity=np.full(N, 0.1),
        latent=np.eye(K)[TRUTH] + rng.normal(0, 0.2, (N, K)),
        target=labels(),
        prior=np.full((N, K), 1 / K),
    )


def unlabelled(of: QueryEvidence) -> QueryEvidence:
    return replace(of, target=np.full((N, K), np.nan))


def layout(length_s: float = 4.0, hop_s: float = 4.0) -> Layout:
    session = np.arange(N) // 10
    start_s = (np.arange(N) % 10) * hop_s
    return Layout(session, start_s, start_s + length_s)
