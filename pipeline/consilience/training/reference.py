"""Summaries of a training's recordings, with which others that differ are detected.

A recording is summarised by mean and spread of its windows' inputs, before any baseline. Recordings
of the training lie near a subspace, spanned by the ways in which people differ. What a summary has
outside of it, its residual, is small for the recordings of a new person and large for those of
another device, a noisy sensor or another setting (Jackson and Mudholkar 1979, "Control procedures
for residuals associated with principal component analysis").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilience.schema.tables import Deviations, frame_of
from consilience.training.probes import GROUPS, flat_inputs, subject_groups
from consilience.windows.layout import recording_names
from consilience.windows.store import Corpus

MAX_INPUT = 10.0  # standard deviations
LEAST_SPREAD = 1e-3  # of a feature within a recording, in standard deviations
LEAST_SCALE = 0.05  # of a summary between recordings, for features that hardly differ
LEAST_WINDOWS = 3  # of a recording whose spread counts
MOST_COMPONENTS = 20
RECORDINGS_PER_COMPONENT = 4
RARE = 0.01  # share of the training's windows that are unusual
LEAST_RECORDINGS = 8  # with fewer, no reference is stated
BLOCK = 4096  # windows in memory at a time
PREFIX = "reference/"  # of the tensors in a bundle

Array = NDArray[np.float64]


class Reference(NamedTuple):
    """Summaries of one modality's recordings in the training.

    Attributes
    ----------
    feature_mean, feature_std : ndarray, shape (F,)
        Of the windows' inputs; a time axis is replaced by mean and standard deviation over time.
    centre, scale : ndarray, shape (2 F,)
        Mean and standard deviation of the recordings' summaries.
    components : ndarray, shape (D, 2 F)
        Orthonormal rows: the directions in which recordings differ most.
    log_residual : ndarray, shape (2,)
        Mean and standard deviation of the logarithm of the residuals of recordings whose people
        had no influence on the other fields.
    largest : ndarray, shape (1,)
        Mean square of the standardised inputs that one window in a hundred exceeds.
    """

    feature_mean: Array
    feature_std: Array
    centre: Array
    scale: Array
    components: Array
    log_residual: Array
    largest: Array


def fit_references(corpus: Corpus) -> dict[str, Reference]:
    """Compute the reference of every modality with enough recordings.

    Parameters
    ----------
    corpus : Corpus
        The windows of all people of the training.
    """
    return {
        name: reference
        for name in corpus.modalities
        if (reference := _fit_reference(_of_subjects(corpus, name))) is not None
    }


def deviations(references: Mapping[str, Reference], corpus: Corpus) -> pl.DataFrame:
    """Compute how much every recording differs from those of the training.

    Parameters
    ----------
    references : mapping of str to Reference
    corpus : Corpus
        Windows of other recordings.

    Returns
    -------
    polars.DataFrame
        Columns ``recording``, ``sensor``, ``windows`` and ``deviation``: the logarithm of the
        residual in standard deviations from its mean in the training. A row per recording and
        modality with a reference.
    """
    rows = [
        (recording, name, len(values), _deviation(reference, values))
        for name, reference in references.items()
        for recording, _, values in _recordings(corpus, name)
    ]
    types = {"recording": pl.String, "sensor": pl.String}
    return pl.DataFrame(rows, {**types, "windows": pl.Int64, "deviation": pl.Float64}, orient="row")


def _deviation(reference: Reference, values: Array) -> float:
    """Return the deviation of one recording's windows (n, F)."""
    summary = _summary(values, reference.feature_mean, reference.feature_std)
    subspace = (reference.centre, reference.scale, reference.components)
    residual = _residuals(summary[None], *subspace)[0]
    mean, std = reference.log_residual
    return float((np.log(residual) - mean) / std)


def cross_fitted_deviations(corpus: Corpus) -> pl.DataFrame:
    """Compute how much every recording differs from those of the other people of a corpus.

    The references of a recording come from three quarters of the people, without its own.

    Parameters
    ----------
    corpus : Corpus

    Returns
    -------
    polars.DataFrame
        Table `Deviations`; the deviation is null where the others have too few recordings.
    """
    rows: list[dict[str, object]] = []
    for name in corpus.modalities:
        recordings = list(_recordings(corpus, name))
        groups = subject_groups(np.array([subject for _, subject, _ in recordings]))
        for group in np.unique(groups):
            others = [
                (subject, values)
                for (_, subject, values), other in zip(recordings, groups, strict=True)
                if other != group
            ]
            reference = _fit_reference(others)
            rows += [
                {"recording": recording, "subject": subject, "sensor": name}
                | {"windows": len(values)}
                | {"deviation": None if reference is None else _deviation(reference, values)}
                for (recording, subject, values), of_group in zip(recordings, groups, strict=True)
                if of_group == group
            ]
    table = frame_of(rows, Deviations)
    return table.sort("recording", maintain_order=True)


def unusual_windows(references: Mapping[str, Reference], corpus: Corpus) -> NDArray[np.bool_]:
    """Return which inputs (N, M) exceed `Reference.largest`: the sensor shows no usual signal."""
    unusual = np.zeros(corpus.available.shape, bool)
    for place, name in enumerate(corpus.modalities):
        if name in references:
            reference, rows = references[name], np.flatnonzero(corpus.available[:, place])
            values = corpus.windows(name)
            for start in range(0, len(rows), BLOCK):
                block = rows[start : start + BLOCK]
                squares = _mean_square(
                    _in_double(values[block]), reference.feature_mean, reference.feature_std
                )
                unusual[block, place] = squares > reference.largest
    return unusual


