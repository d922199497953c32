"""Runs an experiment: trains and tests every entry, and keeps what it found per entry.

Entries run side by side, one thread each. Each one's results are kept in a store under a key of
all they depend on, so that an interrupted experiment goes on, and a changed method reruns alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.evidence.code import code_hash
from benchmarks.evidence.plan import Entry, Experiment, Plan
from benchmarks.evidence.scenarios import NoisyLabels, by_random_split
from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import (
    atomic_folder,
    content_hash,
    read_arrays,
    text_hash,
    write_arrays,
    write_json,
)
from consilience.core.workers import parallel_map
from consilience.evaluation import predict, scorer
from consilience.evaluation.aggregate import Figures, figures_of
from consilience.evaluation.detection import Scores, count_by_subject, is_bad_sensor
from consilience.evaluation.metrics import auroc, ranking
from consilience.evaluation.resampling import subject_weights
from consilience.ingest.ingest import link_or_copy
from consilience.params import Params, load
from consilience.schema.tables import CLEAN
from consilience.training.augmentation import Run
from consilience.training.fit import Fitted
from consilience.training.fit import fit as fit_method
from consilience.training.label_reliability import estimate_labels
from consilience.windows import conditions
from consilience.windows.conditions import MISMATCH, SUBSET, Condition
from consilience.windows.store import Corpus, load_corpus

Prepared = dict[str, dict[str, Tensor]]
Chosen = Mapping[str, Mapping[int, Mapping[str, Any]]]  # changes by entry and fold
Settings = Mapping[Entry, list[int]]  # folds by what an entry is in them

SHORT = (SUBSET, MISMATCH, "noise")  # kinds of conditions of a short grid
AMBIGUOUS = 0.7  # share of the votes below which no class leads clearly


@dataclass(frozen=True)
class Work:
    """All that the entries of one experiment share.

    Attributes
    ----------
    corpus : Corpus
        With the experiment's sensors, and its split.
    told : NoisyLabels
        The labels as the scenario tells them.
    params : Params
        Of the corpus, with the experiment's seeds.
    asked : list of Condition
        What every entry is tested under.
    prepared : Path
        The windows under all conditions after the encoders' fixed step.
    store : Path
        Folder of results by key.
    identity : str
        Hash of everything but the entry.
    """

    corpus: Corpus
    told: NoisyLabels
    params: Params
    asked: list[Condition]
    prepared: Path
    store: Path
    identity: str


def run(
    plan: Plan, name: str, base: Path, store: Path, output: Path, chosen: Chosen | None = None
) -> None:
    """Run one experiment and put its results together in a folder, one subfolder an entry.

    Parameters
    ----------
    plan : Plan
    name : str
        Of the experiment.
    base : Path
        Folder with the corpora's folders.
    store : Path
        Folder of results by key, kept between runs.
    output : Path
    chosen : Chosen, optional
        Settings by entry and fold; without them all entries have their own.

    Raises
    ------
    ConsilienceError
        If entries fail; the others' results are in the store, and a second run needs only them.
    """
    experiment = plan.experiments[name]
    work = prepare_work(experiment, base, store)
    names = plan.expanded(experiment.entries)
    entries = [_settings(plan, entry, chosen, work.corpus.folds) for entry in names]
    outcomes = parallel_map(partial(_one, work), entries, name)
    failed = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if failed:
        raise ConsilienceError("; ".join(failed), name, "the other entries are kept: run it again")
    with atomic_folder(output) as folder:
        for entry, found in zip(names, outcomes, strict=True):
            (folder / entry).mkdir()
            for file in sorted(Path(found).iterdir()):
                link_or_copy(file, folder / entry / file.name)
        write_json(folder / "experiment.json", experiment.model_dump(mode="json"))


def prepare_work(experiment: Experiment, base: Path, store: Path) -> Work:
    """Read the corpus, restrict it to the sensors, split it and prepare its windows."""
    params = load(base / experiment.corpus / "params.yaml")
    if experiment.seeds:
        training = params.training.model_copy(update={"seeds": experiment.seeds})
        params = params.model_copy(update={"training": training})
    whole = load_corpus(base / experiment.corpus / "data/windows")
    corpus = with_sensors(whole, experiment.sensors)
    if experiment.scenario.random_split:
        corpus = by_random_split(corpus, params.splits)
    asked = conditions.conditions(corpus)
    windows = text_hash(_windows_hash(corpus), *experiment.sensors)
    code = code_hash(["consilience.evaluation.predict", *_encoders(corpus)])
    prepared = store / f"prepared-{text_hash(windows, code)[:16]}.npz"
    if not prepared.is_file():
        _prepare(corpus, asked, prepared)
    if experiment.grid == "short":
        asked = [condition for condition in asked if condition.kind in SHORT]
    identity = text_hash(
        windows,
        params.training.model_dump_json(),
        params.splits.model_dump_json(),
        params.robustness.model_dump_json(),
        experiment.model_copy(update={"entries": [], "chosen_on": None}).model_dump_json(),
        torch.__version__,
    )
    told = NoisyLabels(corpus, experiment.scenario)
    return Work(corpus, told, params, asked, prepared, store, identity)


def with_sensors(corpus: Corpus, sensors: Sequence[str]) -> Corpus:
    """Return a corpus with some of its modalities, and the windows that have any of them.

    Raises
    ------
    ConsilienceError
        If it lacks a sensor.
    """
    for name in sensors:
        if name not in corpus.modalities:
            raise ConsilienceError(
                f"there is no {name}", str(corpus.folder), f"known: {', '.join(corpus.modalities)}"
            )
    columns = [corpus.modalities.index(name) for name in sensors]
    return replace(
        corpus,
        modalities=tuple(sensors),
        features={name: corpus.features[name] for name in sensors},
        variants={name: corpus.variants[name] for name in sensors},
        available=corpus.available[:, columns],
    )


def label_errors(
    opinions: NDArray[np.float32], told: NoisyLabels, runs: Sequence[Run], corpus: Corpus
) -> dict[str, Any]:
    """Judge training labels by the opinions on their windows, and score that against the truth.

    Parameters
    ----------
    opinions : ndarray, shape (R, N, K)
        What a method thinks of the training windows.

    Returns
    -------
    dict
        ``score`` (R, N), ``1 - q_y / max q`` for the label y that was told, NaN outside the run's
        labelled training windows; ``wrong`` (R, N); ``auroc`` (R,), NaN without a wrong label.
    """
    score = np.full(opinions.shape[:2], np.nan, np.float32)
    wrong = np.zeros(score.shape, bool)
    areas = np.full(len(runs), np.nan)
    for number, run in enumerate(runs):
        target = told(run)[0]
        rows = corpus.members(run.fold, "train")
        rows = rows[np.isfinite(target[rows]).all(1)]
        opinion, label = opinions[number, rows], target[rows].argmax(1)
        score[number, rows] = 1 - opinion[np.arange(len(rows)), label] / opinion.max(1)
        wrong[number] = told.wrong(run)
        if 0 < wrong[number, rows].sum() < len(rows):
            # A level per window: no resampling follows, so the area can be exact.
            owner = np.zeros(len(rows), int)
            counts = ranking(score[number, rows], wrong[number, rows], owner, 1, len(rows))
            areas[number] = auroc(counts[0])
    return {"score": score, "wrong": wrong, "auroc": areas}


def _settings(plan: Plan, name: str, chosen: Chosen | None, folds: Sequence[int]) -> Settings:
    """Return what an entry is in which folds."""
    if chosen is None:
        return {plan.entry(name): list(folds)}
    found: dict[Entry, list[int]] = {}
    for fold in folds:
        found.setdefault(plan.entry(name, chosen[plan.origin(name)][fold]), []).append(fold)
    return found


def _one(work: Work, settings: Settings) -> str | Path:
    """Return the folder of an entry's results; what went wrong, if it failed."""
    first = next(iter(settings))
    parts = [[*entry.identity(), *map(str, folds)] for entry, folds in settings.items()]
    identity = parts if len(parts) > 1 else [first.identity()]
    key = text_hash(
        work.identity, *(" ".join(part) for part in identity), code_of(work, first, __name__)
    )
    found = work.store / key
    if (found / "card.json").is_file():
        return found
    try:
        _train_and_test(work, settings, found)
    except Exception as error:  # one entry's failure must not cost the others their hours
        return f"{first.name}: {type(error).__name__}: {error}"
    return found


