"""Test every method under every condition: ``python -m consilience.stages.evaluate``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console

from consilience.core.files import atomic_folder, atomic_path, write_json
from consilience.evaluation.summary import short_table
from consilience.params import Params, load
from consilience.project import Project
from consilience.schema.tables import Scores, write_table
from consilience.stages import run
from consilience.training import conditioned
from consilience.windows import conditions

if TYPE_CHECKING:
    from torch import Tensor

    from consilience.evaluation.scorer import Evaluated, Resampled
    from consilience.windows.conditions import Condition
    from consilience.windows.store import Corpus, load_corpus

OURS = "coherence_transfer"
REFERENCE = "concat"  # of corruption errors
LEADS = ("all", "grid", "grid_nll", "grid_ece", "grid_aurc")  # told over every other method


def main(project: Project) -> None:
    """Evaluate and write ``data/evaluation``; end with a short table."""
    evaluate(project, load(project.params_file))


def evaluate(project: Project, params: Params) -> None:
    """Evaluate every method of the parameters on ``data/windows``."""
    from consilience.evaluation import (
        aggregate as figures,
    )
    from consilience.evaluation import (
        resampling as statistics,
    )
    from consilience.evaluation import (
        scorer,
    )
    from consilience.training import loop

    corpus = load_corpus(project.windows)
    asked = conditions.conditions(corpus)
    encoders = loop.encoders_for(corpus.features, corpus.encodings, 1, 0.0)
    prepared = conditioned.prepare_windows(corpus, encoders, asked)
    weights = statistics.subject_weights(
        scorer.subject_codes(corpus)[1], params.robustness.bootstrap
    )
    done: dict[str, Evaluated] = {}
    scores: list[pl.DataFrame] = []
    found: dict[str, Resampled] = {}
    for method in params.methods:
        done[method] = _one(project, method, corpus, prepared, asked, params)
        scores.append(scorer.score_table(method, done[method], corpus))
        found[method] = scorer.resampled(done[method], weights)

    default = OURS if OURS in done else next(iter(done))
    own = {method: figures.summary(resampled) for method, resampled in found.items()}
    if REFERENCE in found and "noise" in own[REFERENCE]:
        for method, resampled in found.items():
            own[method]["corruption_error"] = figures.corruption_error(resampled, found[REFERENCE])
    metrics = _metrics(own, default)
    with atomic_folder(project.evaluation) as folder:
        write_json(folder / "metrics.json", metrics)
        write_table(folder / "scores.parquet", pl.concat(scores), Scores)
        reading = scorer.window_table(done[default].kept[asked[0]], corpus)
        with atomic_path(folder / "windows.parquet") as path:
            reading.write_parquet(path)
        _write_plots(folder / "plots", found, done, reading)
    Console().print(short_table(metrics, len(corpus.classes), default))


def _one(
    project: Project,
    method: str,
    corpus: Corpus,
    prepared: dict[str, dict[str, Tensor]],
    asked: list[Condition],
    params: Params,
) -> Evaluated:
    import torch

    from consilience.evaluation import predict, scorer
    from consilience.training import loop

    example = {name: variants["clean"][:1] for name, variants in prepared.items()}
    stack, scaler, runs, card = loop.load_model(project.model(method), example)
    torch.set_num_threads(card["training"]["cpu_threads"])
    read = partial(predict.predict, stack, scaler, runs, corpus, prepared)
    bins = params.robustness.calibration_bins
    return scorer.evaluate(read, runs, corpus, asked, bins, keep=asked[:1])


def _metrics(figures: dict[str, dict[str, Any]], default: str) -> dict[str, dict[str, float]]:
    from consilience.evaluation.aggregate import with_intervals

    result = {method: with_intervals(own, list(own)) for method, own in figures.items()}
    for method, own in figures.items():
        if method != default:
            lead = {
                f"{name}_over_{method}": figures[default][name] - own[name]
                for name in LEADS
                if name in own
            }
            result[default] |= with_intervals(lead, list(lead))
    return result


def _curves(found: dict[str, Resampled]) -> pl.DataFrame:
    """Return balanced accuracy with its interval by method and condition."""
    from consilience.evaluation.resampling import interval

    rows = []
    for method, resampled in found.items():
        for number, condition in enumerate(resampled.conditions):
            estimate, low, high = interval(resampled.scores["balanced_accuracy"][:, number])
            rows.append(
                {
                    "method": method,
                    "condition": condition.kind,
                    "modalities": "+".join(condition.modalities),
                    "n_modalities": len(condition.modalities),
                    "severity": condition.severity,
                    "balanced_accuracy": estimate,
                    "low": low,
                    "high": high,
                }
            )
    return pl.DataFrame(rows)


def _noise_curves(curves: pl.DataFrame) -> pl.DataFrame:
    """Return the curves over the severities of every modality and kind, from severity 0."""
    full = pl.col("n_modalities") == pl.col("n_modalities").max()
    clean = curves.filter(pl.col("condition") == "subset").filter(full)
    whole = ["subset", "conflict", "missing", "everything"]
    noise = curves.filter(~pl.col("condition").is_in(whole))
    kinds = noise.select("modalities", "condition").unique(maintain_order=True)
    clean = clean.drop("modalities", "condition").join(kinds, how="cross").select(noise.columns)
    return (
        pl.concat([clean, noise])
        .drop("n_modalities")
        .rename({"modalities": "modality", "condition": "kind"})
        .sort("method", "modality", "kind", "severity", maintain_order=True)
    )


def _kind_table(found: dict[str, Resampled]) -> pl.DataFrame:
    """Return what `figures.by_kind` says of every method, modality and kind of corruption."""
    from consilience.evaluation.aggregate import by_kind

    return pl.DataFrame(
        [
            {"method": method, "modality": modality, "kind": kind}
            | {name: float(values[0]) for name, values in own.items()}
            for method, resampled in found.items()
            for (modality, kind), own in by_kind(resampled).items()
        ]
    )


def _write_plots(
    folder: Path, found: dict[str, Resampled], done: dict[str, Evaluated], reading: pl.DataFrame
) -> None:
    from consilience.evaluation.scorer import reliability_table

    curves = _curves(found)
    of_kind = {
        kind: curves.filter(pl.col("condition") == kind).drop("condition")
        for kind in ("subset", "conflict", "missing")
    }
    tables = {
        "subsets": of_kind["subset"].drop("severity").rename({"modalities": "subset"}),
        "noise": _noise_curves(curves),
        "kinds": _kind_table(found),
        "conflicts": of_kind["conflict"]
        .drop("severity", "n_modalities")
        .rename({"modalities": "modality"}),
        "missing": of_kind["missing"].drop("modalities", "n_modalities"),
        "reliability": pl.concat(
            [
                reliability_table(item).insert_column(0, pl.lit(name).alias("method"))
                for name, item in done.items()
            ]
        ),
        "confusion": reading.select("actual", "predicted").drop_nulls(),
    }
    for name, table in tables.items():
        with atomic_path(folder / f"{name}.csv") as path:
            table.write_csv(path, float_precision=6)


if __name__ == "__main__":
    run(main)
