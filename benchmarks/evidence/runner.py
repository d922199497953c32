"""Runs an experiment: trains and tests every entry, and keeps its results by key.

Entries run in parallel, one thread each. The key of a result hashes everything it depends on, so
that an interrupted experiment continues, and a changed method reruns alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.context import (
    ExperimentContext,
    code_of,
    experiment_context,
)
from benchmarks.evidence.extra_figures import mean_of_single_sensors, severe_figures
from benchmarks.evidence.label_errors import label_errors, label_estimates
from benchmarks.evidence.loaded import LoadedCorpus
from benchmarks.evidence.plan import Entry, Plan
from benchmarks.evidence.scenarios import with_mismatches
from consilience.core.errors import ConsilienceError
from consilience.core.files import (
    atomic_folder,
    link_or_copy,
    read_arrays,
    text_hash,
    write_arrays,
    write_json,
)
from consilience.core.workers import parallel_map
from consilience.evaluation import scorer
from consilience.evaluation.aggregate import (
    Figures,
    by_sample_and_subject,
    resample_and_single_subjects,
    summary,
)
from consilience.evaluation.detection import Scores, count_by_subject, is_bad_sensor
from consilience.evaluation.metrics import auroc
from consilience.evaluation.resampling import subject_weights
from consilience.training.augmentation import Run
from consilience.training.fit import Fitted
from consilience.training.fit import fit as fit_method
from consilience.windows.conditions import MISMATCH
from consilience.windows.store import Corpus

Chosen = Mapping[str, Mapping[int, Mapping[str, Any]]]  # changes by entry and fold
Settings = Mapping[Entry, list[int]]  # folds by the settings that are used in them

AMBIGUOUS = 0.7  # share of the votes below which no class leads clearly


def run(
    plan: Plan, name: str, base: Path, store: Path, output: Path, chosen: Chosen | None = None
) -> None:
    """Run one experiment and gather its results in a folder, one subfolder per entry.

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
        Settings by entry and fold; without them all entries have their planned ones.

    Raises
    ------
    ConsilienceError
        If entries fail. The store keeps the others' results, and a second run skips them.
    """
    experiment = plan.experiments[name]
    context = experiment_context(experiment, base, store)
    names = plan.expanded(experiment.entries)
    entries = [_settings(plan, entry, chosen, context.corpus.folds) for entry in names]
    outcomes = parallel_map(partial(_run_entry, context), entries, name)
    failed = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if failed:
        raise ConsilienceError("; ".join(failed), name, "finished entries are kept: run it again")
    with atomic_folder(output) as folder:
        for entry, result in zip(names, outcomes, strict=True):
            (folder / entry).mkdir()
            for file in sorted(Path(result).iterdir()):
                link_or_copy(file, folder / entry / file.name)
        write_json(folder / "experiment.json", experiment.model_dump(mode="json"))


def _settings(plan: Plan, name: str, chosen: Chosen | None, folds: Sequence[int]) -> Settings:
    """Return which settings an entry has in which folds."""
    if chosen is None:
        return {plan.entry(name): list(folds)}
    settings: dict[Entry, list[int]] = {}
    for fold in folds:
        settings.setdefault(plan.entry(name, chosen[plan.origin(name)][fold]), []).append(fold)
    return settings


def _run_entry(context: ExperimentContext, settings: Settings) -> str | Path:
    """Return the folder of an entry's results, or a message if it failed."""
    first = next(iter(settings))
    of_folds = [[*entry.identity(), *map(str, folds)] for entry, folds in settings.items()]
    # The same settings in all folds share their key with an experiment that chose nothing.
    identity = of_folds if len(of_folds) > 1 else [first.identity()]
    key = text_hash(context.identity, *map(" ".join, identity), code_of(context, first, __name__))
    folder = context.store / key
    if (folder / "card.json").is_file():
        return folder
    try:
        _train_and_test(context, settings, folder)
    except Exception as error:  # one entry's failure must not discard the others' hours
        return f"{first.name}: {type(error).__name__}: {error}"
    return folder


def _train_and_test(context: ExperimentContext, settings: Settings, output: Path) -> None:
    checkpoint = context.store / f"training-{output.name[:16]}"
    loaded = context.loaded()
    by_settings = [
        fit(context, entry, loaded, checkpoint / str(number), folds)
        for number, (entry, folds) in enumerate(settings.items())
    ]
    fits = [fitted for of_settings in by_settings for fitted in of_settings]
    runs = [run for fitted in fits for run in fitted.runs]
    method = next(iter(settings)).method
    with atomic_folder(output) as folder:
        _test(fits, loaded, context, folder)
        if any(context.labels.wrong(run).any() for run in runs):
            estimates = label_estimates(fits, method, loaded, context)
            errors = label_errors(estimates, context.labels, runs, loaded)
            write_arrays(folder / "label_errors.npz", errors)
        write_json(folder / "card.json", _card(method, settings, by_settings))
    shutil.rmtree(checkpoint, ignore_errors=True)