def _train_and_test(work: Work, settings: Settings, output: Path) -> None:
    checkpoint = work.store / f"training-{output.name[:16]}"
    prepared = prepared_windows(work)
    fits = [
        fit(work, entry, prepared, checkpoint / str(number), folds)
        for number, (entry, folds) in enumerate(settings.items())
    ]
    runs = [run for fitted in fits for run in fitted.runs]
    with atomic_folder(output) as folder:
        _test(fits, prepared, work, folder)
        method = next(iter(settings)).method
        opinions = _opinions(fits, method, prepared, work)
        errors = label_errors(opinions, work.told, runs, work.corpus)
        if errors["wrong"].any():
            write_arrays(folder / "label_errors.npz", errors)
        card = {
            "method": method,
            "settings": [
                {
                    "folds": folds,
                    "params": entry.params.model_dump(mode="json"),
                    "training": entry.training.model_dump(exclude_none=True),
                    "parameters": sum(v[0].numel() for v in fitted.stack.weights.values()),
                }
                for (entry, folds), fitted in zip(settings.items(), fits, strict=True)
            ],
            "runs": [run._asdict() for run in runs],
            "best_epochs": [epoch for fitted in fits for epoch in fitted.best_epochs],
            "epochs": max(max(fitted.history["epoch"].to_list()) for fitted in fits),
        }
        write_json(folder / "card.json", card)
    shutil.rmtree(checkpoint, ignore_errors=True)


