"""Predictions of a trained model for every window of unlabelled recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from consilience.evaluation.new_recordings import Card
from consilience.evaluation.predict import LoadedModel, load_bundle, predict
from consilience.evaluation.scorer import as_one_model
from consilience.evaluation.tables import prediction_columns
from consilience.prediction.recordings import load_windows_for, process_recordings
from consilience.project import Project
from consilience.schema.constants import AFFECT, DIFFERENT
from consilience.schema.tables import Labels, read_table
from consilience.training.baseline import References
from consilience.training.conditioned import load_windows
from consilience.training.reference import deviations, unusual_windows
from consilience.windows.conditions import SUBSET, Condition
from consilience.windows.store import Corpus

NO_SENSOR = "no sensor"  # verdict on a window that no recording covers
# Verdict on a window without a prediction: without and with an enrolment.
NO_ROLE = ("used in the training", "enrolment")
WHEN = ("window", "session", "subject", "trial", "start_s", "end_s")


@dataclass(frozen=True)
class Predicted:
    """Predictions for some recordings.

    Attributes
    ----------
    windows : polars.DataFrame
        A row per window: where it lies, and the columns of `tables.prediction_columns`.
    recordings : polars.DataFrame
        `reference.deviations` of every recording and sensor, and ``differs``: whether it is above
        `DIFFERENT`.
    card : dict
        Card of the model.
    held_out, seen : list of str
        Subjects of which the training had a recording: those predicted by the runs that held them
        out, and those that no run held out, whose predictions are too certain.
    """

    windows: pl.DataFrame
    recordings: pl.DataFrame
    card: Card
    held_out: list[str]
    seen: list[str]


def predict_recordings(
    project: Project,
    bundle: Path,
    root: Path,
    dataset: str = "folder",
    emit: Callable[[str], None] = print,
) -> Predicted:
    """Predict every window of recordings, from any of the model's sensors that they have.

    The recordings are processed with the parameters of the training. The predictions of all runs
    of the bundle are averaged, as in `external.evaluate_bundle`, which gives the same ones.

    Parameters
    ----------
    project : Project
        Stores the processed recordings, which a second prediction reuses. It needs no
        ``params.yaml``.
    bundle : Path
        Folder of a trained model.
    root : Path
        Folder of the recordings.
    dataset : str
        Name of its adapter.
    emit : callable
        Receives the lines of the summary.

    Raises
    ------
    ConsilienceError
        If the bundle is incomplete or damaged, the folder is not such a dataset, or none of its
        recordings is usable.
    """
    model = load_bundle(bundle)
    card = model.card
    other, seen = process_recordings(project, card, root, dataset, emit)
    corpus = load_windows_for(card, other.windows)
    everything = Condition(SUBSET, corpus.modalities)
    prepared = load_windows(corpus, [everything])
    predictions = predict_windows(model, corpus, prepared)
    laid = read_table(other.labels / "labels.parquet", Labels).select(WHEN)
    held_out = {name for name, roles in seen.items() if "test" in roles.values()}
    return Predicted(
        with_all_windows(predictions, laid.sort("session", "start_s", "trial"), card),
        deviations(model.references, corpus).with_columns(differs=pl.col("deviation") > DIFFERENT),
        card,
        sorted(held_out),
        sorted(set(seen) - held_out),
    )


def predict_windows(
    model: LoadedModel,
    corpus: Corpus,
    prepared: Mapping[str, Mapping[str, Any]],
    baselines: Mapping[str, References] | None = None,
) -> pl.DataFrame:
    """Predict the windows of a corpus with all runs of a model as one.

    Parameters
    ----------
    model : LoadedModel
    corpus : Corpus
        With the model's modalities and classes.
    prepared : mapping of str to (mapping of str to Tensor)
        What `conditioned.load_windows` returned.
    baselines : mapping of str to References, optional
        As for `evaluation.predict.predict`.

    Returns
    -------
    polars.DataFrame
        A row per window in the order of the corpus.
    """
    everything = Condition(SUBSET, corpus.modalities)
    pooled = as_one_model(predict([model], corpus, prepared, everything, baselines=baselines))
    # Without labels of valence or arousal in the training, their intervals are unbounded.
    bounded = np.asarray(np.isfinite(pooled.affect_half_width).any((0, 1)))
    affect = [name for name, has_labels in zip(AFFECT, bounded, strict=True) if has_labels]
    unusual = unusual_windows(model.references, corpus)
    columns = prediction_columns(pooled, corpus, affect, unusual)
    return pl.concat([corpus.index.select(WHEN), columns], how="horizontal")


def with_all_windows(predictions: pl.DataFrame, laid: pl.DataFrame, card: Card) -> pl.DataFrame:
    """Add the windows that no recording covers, about which nothing can be stated.

    Their classes are equally probable, their vacuity is 1 and their prediction set has all classes.

    Parameters
    ----------
    predictions : polars.DataFrame
        Of `predict_windows`.
    laid : polars.DataFrame
        Windows of all sessions, with the columns `WHEN`.
    card : dict
    """
    classes = list(card["classes"])
    covered = pl.col("window").is_in(predictions["window"].to_list())
    unpredicted = pl.lit(NO_ROLE[card["training"]["baseline"] == "enrolment"])
    empty: dict[str, pl.Expr] = {
        "vacuity": pl.lit(1.0),
        "prediction_set": pl.lit("|".join(classes)),
        "verdict": pl.lit(NO_SENSOR),
        "confidence": pl.lit(1 / len(classes)),
        **{f"p_{name}": pl.lit(1 / len(classes)) for name in classes},
    }
    return (
        laid.join(
            predictions.drop([name for name in WHEN if name != "window"]), on="window", how="left"
        )
        .with_columns(
            **{
                name: pl.when(covered).then(pl.col(name)).otherwise(value)
                for name, value in empty.items()
            }
        )
        .with_columns(
            verdict=pl.when(pl.col("confidence").is_null())
            .then(unpredicted)
            .otherwise(pl.col("verdict")),
            predicted=pl.when(covered & pl.col("confidence").is_not_null()).then(
                pl.col("predicted")
            ),
        )
    )
