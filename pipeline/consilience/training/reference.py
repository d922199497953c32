"""Summaries of a training's recordings, with which others that differ are detected.

A recording is summarised by mean and spread of its windows' inputs, before any baseline. Recordings
of the training lie near a subspace, spanned by the ways in which people differ. What a summary has
outside of it, its residual, is small for the recordings of a new person and large for those of
another device or another setting (Jackson and Mudholkar 1979, "Control procedures for residuals
associated with principal component analysis"). Single windows lie near a subspace likewise: noise
leaves it in every window, where the mean over a recording hides it.

Features of a sound may ignore its level. Where the level was measured, it is compared with the
levels of the training's recordings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilience.schema.tables import Deviations, frame_of
from consilience.signals.robust import MAD_TO_SD
from consilience.training.probes import flat_inputs, subject_groups
from consilience.windows.layout import recording_names
from consilience.windows.store import Corpus

MAX_INPUT = 10.0  # standard deviations
LEAST_SPREAD = 1e-3  # of a feature within a recording, in standard deviations
LEAST_SCALE = 0.05  # of a summary between recordings, for features that hardly differ
LEAST_WINDOWS = 3  # of a recording whose spread counts
MOST_COMPONENTS = 20
RECORDINGS_PER_COMPONENT = 4
WINDOW_SHARE = 0.95  # of the windows' variance lies in their subspace,
MOST_WINDOW_COMPONENTS = 32  # unless it had more dimensions
LEAST_LOG_SPREAD = 0.1  # of residuals: that of few people may be small by chance
LEAST_LEVEL_SPREAD_DB = 1.0
FAULTY_LEVEL = 4.0  # robust standard deviations from the median
RARE = 0.01  # share of the training's windows that are unusual
LEAST_VARIANCE = 1e-9  # so that its logarithm is finite
LEAST_RECORDINGS = 8  # with fewer, no reference is stated
BLOCK = 4096  # windows in memory at a time
PREFIX = "reference/"  # of the tensors in a bundle

Array = NDArray[np.float64]
Item = TypeVar("Item")


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
    window_components : ndarray, shape (E, F)
        Orthonormal rows: the directions in which standardised windows differ most.
    window_log_residual : ndarray, shape (2,)
        As `log_residual`, of the mean residual of a recording's windows.
    level_db : ndarray, shape (2,)
        Mean and standard deviation of the recordings' levels but faulty ones; NaN without any.
    largest : ndarray, shape (1,)
        Mean square of the standardised inputs that one window in a hundred exceeds.
    """

    feature_mean: Array
    feature_std: Array
    centre: Array
    scale: Array
    components: Array
    log_residual: Array
    window_components: Array
    window_log_residual: Array
    level_db: Array
    largest: Array


class Recording(NamedTuple):
    """Windows of one modality of a recording.

    Attributes
    ----------
    name, subject : str
    values : ndarray, shape (n, F)
        Inputs.
    level_db : float
        NaN where it was not measured.
    """

    name: str
    subject: str
    values: Array
    level_db: float


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
        if (reference := _fit_reference(list(_recordings(corpus, name)))) is not None
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
        Columns ``recording``, ``sensor``, ``windows`` and ``deviation``, see `_deviation`. A row
        per recording and modality with a reference.
    """
    rows = [
        (recording.name, name, len(recording.values), _deviation(reference, recording))
        for name, reference in references.items()
        for recording in _recordings(corpus, name)
    ]
    types = {"recording": pl.String, "sensor": pl.String}
    return pl.DataFrame(rows, {**types, "windows": pl.Int64, "deviation": pl.Float64}, orient="row")


def _deviation(reference: Reference, recording: Recording) -> float:
    """Return the largest of a recording's deviations, in standard deviations of the training.

    They are those of the logarithm of its summary's residual, of the logarithm of its windows' mean
    residual, and of its level, in either direction.
    """
    z = _standardised(recording.values, reference.feature_mean, reference.feature_std)
    subspace = (reference.centre, reference.scale, reference.components)
    residual = _residuals(_summary(z)[None], *subspace)[0]
    of_windows = _window_residual(z, reference.window_components)
    compared = (
        (np.log(residual), reference.log_residual),
        (np.log(of_windows), reference.window_log_residual),
        (recording.level_db, reference.level_db),
    )
    summary, windows, level = ((value - mean) / spread for value, (mean, spread) in compared)
    return float(np.nanmax([summary, windows, np.abs(level)]))


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
        groups = _groups(recordings)
        for group in np.unique(groups):
            reference = _fit_reference(_chosen(recordings, groups != group))
            rows += [
                {"recording": recording.name, "subject": recording.subject, "sensor": name}
                | {"windows": len(recording.values)}
                | {"deviation": None if reference is None else _deviation(reference, recording)}
                for recording in _chosen(recordings, groups == group)
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
                z = _standardised(
                    _in_double(values[block]), reference.feature_mean, reference.feature_std
                )
                unusual[block, place] = (z**2).mean(1) > reference.largest
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


def _fit_reference(recordings: list[Recording]) -> Reference | None:
    """Compute the reference from recordings of a modality; None from too few."""
    if len(recordings) < LEAST_RECORDINGS:
        return None
    mean, std = _moments([recording.values for recording in recordings])
    z = [_standardised(recording.values, mean, std) for recording in recordings]
    summaries = np.stack([_summary(of) for of in z])
    groups = _groups(recordings)
    if len(np.unique(groups)) < 2:
        return None
    residuals, of_windows = np.empty((2, len(recordings)))
    for group in np.unique(groups):
        inside = groups == group
        others = _subspace(summaries[~inside])
        residuals[inside] = _residuals(summaries[inside], *others)
        components = _window_components(_chosen(z, ~inside))
        of_windows[inside] = [_window_residual(of, components) for of in _chosen(z, inside)]
    return Reference(
        mean,
        std,
        *_subspace(summaries),
        log_residual=_mean_and_spread(np.log(residuals)),
        window_components=_window_components(z),
        window_log_residual=_mean_and_spread(np.log(of_windows)),
        level_db=_usual_level(np.array([recording.level_db for recording in recordings])),
        largest=np.quantile(np.concatenate([(of**2).mean(1) for of in z]), [1 - RARE]),
    )


def _groups(recordings: Sequence[Recording]) -> NDArray[np.int64]:
    """Return the group of each recording's subject."""
    return subject_groups(np.array([recording.subject for recording in recordings]))