def fit(
    work: Work, entry: Entry, prepared: Prepared, checkpoint: Path, folds: Sequence[int]
) -> Fitted:
    """Train an entry on some folds of an experiment, and calibrate it."""
    training = entry.training.made(work.params.training)
    return fit_method(
        entry.method, entry.params, training, work.corpus, checkpoint, work.told, prepared, folds
    )


def _opinions(
    fits: Sequence[Fitted], method: str, prepared: Prepared, work: Work
) -> NDArray[np.float32]:
    """Return what a method goes by when it doubts a label, (R, N, K).

    What its sensors think without having been told, if it asks for that; otherwise the moving
    average of its opinions during the training.
    """
    if not registry.get("methods", method).cross_fitted:
        return np.concatenate([fitted.consensus for fitted in fits])
    corpus, runs = work.corpus, [run for fitted in fits for run in fitted.runs]
    judged, _ = estimate_labels(
        {name: variants[CLEAN] for name, variants in prepared.items()},
        corpus.available,
        [work.told(run)[0] for run in runs],
        corpus.index["subject"].to_numpy(),
        [corpus.members(run.fold, "train") for run in runs],
    )
    return judged.numpy()


def _test(fits: Sequence[Fitted], prepared: Prepared, work: Work, folder: Path) -> None:
    """Write the scores under every condition, and under every resample of the subjects."""
    robustness = work.params.robustness
    evaluated = scorer.score(
        fits,
        work.corpus,
        prepared,
        work.asked,
        robustness.calibration_bins,
        keep=[work.asked[0], *filter(is_bad_sensor, work.asked)],
    )
    evaluated.save(folder)
    figures = figures_of(evaluated, robustness.bootstrap)
    arrays = {f"sample/{name}": values for name, values in figures.sample.items()}
    arrays |= {f"subjects/{name}": values for name, values in figures.subjects.items()}
    arrays |= _bad_sensor_or_ambiguous(evaluated, work.corpus, robustness.bootstrap)
    write_arrays(folder / "figures.npz", {k: v.astype(np.float32) for k, v in arrays.items()})