def as_tensors(references: Mapping[str, Reference]) -> dict[str, Tensor]:
    """Return all fields as named tensors, for a file."""
    return {
        f"{PREFIX}{field}/{name}": torch.from_numpy(values).float()
        for name, reference in references.items()
        for field, values in reference._asdict().items()
    }


def from_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Reference]:
    """Invert `as_tensors`; tensors of other names are ignored."""
    first = f"{PREFIX}{Reference._fields[0]}/"
    names = [name.removeprefix(first) for name in tensors if name.startswith(first)]
    return {
        name: Reference(
            *(tensors[f"{PREFIX}{field}/{name}"].double().numpy() for field in Reference._fields)
        )
        for name in names
    }


def _of_subjects(corpus: Corpus, modality: str) -> list[tuple[str, Array]]:
    return [(subject, values) for _, subject, values in _recordings(corpus, modality)]


def _fit_reference(recordings: list[tuple[str, Array]]) -> Reference | None:
    """Compute the reference from the subjects and inputs of recordings; None from too few."""
    if len(recordings) < LEAST_RECORDINGS:
        return None
    mean, std = _moments([values for _, values in recordings])
    summaries = np.stack([_summary(values, mean, std) for _, values in recordings])
    groups = subject_groups(np.array([subject for subject, _ in recordings]))
    if len(np.unique(groups)) < 2:
        return None
    residuals = np.empty(len(summaries))
    for group in range(GROUPS):
        inside = groups == group
        if inside.any():
            others = _subspace(summaries[~inside])
            residuals[inside] = _residuals(summaries[inside], *others)
    log_residual = np.log(residuals)
    spread = max(log_residual.std(ddof=1), LEAST_SPREAD)
    squares = np.concatenate([_mean_square(values, mean, std) for _, values in recordings])
    return Reference(
        mean,
        std,
        *_subspace(summaries),
        log_residual=np.array([log_residual.mean(), spread]),
        largest=np.quantile(squares, [1 - RARE]),
    )


def _recordings(corpus: Corpus, modality: str) -> Iterator[tuple[str, str, Array]]:
    """Yield name, subject and inputs (n, F) of every recording that has windows of a modality."""
    values = corpus.windows(modality)
    has = corpus.available[:, corpus.modalities.index(modality)]
    names = recording_names(corpus.index)
    subject = corpus.index["subject"].to_numpy()
    order = np.argsort(names, kind="stable")
    order = order[has[order]]
    starts = np.flatnonzero(np.r_[True, names[order][1:] != names[order][:-1]])
    for rows in np.split(order, starts[1:]) if len(order) else []:
        yield str(names[rows[0]]), str(subject[rows[0]]), _in_double(values[rows])


def _in_double(values: NDArray[np.float32]) -> Array:
    return np.asarray(flat_inputs(torch.from_numpy(values).double()))


def _moments(recordings: list[Array]) -> tuple[Array, Array]:
    n = sum(map(len, recordings))
    mean = np.sum([values.sum(0) for values in recordings], 0) / n
    variance = np.sum([((values - mean) ** 2).sum(0) for values in recordings], 0) / n
    std = np.sqrt(variance)
    return mean, np.where(std > 1e-6 * np.abs(mean) + 1e-12, std, np.inf)


def _summary(values: Array, mean: Array, std: Array) -> Array:
    """Return mean and log spread (2 F,) of a recording's standardised windows (n, F).

    The log spread is NaN, which counts as the average, for fewer than `LEAST_WINDOWS` windows.
    """
    z = np.clip((values - mean) / std, -MAX_INPUT, MAX_INPUT)
    spread = np.full(z.shape[1], np.nan)
    if len(z) >= LEAST_WINDOWS:
        spread = np.log(z.std(0) + LEAST_SPREAD)
    return np.concatenate([z.mean(0), spread])


def _mean_square(values: Array, mean: Array, std: Array) -> Array:
    """Return the mean square (n,) of standardised windows (n, F)."""
    z = np.clip((values - mean) / std, -MAX_INPUT, MAX_INPUT)
    square: Array = (z**2).mean(1)
    return square


def _subspace(summaries: Array) -> tuple[Array, Array, Array]:
    """Return centre, scale and components of the summaries (n, 2 F)."""
    has = np.isfinite(summaries)
    n = np.maximum(has.sum(0), 1)
    centre = np.where(has, summaries, 0.0).sum(0) / n
    offset = np.where(has, summaries - centre, 0.0)
    scale = np.sqrt((offset**2).sum(0) / n) + LEAST_SCALE
    n_components = min(len(summaries) // RECORDINGS_PER_COMPONENT, MOST_COMPONENTS)
    _, _, components = np.linalg.svd(offset / scale, full_matrices=False)
    return centre, scale, components[: max(1, n_components)]


def _residuals(summaries: Array, centre: Array, scale: Array, components: Array) -> Array:
    """Return the mean square of summaries (n, 2 F) outside a subspace."""
    offset = np.nan_to_num((summaries - centre) / scale)
    inside = offset @ components.T
    square = (offset**2).sum(1) - (inside**2).sum(1)
    residual: Array = np.maximum(square, 1e-9) / summaries.shape[1]
    return residual
