"""Tables of the report: each function selects and formats the cells of one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from consilience.reporting.results import Results
from consilience.reporting.words import ABSENT, brief, decimal, readable
from consilience.schema.constants import AFFECT, ALIGNMENT_STATUSES

Metrics = Mapping[str, float]

# The terms of docs/glossary.md, as in all tables of this module.
DIAGNOSES = {
    "mismatched_sensor_auroc": "mismatched-sensor AUROC",
    "corrupted_sensor_auroc": "corrupted-sensor AUROC",
    "mismatch_auroc": "mismatch AUROC",
    "out_of_distribution_auroc": "out-of-distribution AUROC",
    "vacuity_spearman": "vacuity by severity, Spearman correlation",
    "overconfidence_under_mismatch": "overconfidence under mismatch",
}
AGREEMENT = {
    "krippendorff_alpha": "Krippendorff's alpha",
    "icc_single": "ICC of one annotator",
    "icc_mean": "ICC of their mean",
}
ERRORS = {"median": "median", "p95": "95th percentile", "max": "largest"}


@dataclass(frozen=True)
class Cell:
    """Text of one cell, the interval below it, and whether it is the best of its column."""

    text: str
    interval: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class Row:
    """Title and cells of one row, and whether it is the default method's."""

    title: str
    cells: list[Cell]
    is_default: bool = False


@dataclass(frozen=True)
class Table:
    """Column titles, the first of them for the row titles, and rows.

    Cells stand at the right, as numbers do, or at the left if they hold words.
    """

    columns: list[str]
    rows: list[Row]
    has_words: bool = False


def methods(results: Results) -> Table:
    """Return balanced accuracy (per cent) and calibration error of every method by condition.

    The best value of each column is marked.
    """
    titles = {"all": "all sensors"}
    titles |= {
        f"without_{name}": f"without {readable(name)}" for name in results.meta["modalities"]
    }
    titles |= {"noise": "noise", "ece": "calibration error"}
    evaluated = results.metrics[results.default_method]
    titles = {name: title for name, title in titles.items() if name in evaluated}
    best = {
        name: (min if name == "ece" else max)(values[name] for values in results.metrics.values())
        for name in titles
    }
    rows = [
        Row(
            readable(method),
            [_per_cent(results.metrics[method], name, best[name]) for name in titles],
            is_default=method == results.default_method,
        )
        for method in results.metrics
    ]
    return Table(["method", *titles.values()], rows)


def _per_cent(values: Metrics, name: str, best: float) -> Cell:
    interval = ""
    if f"{name}_low" in values:
        low, high = (100 * limited(values[f"{name}_{end}"]) for end in ("low", "high"))
        interval = f"{low:.0f} to {high:.0f}"
    return Cell(f"{100 * values[name]:.1f}", interval, is_best=values[name] == best)


def limited(share: float) -> float:
    """Limit a share, or an end of its interval, which is wide with few people, to 0 and 1."""
    return float(np.clip(share, 0, 1))


def counts(results: Results) -> dict[str, str]:
    """Return the size of the run: subjects, sessions, recordings, hours and windows."""
    usable = results.recordings.filter(pl.col("status") == "usable")
    return {
        "subjects": f"{usable['subject'].n_unique()}",
        "sessions": f"{usable['session'].n_unique()}",
        "usable recordings": f"{usable.height} of {results.recordings.height}",
        "hours": f"{float(usable['duration_s'].sum()) / 3600:.2f}",
        "test windows": f"{results.predictions.height}",
    }


def affect(metrics: Mapping[str, Metrics], default: str | None = None) -> Table | None:
    """Return CCC and RMSE of valence and arousal by method; None without these targets."""
    columns = {
        f"{target}_{kind}": f"{target}, {kind.upper()}"
        for target in AFFECT
        if _any_has(metrics, f"{target}_ccc")
        for kind in ("ccc", "rmse")
    }
    return _decimals("method", columns, metrics, readable, default) if columns else None