def read_figures(folder: Path) -> Figures:
    """Read an entry's figures under every resample of the subjects, and of each subject."""
    parts: dict[str, dict[str, NDArray[np.float64]]] = {"sample": {}, "subjects": {}}
    for key, values in read_arrays(folder / "figures.npz").items():
        part, _, name = key.partition("/")
        parts[part][name] = values.astype(np.float64)
    return Figures(**parts)


def _bad_sensor_or_ambiguous(
    evaluated: scorer.Evaluated, corpus: Corpus, n_resamples: int
) -> dict[str, NDArray[np.float64]]:
    """Return how well coherence separates windows with one bad sensor from ambiguous ones.

    A bad sensor is mismatched or corrupted at the highest severity. Ambiguous is a clean window
    whose annotators disagree: no class has `AMBIGUOUS` of their votes.

    Returns
    -------
    dict of str to ndarray, shape (1 + n_resamples,)
        AUROC of 1 - coherence; empty without such windows.
    """
    several = (corpus.index["n_annotators"] > 1).to_numpy()
    leading = np.nan_to_num(corpus.target).max(1)
    ambiguous = np.flatnonzero(several & (leading > 0) & (leading < AMBIGUOUS))
    clear = np.flatnonzero(several & (leading >= AMBIGUOUS))
    codes, n_subjects = scorer.subject_codes(corpus)
    weights = subject_weights(n_subjects, n_resamples)
    (_, full), *bad = evaluated.predictions.items()
    areas = {}
    for name, positives in {
        "bad_sensor_auroc": [tested for _, tested in bad],
        "mismatch_or_ambiguous_auroc": [t for condition, t in bad if condition.kind == MISMATCH],
    }.items():
        if not len(ambiguous) or not positives:
            continue
        scores = [Scores(1 - full.coherence[:, ambiguous], False, ambiguous)]
        scores += [Scores(1 - tested.coherence[:, clear], True, clear) for tested in positives]
        counts = count_by_subject(scores, codes, n_subjects)
        of_seeds = auroc(np.tensordot(weights, counts, (1, 1)))
        if np.isfinite(of_seeds).any():
            areas[f"sample/{name}"] = of_seeds.mean(-1)
    return areas


def code_of(work: Work, entry: Entry, module: str) -> str:
    """Hash the code that an entry's results depend on: a module, the method and the encoders."""
    kind = registry.get("methods", entry.method)
    return code_hash([module, kind.__module__, *_encoders(work.corpus)])


def _encoders(corpus: Corpus) -> list[str]:
    return [type(registry.get("modalities", name)).__module__ for name in corpus.modalities]


def _windows_hash(corpus: Corpus) -> str:
    """Hash the windows of the corpus's sensors, their labels and folds."""
    files = [
        corpus.folder / name / f"{variant}.npy"
        for name in corpus.modalities
        for variant in (CLEAN, *corpus.variants[name])
    ]
    files += [corpus.folder / name for name in ("index.parquet", "splits.parquet", "meta.json")]
    return text_hash(*parallel_map(content_hash, files, "hash windows"))


def _prepare(corpus: Corpus, asked: Sequence[Condition], path: Path) -> None:
    prepared = predict.prepare_windows(corpus, asked)
    arrays = {
        f"{name}/{variant}": values.numpy()
        for name, variants in prepared.items()
        for variant, values in variants.items()
    }
    write_arrays(path, arrays)


def prepared_windows(work: Work) -> Prepared:
    """Read the prepared windows by modality and variant."""
    prepared: Prepared = {name: {} for name in work.corpus.modalities}
    for key, values in read_arrays(work.prepared).items():
        name, _, variant = key.partition("/")
        prepared[name][variant] = torch.from_numpy(values)
    return prepared
