"""Windows, labels, conditions and result store that the entries of an experiment share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.evidence.loaded import LoadedCorpus, fields_of
from benchmarks.evidence.plan import Entry, Experiment
from benchmarks.evidence.scenarios import NoisyLabels, by_random_split
from consilience.core.errors import ConsilienceError
from consilience.core.files import content_hash, text_hash
from consilience.core.fingerprint import fingerprint
from consilience.params import Params, load
from consilience.project import Project
from consilience.training.conditioned import load_windows
from consilience.windows.conditions import MISMATCH, SUBSET, Condition, conditions
from consilience.windows.store import Corpus, load_corpus

SHORT = (SUBSET, MISMATCH, "noise")  # kinds of conditions of a short grid

_loaded: dict[str, LoadedCorpus] = {}  # of the last context whose windows this process has read


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
    store : Path
        Folder of results by key.
    identity : str
        Hash of everything that results depend on, except the entry and the code.
    """

    corpus: Corpus
    labels: NoisyLabels
    params: Params
    conditions: list[Condition]
    store: Path
    identity: str

    def loaded(self) -> LoadedCorpus:
        """Return the corpus with the model inputs of every modality and variant in memory.

        A process reads them once: thousands of small files take longer than some trainings.
        """
        if self.identity not in _loaded:
            _loaded.clear()
            prepared = load_windows(self.corpus, conditions(self.corpus))
            _loaded[self.identity] = LoadedCorpus(**fields_of(self.corpus), prepared=prepared)
        return _loaded[self.identity]


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
    context = ExperimentContext(corpus, labels, params, tested, store, identity)
    # The labels of validation subjects would outnumber the few that there are.
    few_labels = experiment.scenario.labelled_subjects is not None
    return without_refit(context) if few_labels else context


def without_refit(context: ExperimentContext) -> ExperimentContext:
    """Return the context of trainings that never use a validation subject, who scores them."""
    training = context.params.training.model_copy(update={"refit": False})
    params = context.params.model_copy(update={"training": training})
    return replace(context, params=params, identity=text_hash(context.identity, "without refit"))


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
    return fingerprint([module], plugins, context.store).digest


def _windows_hash(corpus: Corpus) -> str:
    """Hash the windows of the corpus's sensors, their labels and folds."""
    files = [corpus.folder / name for name in ("index.parquet", "splits.parquet", "meta.json")]
    # These name the hashes of the files of all sessions.
    files += [corpus.corrupted / name / "meta.json" for name in corpus.modalities]
    return text_hash(*map(content_hash, files))
