"""Orders of windows for annotation: diverse, within a budget, and with a limit per recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience.query.evidence import Array, QueryEvidence, entropy
from consilience.query.scores import bald, coherence, confident_learning, margin
from consilience.schema.params.query import QueryParams

SAME = 1e-12  # a squared distance that rounding alone can explain

Mask = NDArray[np.bool_]
Scorer = Callable[[QueryEvidence, QueryParams], Array]

# Strategies that order windows by a score; the others depend on what is ordered already.
SCORERS: dict[str, Scorer] = {
    "coherence": lambda evidence, params: coherence(evidence, params).total,
    "entropy": lambda evidence, params: entropy(evidence.mean),
    "margin": lambda evidence, params: margin(evidence),
    "bald": lambda evidence, params: bald(evidence),
    "confident_learning": lambda evidence, params: confident_learning(evidence),
}


@dataclass(frozen=True)
class Layout:
    """Session and time of N windows, which limit what can be annotated.

    Attributes
    ----------
    session : ndarray of int, shape (N,)
        Number of the session.
    start_s, end_s : ndarray, shape (N,)
        Session time.
    """

    session: NDArray[np.int64]
    start_s: Array
    end_s: Array

    def overlapping(self, row: int) -> Mask:
        """Return which windows share time with a window, itself included (N,)."""
        same = self.session == self.session[row]
        before = self.start_s < self.end_s[row]
        return np.asarray(same & before & (self.end_s > self.start_s[row]))


class Limits:
    """Windows that may still be ordered.

    An annotation of a window also counts for those that overlap it, which are therefore not ordered
    any more.

    Parameters
    ----------
    layout : Layout
    candidates : ndarray of bool, shape (N,)
    per_session : int
    """

    def __init__(self, layout: Layout, candidates: Mask, per_session: int) -> None:
        self.open = candidates.copy()
        self._layout, self._per_session = layout, per_session
        self._ordered = np.zeros(layout.session.max(initial=-1) + 1, np.int64)

    def take(self, row: int) -> None:
        """Order a window."""
        session = self._layout.session[row]
        self._ordered[session] += 1
        self.open &= ~self._layout.overlapping(row)
        if self._ordered[session] >= self._per_session:
            self.open &= self._layout.session != session


def select(
    evidence: QueryEvidence,
    layout: Layout,
    params: QueryParams,
    candidates: Mask,
    answered: Mask,
    rng: np.random.Generator,
) -> list[int]:
    """Order windows by a strategy until the budget or the candidates are used up.

    Parameters
    ----------
    evidence : QueryEvidence
    layout : Layout
    params : QueryParams
    candidates : ndarray of bool, shape (N,)
        Windows to choose from; all have a prediction.
    answered : ndarray of bool, shape (N,)
        Windows annotated before, from which CoreSet starts.
    rng : numpy.random.Generator
        Decides between equal scores, and the draws of BADGE and of ``random``.

    Returns
    -------
    list of int
        Positions of the windows, the most useful first.
    """
    limits = Limits(layout, candidates, params.max_per_recording)
    noise = rng.permutation(len(candidates)) / max(1, len(candidates))
    if params.strategy == "random":
        return _by_score(noise, evidence.latent, limits, params.budget, 0.0, noise)
    if params.strategy == "coreset":
        return _k_centers(evidence.latent, limits, params.budget, answered)
    if params.strategy == "badge":
        return _k_means_seeds(evidence, limits, params.budget, rng)
    score = SCORERS[params.strategy](evidence, params)
    return _by_score(score, evidence.latent, limits, params.budget, params.diversity, noise)


def _by_score(
    score: Array, latent: Array, limits: Limits, budget: int, diversity: float, noise: Array
) -> list[int]:
    """Order windows by their score, less what they share with those ordered before.

    A window that lies where another one was ordered loses the share `diversity` of its score above
    the least one, one that is far away nothing: a Gaussian of the distance, whose width is half of
    the mean distance to the centre.
    """
    usable = np.where(limits.open, score, np.nan)
    if not limits.open.any():
        return []
    score = np.where(limits.open, score - np.nanmin(usable), 0.0)
    spread = np.square(latent - latent.mean(0)).sum(1).mean() / 4 or 1.0
    order: list[int] = []
    similar = np.zeros(len(score))
    while len(order) < budget and limits.open.any():
        value = np.where(limits.open, score * (1 - diversity * similar), -np.inf)
        best = np.flatnonzero(value == value.max())
        row = int(best[noise[best].argmin()])
        order.append(row)
        limits.take(row)
        if diversity:
            distance = np.square(latent - latent[row]).sum(1)
            similar = np.maximum(similar, np.exp(-distance / (2 * spread)))
    return order


def _k_centers(latent: Array, limits: Limits, budget: int, answered: Mask) -> list[int]:
    """Order windows by the greedy k-center rule of CoreSet (Sener and Savarese 2018).

    Each is the one farthest from all that are annotated. Without any, the first one is nearest to
    the centre.
    """
    order: list[int] = []
    nearest = np.full(len(latent), np.inf)
    for centre in np.flatnonzero(answered):
        nearest = np.minimum(nearest, np.square(latent - latent[centre]).sum(1))
    while len(order) < budget and limits.open.any():
        if np.isinf(nearest).all():
            value = -np.square(latent - latent[limits.open].mean(0)).sum(1)
        else:
            value = nearest
        row = int(np.where(limits.open, value, -np.inf).argmax())
        order.append(row)
        limits.take(row)
        nearest = np.minimum(nearest, np.square(latent - latent[row]).sum(1))
    return order


def _k_means_seeds(
    evidence: QueryEvidence, limits: Limits, budget: int, rng: np.random.Generator
) -> list[int]:
    """Order windows by BADGE: k-means++ seeds in gradient space (Ash et al. 2020).

    The gradient of the last layer for the predicted class is the outer product of ``p - e`` and the
    latent coordinates; products of two windows factorise, so that it is never written out.
    """
    p = evidence.mean
    residual = np.nan_to_num(p - (p == p.max(1, keepdims=True)))
    latent = np.concatenate([evidence.latent, np.ones((len(p), 1))], 1)
    norm = np.square(residual).sum(1) * np.square(latent).sum(1)
    order: list[int] = []
    nearest = norm.copy()  # the first seed has the largest gradient
    while len(order) < budget and limits.open.any():
        weight = np.where(limits.open, nearest, 0.0)
        if not order:
            row = int(np.where(limits.open, norm, -np.inf).argmax())
        elif weight.sum() > SAME:
            row = int(rng.choice(len(weight), p=weight / weight.sum()))
        else:  # every gradient is among the seeds
            row = int(rng.choice(np.flatnonzero(limits.open)))
        product = (residual @ residual[row]) * (latent @ latent[row])
        distance = np.maximum(norm + norm[row] - 2 * product, 0.0)
        nearest = distance if not order else np.minimum(nearest, distance)
        order.append(row)
        limits.take(row)
    return order
