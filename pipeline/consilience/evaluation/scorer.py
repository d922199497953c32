"""From readings to scores: every condition, fold and seed of a method, pooled over subjects."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import softmax

from consilience.core.errors import ConsilienceError
from consilience.core.files import read_arrays, write_bytes, write_json
from consilience.evaluation.metrics import Array, Sums, auroc, measures, pool, ranking, subject_sums
from consilience.evaluation.predict import Predictions
from consilience.schema.tables import AFFECT, Scores
from consilience.training.augmentation import Run
from consilience.windows.conditions import (
    CONFLICT,
    DESYNC,
    EVERYTHING,
    MISSING,
    SUBSET,
    Condition,
    show,
)
from consilience.windows.store import Corpus

ROUNDING = 1e-5  # of a probability in single precision
FAULT = 5  # severity at which a corrupted sensor counts as faulty
STORED = ("evaluated.json", "sums.npz")


class Reader(Protocol):
    """Gives the runs' readings under a condition: `predict.predict` with all else filled in."""

    def __call__(self, condition: Condition, roles: Sequence[str] = ...) -> Predictions:
        """Read the windows of subjects with these roles."""
        ...


@dataclass(frozen=True)
class Tested:
    """The test windows of one method under one condition.

    Attributes
    ----------
    probability : ndarray, shape (Z, N, K)
        For Z seeds; NaN where the condition does not apply.
    affect_mean, affect_std : ndarray, shape (Z, N, 2)
    vacuity, coherence : ndarray, shape (Z, N)
    reliability : ndarray, shape (Z, N, M)
    """

    probability: Array
    affect_mean: Array
    affect_std: Array
    vacuity: Array
    coherence: Array
    reliability: Array


@dataclass(frozen=True)
class Evaluated:
    """One method under every condition, as sums from which any subjects can be resampled.

    Attributes
    ----------
    conditions : list of Condition
    modalities, subjects : list of str
        Subjects sorted by name.
    seeds : list of int
    sums : dict of str to ndarray, shape (C, Z, S, ...)
        `metrics.subject_sums` of every condition, seed and subject, and `told`, see there.
    contests : dict of str to ndarray, shape (Z, S, G, 2)
        `metrics.ranking` of what a score has to tell apart: see `_contests`.
    kept : dict of Condition to Tested
        Window by window, of the conditions asked for; not stored by `save`.
    """

    conditions: list[Condition]
    modalities: list[str]
    subjects: list[str]
    seeds: list[int]
    sums: Sums
    contests: Sums
    kept: dict[Condition, Tested] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write ``sums.npz`` and ``evaluated.json``, all a later comparison needs."""
        buffer = io.BytesIO()
        named = {f"sums/{name}": values for name, values in self.sums.items()}
        named |= {f"contests/{name}": values for name, values in self.contests.items()}
        np.savez_compressed(buffer, **named)  # type: ignore[arg-type]
        write_bytes(folder / STORED[1], buffer.getvalue())
        write_json(
            folder / STORED[0],
            {
                "conditions": self.conditions,
                "modalities": self.modalities,
                "subjects": self.subjects,
                "seeds": self.seeds,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Evaluated:
        """Read what `save` wrote.

        Raises
        ------
        ConsilienceError
            If a file is missing.
        """
        for name in STORED:
            if not (folder / name).is_file():
                raise ConsilienceError("the evaluation is missing", str(folder / name))
        card = json.loads((folder / STORED[0]).read_text())
        parts: dict[str, Sums] = {"sums": {}, "contests": {}}
        for name, values in read_arrays(folder / STORED[1]).items():
            part, _, key = name.partition("/")
            parts[part][key] = values
        return cls(
            [Condition(kind, tuple(names), s) for kind, names, s in card["conditions"]],
            card["modalities"],
            card["subjects"],
            card["seeds"],
            parts["sums"],
            parts["contests"],
        )


def evaluate(
    read: Reader,
    runs: Sequence[Run],
    corpus: Corpus,
    asked: Sequence[Condition],
    n_bins: int,
    keep: Collection[Condition] = (),
    ensemble: bool = False,
) -> Evaluated:
    """Score the runs of a method on their test windows under every condition.

    Parameters
    ----------
    read : callable
        See `Reader`.
    runs : sequence of Run
    corpus : Corpus
        Labels of its own, whatever the runs were trained on.
    asked : sequence of Condition
        The full subset first; the others are compared with it.
    n_bins : int
        Of calibration.
    keep : collection of Condition
        Those whose readings are kept window by window.
    ensemble : bool
        Whether the runs that test a window are averaged as one model; otherwise seed by seed.
    """
    groups = _groups(runs, ensemble)
    codes, n_subjects = subject_codes(corpus)
    alone = _alone(read, corpus)
    tested: dict[Condition, Tested] = {}
    sums: list[list[Sums]] = []
    for condition in asked:
        readings = read(condition)
        item = _test(readings, groups)
        bolder = _gather(_bolder(condition, readings, alone, runs, corpus), groups)
        sums.append([_sums(item, bolder, z, condition, corpus, n_bins) for z in range(len(groups))])
        if condition in keep or condition == asked[0] or _contested(condition):
            tested[condition] = item
    stacked = {
        name: np.stack([np.stack([of_seed[name] for of_seed in item]) for item in sums])
        for name in sums[0][0]
    }
    contests = {
        name: _ranked(entries, codes, n_subjects)
        for name, entries in _contests(tested, asked[0], corpus).items()
    }
    return Evaluated(
        list(asked),
        list(corpus.modalities),
        sorted(corpus.index["subject"].unique().to_list()),
        [0] if ensemble else sorted({run.seed for run in runs}),
        stacked,
        contests,
        {condition: tested[condition] for condition in keep},
    )


def subject_codes(corpus: Corpus) -> tuple[NDArray[np.int64], int]:
    """Return each window's subject as a number in the order of their sorted names, and how many."""
    names, codes = np.unique(corpus.index["subject"].to_numpy(), return_inverse=True)
    return codes, len(names)