def fit(
    context: ExperimentContext,
    entry: Entry,
    loaded: LoadedCorpus,
    checkpoint: Path,
    folds: Sequence[int],
) -> list[Fitted]:
    """Train an entry on some folds of an experiment, and calibrate it.

    All runs together, or one after another where each has mismatched recordings of its own.
    """
    labels, training = context.labels, entry.training.applied_to(context.params.training)

    def trained(corpus: LoadedCorpus, of: Sequence[int], seeds: list[int], folder: Path) -> Fitted:
        budget = training.model_copy(update={"seeds": seeds})
        prepared = corpus.prepared
        return fit_method(entry.method, entry.params, budget, corpus, folder, labels, prepared, of)

    if not labels.scenario.mismatched:
        return [trained(loaded, folds, training.seeds, checkpoint)]
    runs = [Run(fold, seed) for fold in folds for seed in training.seeds]
    return [
        trained(
            with_mismatches(labels, run, loaded),
            [run.fold],
            [run.seed],
            checkpoint / f"{run.fold}-{run.seed}",
        )
        for run in runs
    ]


def parameters_per_run(fitted: Fitted) -> int:
    """Return the number of weights of one run; the stack holds all runs along its first axis."""
    return sum(value[0].numel() for value in fitted.stack.weights.values())


def _card(
    method: str, settings: Settings, by_settings: Sequence[Sequence[Fitted]]
) -> dict[str, Any]:
    fits = [fitted for of_settings in by_settings for fitted in of_settings]
    return {
        "method": method,
        "settings": [
            {
                "folds": folds,
                "params": entry.params.model_dump(mode="json"),
                "training": entry.training.model_dump(exclude_none=True),
                "parameters": parameters_per_run(of_settings[0]),
            }
            for (entry, folds), of_settings in zip(settings.items(), by_settings, strict=True)
        ],
        "runs": [run._asdict() for fitted in fits for run in fitted.runs],
        "best_epochs": [epoch for fitted in fits for epoch in fitted.best_epochs],
        "epochs": max(max(fitted.history["epoch"].to_list()) for fitted in fits),
    }


def _test(
    fits: Sequence[Fitted], corpus: LoadedCorpus, context: ExperimentContext, folder: Path
) -> None:
    """Write the scores under every condition, and the figures under every resample."""
    robustness = context.params.robustness
    evaluated = scorer.score(
        fits,
        corpus,
        corpus.prepared,
        context.conditions,
        robustness.calibration_bins,
        keep=[context.conditions[0], *filter(is_bad_sensor, context.conditions)],
    )
    evaluated.save(folder)
    scores = resample_and_single_subjects(evaluated, robustness.bootstrap)
    values = summary(scores)
    values |= mean_of_single_sensors(values)
    values |= severe_figures(scores, context.params.training.held_out)
    figures = by_sample_and_subject(values, scores.n_subjects)
    arrays = {f"sample/{name}": values for name, values in figures.sample.items()}
    arrays |= {f"subjects/{name}": values for name, values in figures.subjects.items()}
    ambiguity = bad_sensor_or_ambiguous(evaluated, corpus, robustness.bootstrap)
    arrays |= {f"sample/{name}": values for name, values in ambiguity.items()}
    write_arrays(folder / "figures.npz", {k: v.astype(np.float32) for k, v in arrays.items()})


def read_figures(folder: Path) -> Figures:
    """Read the figures of an entry that `run` wrote."""
    groups: dict[str, dict[str, NDArray[np.float64]]] = {"sample": {}, "subjects": {}}
    for key, values in read_arrays(folder / "figures.npz").items():
        group, _, name = key.partition("/")
        groups[group][name] = values.astype(np.float64)
    return Figures(**groups)


def bad_sensor_or_ambiguous(
    evaluated: scorer.Evaluated, corpus: Corpus, n_resamples: int
) -> dict[str, NDArray[np.float64]]:
    """Return how well coherence separates windows with one bad sensor from ambiguous ones.

    A bad sensor is mismatched or corrupted at the highest severity. Ambiguous is a clean window
    whose annotators disagree: no class has `AMBIGUOUS` of their votes. Windows with a bad sensor
    count only if their annotators agree, so that no window is both.

    Parameters
    ----------
    evaluated : Evaluated
        With predictions under the full condition first, then under those with a bad sensor.
    corpus : Corpus
    n_resamples : int

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
            areas[name] = of_seeds.mean(-1)
    return areas