def coverage(metrics: Mapping[str, Metrics], default: str | None = None) -> Table | None:
    """Return the coverage of prediction sets and intervals by method; None without any.

    Clean with all sensors, one sensor corrupted at severity 5, and one mismatched; below each share
    (per cent), the mean number of classes or the mean width.
    """
    conditions = {"": "clean", "severe_": "severity 5", "mismatch_": "mismatched"}
    columns = {
        (f"{prefix}{target}_coverage", f"{prefix}{target}_{size}"): f"{title}, {condition}"
        for target, size, title in [
            ("set", "size", "sets"),
            *((target, "width", target) for target in AFFECT),
        ]
        for prefix, condition in conditions.items()
        if _any_has(metrics, f"{prefix}{target}_coverage")
    }
    rows = [
        Row(
            readable(method),
            [_share_and_size(values, *names) for names in columns],
            is_default=method == default,
        )
        for method, values in metrics.items()
    ]
    return Table(["method", *columns.values()], rows) if columns else None


def _share_and_size(values: Metrics, share: str, size: str) -> Cell:
    if values.get(share) is None:
        return Cell(ABSENT)
    return Cell(f"{100 * values[share]:.1f}", f"{values[size]:.2f}")


def diagnoses(metrics: Mapping[str, Metrics], default: str | None = None) -> Table | None:
    """Return how well each method detects mismatched and corrupted sensors; None if unknown."""
    columns = {name: title for name, title in DIAGNOSES.items() if _any_has(metrics, name)}
    return _decimals("method", columns, metrics, readable, default) if columns else None


def agreement(summary: Mapping[str, Any]) -> Table | None:
    """Return the agreement of the annotators by target; None if no measure is known."""
    by_target: Mapping[str, Metrics] = summary["agreement"]
    columns = {name: title for name, title in AGREEMENT.items() if _any_has(by_target, name)}
    return _decimals("target", columns, by_target, str) if columns else None


def _any_has(metrics: Mapping[str, Metrics], name: str) -> bool:
    return any(values.get(name) is not None for values in metrics.values())


def _decimals(
    corner: str,
    columns: Mapping[str, str],
    metrics: Mapping[str, Metrics],
    title: Callable[[str], str],
    default: str | None = None,
) -> Table:
    """Lay out the metrics named by the keys of `columns`, a row per key of `metrics`."""
    rows = [
        Row(
            title(key),
            [Cell(decimal(values.get(name))) for name in columns],
            is_default=key == default,
        )
        for key, values in metrics.items()
    ]
    return Table([corner, *columns.values()], rows)


def clocks(alignment: pl.DataFrame) -> Table:
    """Return number, precision and confidence of the clock estimates by modality and method."""
    columns = [
        "clock estimated by",
        *ALIGNMENT_STATUSES,
        "with resets",
        "largest drift, ppm",
        "median residual, ms",
        "largest standard error, ms",
        "least confidence",
    ]
    rows = []
    for (modality, method), group in alignment.group_by("modality", "method", maintain_order=True):
        values = [int((group["status"] == status).sum()) for status in ALIGNMENT_STATUSES]
        values.append(group.filter(pl.col("n_pieces") > 1).height)
        estimates = [group["drift_ppm"].abs().max(), group["residual_ms"].median()]
        estimates += [group["error_ms"].max(), group["confidence"].min()]
        cells = [Cell(brief(value)) for value in [*values, *estimates]]
        rows.append(Row(f"{readable(str(modality))}: {method}", cells))
    return Table(columns, rows)


def clock_errors(score: Mapping[str, Any]) -> Table:
    """Return clock errors of a synthetic corpus against the ground truth, in ms.

    Parameters
    ----------
    score : mapping
        ``error_ms`` by modality and ``between_ms`` by pair of modalities (``"eeg-audio"``),
        each with the keys of `ERRORS`.
    """
    titles = {"error_ms": "clock of", "between_ms": "difference between"}
    rows = [
        Row(
            f"{title} {' and '.join(map(readable, name.split('-')))}",
            [Cell(decimal(error[kind])) for kind in ERRORS],
        )
        for key, title in titles.items()
        for name, error in score[key].items()
    ]
    return Table(["error, ms", *ERRORS.values()], rows)