def _groups(runs: Sequence[Run], ensemble: bool) -> list[list[int]]:
    """Return the runs, by number, whose readings of a window are averaged."""
    if ensemble:
        return [list(range(len(runs)))]
    seeds = sorted({run.seed for run in runs})
    return [[number for number, run in enumerate(runs) if run.seed == seed] for seed in seeds]


def _gather(values: NDArray[Any], groups: Sequence[Sequence[int]]) -> Array:
    """Average readings (R, N, ...) over the runs of each group that have them: (Z, N, ...)."""
    result = []
    for group in groups:
        known = np.isfinite(values[group])
        total = np.where(known, values[group], 0.0).sum(0, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            result.append(total / known.sum(0))
    return np.stack(result)


def _test(readings: Predictions, groups: Sequence[Sequence[int]]) -> Tested:
    told = {name: values for name, values in vars(readings).items() if name != "logits"}
    probability = softmax(readings.logits.astype(np.float64), -1)
    return Tested(
        _gather(probability, groups),
        **{name: _gather(values, groups) for name, values in told.items()},
    )


def _alone(read: Reader, corpus: Corpus) -> dict[str, NDArray[Any]]:
    """Return how certain each run is of each window by one modality alone, each (R, N)."""
    return {
        name: softmax(read(Condition(SUBSET, (name,)), ("validation", "test")).logits, -1).max(-1)
        for name in corpus.modalities
    }


def _bolder(
    condition: Condition,
    readings: Predictions,
    alone: Mapping[str, NDArray[Any]],
    runs: Sequence[Run],
    corpus: Corpus,
) -> NDArray[Any]:
    """Return where the fused reading of a conflict is more certain than its most certain sensor.

    Returns
    -------
    ndarray, shape (R, N)
        1 or 0; NaN for all conditions but conflicts.
    """
    fused = softmax(readings.logits, -1).max(-1)
    if condition.kind != CONFLICT:
        return np.full_like(fused, np.nan)
    best = np.full_like(fused, -np.inf)
    for number, run in enumerate(runs):
        shown = show(condition, corpus, run.fold)
        for name, certainty in alone.items():
            rows = shown.rows.get(name, slice(None))
            best[number] = np.fmax(best[number], certainty[number, rows])
    return np.where(np.isfinite(fused), fused > best + ROUNDING, np.nan)


def _sums(
    tested: Tested, bolder: Array, z: int, condition: Condition, corpus: Corpus, n_bins: int
) -> Sums:
    """Return the sums (S, ...) of one seed.

    ``told`` holds pairs of a number of windows and a total over them, along its last axis: of
    vacuity, of coherence, of conflicts in which the guilty modality is the least reliable
    (`_named`), and of those in which the fused reading is the boldest (`_bolder`).
    """
    codes, n_subjects = subject_codes(corpus)
    sums = subject_sums(
        tested.probability[z],
        tested.affect_mean[z],
        corpus.target.astype(np.float64),
        corpus.affect.astype(np.float64),
        codes,
        n_subjects,
        n_bins,
    )
    told = np.zeros((n_subjects, 4, 2))
    named = _named(tested.reliability[z], condition, corpus)
    for place, values in enumerate((tested.vacuity[z], tested.coherence[z], named, bolder[z])):
        known = np.isfinite(values) & np.isfinite(tested.probability[z]).all(1)
        np.add.at(told[:, place, 0], codes[known], 1)
        np.add.at(told[:, place, 1], codes[known], values[known])
    return {**sums, "told": told}


def _named(reliability: Array, condition: Condition, corpus: Corpus) -> Array:
    """Return 1 where the guilty modality has the least reliability of those available, else 0.

    A tie counts in parts. NaN for all conditions but conflicts, and where no reliability is told.
    """
    if condition.kind != CONFLICT:
        return np.full(len(reliability), np.nan)
    guilty = corpus.modalities.index(condition.modalities[0])
    shown = np.where(corpus.available, reliability, np.inf)
    least = shown == shown.min(1, keepdims=True)
    named = least[:, guilty] / np.maximum(least.sum(1), 1)
    return np.where(np.isfinite(reliability[:, guilty]), named, np.nan)


def _contested(condition: Condition) -> bool:
    faulty = condition.severity == FAULT and condition.kind not in (DESYNC, MISSING)
    return faulty or condition.kind in (CONFLICT, EVERYTHING)


Entry = tuple[Array, bool, NDArray[np.int64]]


def _contests(
    tested: Mapping[Condition, Tested], full: Condition, corpus: Corpus
) -> dict[str, list[Entry]]:
    """Return what scores have to tell apart: lists of (scores (Z, n), positive, rows (n,)).

    ``guilty`` and ``guilty_<m>``: ``1 - reliability`` of the modality that shows somebody else,
    against that of the other available modalities of the same windows and of all available
    modalities of the same windows without a conflict. ``faulty`` and ``faulty_<m>``: the same for
    the modality that is corrupted at the highest severity. ``incoherence``: ``1 - coherence`` of
    windows with a conflict against the same windows without. ``out_of_distribution``: vacuity of
    windows with all modalities corrupted against the same windows clean.
    """
    clean = tested[full]
    found: dict[str, list[Entry]] = {}
    for condition, item in tested.items():
        rows = np.flatnonzero(np.isfinite(item.probability).all((0, 2)))
        if condition.kind == EVERYTHING:
            found.setdefault("out_of_distribution", []).extend(
                [(item.vacuity[:, rows], True, rows), (clean.vacuity[:, rows], False, rows)]
            )
        elif _contested(condition):
            (name,) = condition.modalities
            kind = "guilty" if condition.kind == CONFLICT else "faulty"
            entries = _accused(item, clean, name, rows, corpus)
            found.setdefault(kind, []).extend(entries)
            found.setdefault(f"{kind}_{name}", []).extend(entries)
        if condition.kind == CONFLICT:
            found.setdefault("incoherence", []).extend(
                [
                    (1 - item.coherence[:, rows], True, rows),
                    (1 - clean.coherence[:, rows], False, rows),
                ]
            )
    return found


def _accused(
    item: Tested, clean: Tested, guilty: str, rows: NDArray[np.int64], corpus: Corpus
) -> list[Entry]:
    column = corpus.modalities.index(guilty)
    rows = rows[corpus.available[rows, column] & (corpus.available[rows].sum(1) > 1)]
    entries: list[Entry] = []
    for m in range(len(corpus.modalities)):
        there = rows[corpus.available[rows, m]]
        entries.append((1 - item.reliability[:, there, m], m == column, there))
        entries.append((1 - clean.reliability[:, there, m], False, there))
    return entries


def _ranked(entries: Sequence[Entry], codes: NDArray[np.int64], n_subjects: int) -> Array:
    """Return the `ranking` (Z, S, G, 2) of a contest's scores; windows without one are left out."""
    scores = np.concatenate([score for score, _, _ in entries], axis=1)
    positive = np.concatenate([np.full(len(rows), flag) for _, flag, rows in entries])
    owner = codes[np.concatenate([rows for _, _, rows in entries])]
    known = np.isfinite(scores)
    return np.stack(
        [
            ranking(of_seed[k], positive[k], owner[k], n_subjects)
            for of_seed, k in zip(scores, known, strict=True)
        ]
    )


def score_table(method: str, evaluated: Evaluated, corpus: Corpus) -> pl.DataFrame:
    """Return the `Scores` of a method: every metric of every test subject."""
    tests = corpus.splits.filter(pl.col("role") == "test")
    fold = dict(tests.select("subject", "fold").iter_rows())
    seeds, subjects = evaluated.seeds, evaluated.subjects
    each = pl.DataFrame(
        {
            "seed": np.repeat(seeds, len(subjects)),
            "fold": [fold[subject] for subject in subjects] * len(seeds),
            "subject": subjects * len(seeds),
        }
    )
    parts = []
    for c, condition in enumerate(evaluated.conditions):
        where = {
            "method": method,
            "condition": condition.kind,
            "modalities": "+".join(condition.modalities),
            "severity": condition.severity,
        }
        found = _measures({name: values[c] for name, values in evaluated.sums.items()})
        parts += [
            each.with_columns(
                metric=pl.lit(metric),
                value=pl.Series(values.ravel()).fill_nan(None),
                **{name: pl.lit(value) for name, value in where.items()},
            )
            for metric, values in found.items()
        ]
    types = {name: column.dtype.type for name, column in Scores.to_schema().columns.items()}
    return pl.concat(parts).select(*types).cast(types)


def _measures(sums: Sums) -> dict[str, Array]:
    told = np.moveaxis(sums["told"], -2, 0)
    with np.errstate(invalid="ignore"):
        means = dict(
            zip(
                ("vacuity", "coherence", "named", "bolder"),
                told[..., 1] / told[..., 0],
                strict=True,
            )
        )
    return {**measures(sums), **means}


@dataclass(frozen=True)
class Resampled:
    """Every metric under every condition, of windows pooled over weighted subjects.

    Attributes
    ----------
    conditions : list of Condition
    modalities : list of str
    scores : dict of str to ndarray, shape (W, C)
        Mean over seeds, for W weights.
    contests : dict of str to ndarray, shape (W,)
        Area under the ROC curve of each of `_contests`.
    """

    conditions: list[Condition]
    modalities: list[str]
    scores: dict[str, Array]
    contests: dict[str, Array]


def resampled(evaluated: Evaluated, weights: Array) -> Resampled:
    """Pool a method's windows over weighted subjects.

    Parameters
    ----------
    weights : ndarray, shape (W, S)
        `statistics.subject_weights`; the unit matrix gives each subject alone.
    """
    columns = []
    for c in range(len(evaluated.conditions)):  # one at a time, to bound memory
        pooled = pool({n: values[c] for n, values in evaluated.sums.items()}, weights, axis=1)
        columns.append({name: values.mean(-1) for name, values in _measures(pooled).items()})
    scores = {name: np.stack([column[name] for column in columns], 1) for name in columns[0]}
    contests = {
        name: auroc(np.tensordot(weights, counts, (1, 1))).mean(-1)
        for name, counts in evaluated.contests.items()
    }
    return Resampled(evaluated.conditions, evaluated.modalities, scores, contests)


def window_table(tested: Tested, corpus: Corpus) -> pl.DataFrame:
    """Return what a model says of every test window, complete and clean, mean over seeds."""
    probability = tested.probability.mean(0)
    scored = np.isfinite(probability).all(1)
    classes = np.array(corpus.classes)
    fold = corpus.splits.filter(pl.col("role") == "test").select("subject", "fold")
    known = np.all(np.isfinite(corpus.target), axis=1)
    leading = classes[np.where(known, np.nan_to_num(corpus.target).argmax(1), 0)]
    columns: dict[str, Any] = {
        "actual": [str(name) if k else None for name, k in zip(leading, known, strict=True)],
        "predicted": [str(name) for name in classes[np.nan_to_num(probability).argmax(1)]],
        "confidence": probability.max(1),
        **{f"p_{name}": probability[:, k] for k, name in enumerate(corpus.classes)},
        "vacuity": tested.vacuity.mean(0),
        "coherence": tested.coherence.mean(0),
        "verdict": _verdicts(tested, corpus),
        **{
            f"reliability_{name}": np.where(
                corpus.available[:, m], tested.reliability.mean(0)[:, m], np.nan
            )
            for m, name in enumerate(corpus.modalities)
        },
    }
    for number, name in enumerate(AFFECT):
        if np.isfinite(corpus.affect[:, number]).any():
            columns[f"predicted_{name}"] = tested.affect_mean.mean(0)[:, number]
            columns[f"predicted_{name}_std"] = tested.affect_std.mean(0)[:, number]
    table = pl.concat(
        [
            corpus.index.select("window", "session", "subject", "trial", "start_s", "end_s"),
            pl.DataFrame(columns),
            corpus.index.select(*AFFECT, "agreement"),
        ],
        how="horizontal",
    ).with_columns(pl.col(pl.Float64).fill_nan(None))
    return table.filter(scored).join(fold, on="subject", how="left", maintain_order="left")


def _verdicts(tested: Tested, corpus: Corpus) -> list[str | None]:
    """Say of every window which sensor is bad, or that the state is ambiguous, or neither.

    Bad is the least reliable sensor if it is likelier at fault than not; ambiguous is a state
    that coherent sensors together give no class even odds.
    """
    reliability = np.where(corpus.available, tested.reliability.mean(0), np.inf)
    confidence = tested.probability.mean(0).max(1)
    said: list[str | None] = []
    for own, sure in zip(reliability, confidence, strict=True):
        if np.isnan(own).any():
            said.append(None)
        elif own.min() < 0.5:
            said.append(f"bad sensor: {corpus.modalities[int(own.argmin())]}")
        else:
            said.append("ambiguous state" if sure < 0.5 else "clear")
    return said


def reliability_table(evaluated: Evaluated) -> pl.DataFrame:
    """Return confidence and accuracy per bin with all modalities, pooled over seeds."""
    bins = evaluated.sums["bins"][0].sum((0, 1))
    edges = np.linspace(0, 1, len(bins) + 1)
    filled = bins[:, 0] > 0
    count = np.maximum(bins[:, 0], 1)
    return pl.DataFrame(
        {
            "from": edges[:-1],
            "to": edges[1:],
            "confidence": bins[:, 1] / count,
            "accuracy": bins[:, 2] / count,
            "predictions": bins[:, 0].astype(int),
        }
    ).filter(filled)
