"""Test every method under every condition: ``python -m pipeline.stages.evaluate``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console

from pipeline.contracts import Scores, write_table
from pipeline.files import atomic_folder, atomic_path, write_json
from pipeline.params import Params, load
from pipeline.robustness.summary import short_table
from pipeline.stages import run

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.robustness.evaluation import Evaluated
    from pipeline.robustness.protocol import Condition
    from pipeline.training.data import Corpus

WINDOWS = Path("data/windows")
MODELS = Path("data/models")
EVALUATION = Path("data/evaluation")
OURS = "coherence_transfer"


def main() -> None:
    """Evaluate and write ``data/evaluation``; end with a short table."""
    evaluate(load())


def evaluate(params: Params) -> None:
    """Evaluate every method of the parameters on ``data/windows``."""
    from pipeline.robustness import evaluation, protocol, statistics
    from pipeline.training import data

    corpus = data.load(WINDOWS)
    asked = protocol.conditions(corpus.modalities)
    weights = statistics.subject_weights(
        evaluation.subject_codes(corpus)[1], params.robustness.bootstrap
    )
    prepared = _prepared(corpus, asked)
    done: dict[str, Evaluated] = {}
    scores, figures, curves = [], {}, []
    for method in params.methods:
        done[method], table = _one(method, corpus, prepared, asked, params)
        scores.append(table)
        found = evaluation.resampled(done[method], weights)
        figures[method] = evaluation.summary(found, asked, corpus.modalities)
        curves.append(_curve(method, found["balanced_accuracy"], asked))

    default = OURS if OURS in done else next(iter(done))
    metrics = _metrics(figures, default)
    with atomic_folder(EVALUATION) as folder:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "calibration.json", {m: item.calibration for m, item in done.items()})
        write_table(folder / "scores.parquet", pl.concat(scores), Scores)
        reading = evaluation.window_table(done[default].tested[asked[0]], corpus)
        with atomic_path(folder / "windows.parquet") as path:
            reading.write_parquet(path)
        _write_plots(folder / "plots", pl.concat(curves), done, reading)
    Console().print(short_table(metrics, len(corpus.classes), default))


def _prepared(corpus: Corpus, asked: list[Condition]) -> dict[str, dict[str, Tensor]]:
    from pipeline.parallel import parallel_map

    wanted = sorted({(name, c.variant(name)) for c in asked for name in corpus.modalities})
    windows = parallel_map(partial(_prepare, corpus), wanted, "prepare windows")
    prepared: dict[str, dict[str, Tensor]] = {name: {} for name in corpus.modalities}
    for (name, variant), values in zip(wanted, windows, strict=True):
        prepared[name][variant] = values
    return prepared


def _prepare(corpus: Corpus, wanted: tuple[str, str]) -> Tensor:
    import torch

    from pipeline.training import data, loop

    torch.set_num_threads(1)  # as in a worker process: the last bits must not depend on workers
    encoders = loop.encoders_for(corpus.features, 1, 0.0)  # the fixed step has no parameters
    return data.prepare(corpus, encoders, *wanted)


def _one(
    method: str,
    corpus: Corpus,
    prepared: dict[str, dict[str, Tensor]],
    asked: list[Condition],
    params: Params,
) -> tuple[Evaluated, pl.DataFrame]:
    import torch

    from pipeline.robustness import evaluation, protocol
    from pipeline.training import loop

    example = {name: variants["clean"][:1] for name, variants in prepared.items()}
    stack, scaler, runs, card = loop.load_model(MODELS / method, example)
    torch.set_num_threads(card["training"]["cpu_threads"])
    readings = {
        condition: protocol.read(stack, scaler, runs, corpus, prepared, condition)
        for condition in asked
    }
    discounted = bool(card["params"].get("discount", False))
    bins = params.robustness.calibration_bins
    evaluated = evaluation.evaluate(readings, runs, corpus, discounted, bins)
    return evaluated, evaluation.score_table(method, evaluated, runs, corpus)


def _metrics(figures: dict[str, dict[str, Any]], default: str) -> dict[str, dict[str, float]]:
    from pipeline.robustness.evaluation import with_intervals

    result = {}
    for method, own in figures.items():
        accuracies = [name for name in own if name.startswith(("all", "without", "only", "noise"))]
        result[method] = with_intervals(own, [*accuracies, "grid"])
    for method, own in figures.items():
        if method != default:
            lead = {
                f"{name}_over_{method}": figures[default][name] - own[name]
                for name in ("all", "grid")
            }
            result[default] |= with_intervals(lead, list(lead))
    return result


def _curve(method: str, accuracy: Any, asked: list[Condition]) -> pl.DataFrame:
    from pipeline.robustness.statistics import interval

    rows = []
    for number, condition in enumerate(asked):
        estimate, low, high = interval(accuracy[:, number])
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


def _write_plots(
    folder: Path, curves: pl.DataFrame, done: dict[str, Evaluated], reading: pl.DataFrame
) -> None:
    from pipeline.robustness.evaluation import reliability_table

    subsets = curves.filter(pl.col("condition") == "subset").drop("condition", "severity")
    noise = curves.filter(pl.col("condition") == "noise").drop("condition", "n_modalities")
    full = subsets.filter(pl.col("n_modalities") == pl.col("n_modalities").max())
    modalities = noise.select(pl.col("modalities").unique(maintain_order=True))
    clean = full.drop("modalities", "n_modalities").join(modalities, how="cross")
    clean = clean.with_columns(severity=pl.lit(0, noise["severity"].dtype)).select(noise.columns)
    noise = pl.concat([clean, noise]).rename({"modalities": "modality"})
    tables = {
        "subsets": subsets.rename({"modalities": "subset"}),
        "noise": noise.sort("method", "modality", "severity", maintain_order=True),
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