def _chosen(items: Sequence[Item], chosen: NDArray[np.bool_]) -> list[Item]:
    return [item for item, is_chosen in zip(items, chosen, strict=True) if is_chosen]


def _mean_and_spread(values: Array) -> Array:
    return np.array([values.mean(), max(values.std(ddof=1), LEAST_LOG_SPREAD)])


def _usual_level(level_db: Array) -> Array:
    """Return mean and standard deviation (2,) of the levels, without those of faulty recordings."""
    measured = level_db[np.isfinite(level_db)]
    if not len(measured):
        return np.full(2, np.nan)
    distance = np.abs(measured - np.median(measured))
    usual_spread = max(MAD_TO_SD * np.median(distance), LEAST_LEVEL_SPREAD_DB)
    usual = measured[distance <= FAULTY_LEVEL * usual_spread]
    spread = usual.std(ddof=1) if len(usual) > 1 else 0.0
    return np.array([usual.mean(), max(spread, LEAST_LEVEL_SPREAD_DB)])


def _recordings(corpus: Corpus, modality: str) -> Iterator[Recording]:
    """Yield every recording that has windows of a modality."""
    values = corpus.windows(modality)
    has = corpus.available[:, corpus.modalities.index(modality)]
    names = recording_names(corpus.index)
    subject = corpus.index["subject"].to_numpy()
    measured = corpus.levels.filter(modality=modality).select("session", "level_db")
    levels = corpus.index.select("session").join(
        measured, on="session", how="left", maintain_order="left"
    )
    level_db = levels["level_db"].fill_null(np.nan).to_numpy()
    order = np.argsort(names, kind="stable")
    order = order[has[order]]
    starts = np.flatnonzero(np.r_[True, names[order][1:] != names[order][:-1]])
    for rows in np.split(order, starts[1:]) if len(order) else []:
        name, of = str(names[rows[0]]), str(subject[rows[0]])
        yield Recording(name, of, _in_double(values[rows]), float(level_db[rows].mean()))


def _in_double(values: NDArray[np.float32]) -> Array:
    return np.asarray(flat_inputs(torch.from_numpy(values).double()))


def _moments(recordings: list[Array]) -> tuple[Array, Array]:
    n = sum(map(len, recordings))
    mean = np.sum([values.sum(0) for values in recordings], 0) / n
    variance = np.sum([((values - mean) ** 2).sum(0) for values in recordings], 0) / n
    std = np.sqrt(variance)
    return mean, np.where(std > 1e-6 * np.abs(mean) + 1e-12, std, np.inf)


def _standardised(values: Array, mean: Array, std: Array) -> Array:
    """Return the standardised windows (n, F), without extreme values."""
    z: Array = np.clip((values - mean) / std, -MAX_INPUT, MAX_INPUT)
    return z


def _summary(z: Array) -> Array:
    """Return mean and log spread (2 F,) of a recording's standardised windows (n, F).

    The log spread is NaN, which counts as the average, for fewer than `LEAST_WINDOWS` windows.
    """
    spread = np.full(z.shape[1], np.nan)
    if len(z) >= LEAST_WINDOWS:
        spread = np.log(z.std(0) + LEAST_SPREAD)
    return np.concatenate([z.mean(0), spread])


def _window_components(z: Sequence[Array]) -> Array:
    """Return the directions (E, F) in which standardised windows (n, F) of recordings differ most.

    Recordings count equally, whatever their number of windows.
    """
    product = np.sum([of.T @ of / len(of) for of in z], 0)
    variance, directions = np.linalg.eigh(product)
    share = np.cumsum(variance[::-1]) / max(variance.sum(), LEAST_VARIANCE)
    n_components = min(int(np.searchsorted(share, WINDOW_SHARE)) + 1, MOST_WINDOW_COMPONENTS)
    return np.ascontiguousarray(directions[:, ::-1][:, :n_components].T)


def _window_residual(z: Array, components: Array) -> float:
    """Return the mean square of standardised windows (n, F) outside a subspace."""
    square = (z**2).sum(1) - ((z @ components.T) ** 2).sum(1)
    return float(np.maximum(square, LEAST_VARIANCE).mean() / z.shape[1])


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
    residual: Array = np.maximum(square, LEAST_VARIANCE) / summaries.shape[1]
    return residual
