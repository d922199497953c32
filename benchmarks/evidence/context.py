"""Windows, labels, conditions and result store that the entries of an experiment share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.evidence.plan import Entry, Experiment
from benchmarks.evidence.scenarios import NoisyLabels, by_random_split
from consilience.core.errors import ConsilienceError
from consilience.core.files import content_hash, read_arrays, text_hash, write_arrays
from consilience.core.fingerprint import fingerprint
from consilience.core.workers import parallel_map
from consilience.evaluation import predict
from consilience.params import Params, load
from consilience.project import Project
from consilience.schema.constants import CLEAN
from consilience.windows.conditions import MISMATCH, SUBSET, Condition, conditions
from consilience.windows.store import Corpus, load_corpus

Prepared = dict[str, dict[str, Tensor]]

SHORT = (SUBSET, MISMATCH, "noise")  # kinds of conditions of a short grid


@dataclass(frozen=True)
class ExperimentContext:
    """Data and settings that the entries of one experiment share.

    Attributes
    ----------
    corpus : Corpus
        With the experiment's sensors and split, and its true labels.
    labels : NoisyLabels
        The labels that the scenario gives to the training.
    params : Params
        Of the corpus, with the experiment's seeds.
    conditions : list of Condition
        Under which every entry is tested.
    prepared : Path
        The windows under all conditions after the encoders' fixed step.
    store : Path
        Folder of results by key.
    identity : str
        Hash of everything that results depend on, except the entry and the code.
    """

    corpus: Corpus
    labels: NoisyLabels
    params: Params
    conditions: list[Condition]
    prepared: Path
    store: Path
    identity: str


def experiment_context(experiment: Experiment, base: Path, store: Path) -> ExperimentContext:
    """Read a corpus, restrict it to the experiment's sensors, split it and prepare its windows.

    Parameters
    ----------
    experiment : Experiment
    base : Path
        Folder with the corpora's folders.
    store : Path
        Folder of results by key.
    """
    project = Project(base / experiment.corpus)
    params = load(project.params_file)
    if experiment.seeds:
        training = params.training.model_copy(update={"seeds": experiment.seeds})
        params = params.model_copy(update={"training": training})
    corpus = with_sensors(load_corpus(project.windows), experiment.sensors)
    if experiment.scenario.random_split:
        corpus = by_random_split(corpus, params.splits)
    tested = conditions(corpus)
    windows = text_hash(_windows_hash(corpus), *experiment.sensors)
    plugins = {"datasets": [], "modalities": corpus.modalities, "methods": []}
    code = fingerprint([predict.__name__], plugins).digest
    prepared = store / f"prepared-{text_hash(windows, code)[:16]}.npz"
    if not prepared.is_file():
        _prepare(corpus, tested, prepared)
    if experiment.grid == "short":
        tested = [condition for condition in tested if condition.kind in SHORT]
    identity = text_hash(
        windows,
        params.training.model_dump_json(),
        params.splits.model_dump_json(),
        params.robustness.model_dump_json(),
        experiment.model_copy(update={"entries": [], "chosen_on": None}).model_dump_json(),
    )
    labels = NoisyLabels(corpus, experiment.scenario)
    return ExperimentContext(corpus, labels, params, tested, prepared, store, identity)


def with_sensors(corpus: Corpus, sensors: Sequence[str]) -> Corpus:
    """Return a corpus with some of its modalities and all of its windows.

    Raises
    ------
    ConsilienceError
        If the corpus lacks a sensor.
    """
    for name in sensors:
        if name not in corpus.modalities:
            names = ", ".join(corpus.modalities)
            raise ConsilienceError(f"no modality {name}", str(corpus.folder), f"use one of {names}")
    columns = [corpus.modalities.index(name) for name in sensors]
    return replace(
        corpus,
        modalities=tuple(sensors),
        features={name: corpus.features[name] for name in sensors},
        variants={name: corpus.variants[name] for name in sensors},
        available=corpus.available[:, columns],
    )


def code_of(context: ExperimentContext, entry: Entry, module: str) -> str:
    """Return the fingerprint of the code an entry's results depend on.

    Parameters
    ----------
    context : ExperimentContext
    entry : Entry
    module : str
        The module that computes the results.
    """
    plugins = {
        "datasets": [],
        "modalities": context.corpus.modalities,
        "methods": [entry.method],
    }
    return fingerprint([module], plugins).digest


def prepared_windows(context: ExperimentContext) -> Prepared:
    """Read the prepared windows by modality and variant."""
    prepared: Prepared = {name: {} for name in context.corpus.modalities}
    for key, values in read_arrays(context.prepared).items():
        name, _, variant = key.partition("/")
        prepared[name][variant] = torch.from_numpy(values)
    return prepared


def _prepare(corpus: Corpus, tested: Sequence[Condition], path: Path) -> None:
    arrays = {
        f"{name}/{variant}": values.numpy()
        for name, variants in predict.prepare_windows(corpus, tested).items()
        for variant, values in variants.items()
    }
    write_arrays(path, arrays)


def _windows_hash(corpus: Corpus) -> str:
    """Hash the windows of the corpus's sensors, their labels and folds."""
    files = [
        corpus.folder / name / f"{variant}.npy"
        for name in corpus.modalities
        for variant in (CLEAN, *corpus.variants[name])
    ]
    files += [corpus.folder / name for name in ("index.parquet", "splits.parquet", "meta.json")]
    return text_hash(*parallel_map(content_hash, files, "hash windows"))
