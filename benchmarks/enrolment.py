"""One-sided enrolments: ``python -m benchmarks.enrolment PROJECT --classes A [B] [--sensors ...]``.

Clips of each person serve as the enrolment: any clips, clips of the first class alone, or of both
classes. Every row is scored on the same clips, those that no row enrols, beside a training without
a baseline, with a running one and with all clips of the person.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score

from benchmarks.coherence import clean_corpus, settings_of
from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.evaluation.predict import predict
from consilience.evaluation.resampling import interval, subject_weights
from consilience.params import load
from consilience.project import Project
from consilience.schema.params.training import TrainingParams
from consilience.training.conditioned import load_windows
from consilience.training.enrolment import without_enrolment
from consilience.training.fit import fit
from consilience.windows.conditions import SUBSET, Condition, conditions
from consilience.windows.store import Corpus

ENROLMENT = "enrolment"  # name of the trial of enrolled clips
COUNTS = (3, 5, 10, 20)  # clips of each person
N_RESAMPLES = 1000

Rows = NDArray[np.int64]


class Row(NamedTuple):
    """A row of the table: a baseline, and the enrolled windows if it is an enrolment."""

    name: str
    baseline: str
    enrolled: Rows


def enrolments(corpus: Corpus, classes: Sequence[str]) -> list[Row]:
    """Return the enrolments: any clips, those of one class, and of two, drawn by person.

    Parameters
    ----------
    corpus : Corpus
        Of labelled clips.
    classes : sequence of str
        One or two.
    """
    labels = np.nan_to_num(corpus.target).argmax(1)
    numbers = [corpus.classes.index(name) for name in classes]
    kinds: dict[str, Rows] = {"any": np.arange(len(labels))}
    kinds |= {name: np.flatnonzero(labels == n) for name, n in zip(classes, numbers, strict=True)}
    if len(classes) > 1:
        kinds[" and ".join(classes)] = np.flatnonzero(np.isin(labels, numbers))
    subjects = corpus.index["subject"].to_numpy()
    rows = []
    for kind, pool in kinds.items():
        fewest = np.unique(subjects[pool], return_counts=True)[1].min()
        for count in COUNTS:
            if count <= fewest:
                rows.append(Row(f"{count} {kind}", "enrolment", drawn(subjects, pool, count)))
    return rows


def drawn(subjects: NDArray[np.str_], pool: Rows, count: int) -> Rows:
    """Return as many rows of a pool for each person; fewer clips are a part of more clips."""
    chosen = []
    for subject in np.unique(subjects[pool]):
        clips = pool[subjects[pool] == subject]
        chosen.append(generator(ENROLMENT, subject).permutation(clips)[:count])
    return np.sort(np.concatenate(chosen))


def accuracies(
    project: Project, corpus: Corpus, method: str, rows: Sequence[Row], scored: Rows
) -> dict[str, NDArray[np.float64]]:
    """Train and test a method with every baseline.

    Returns
    -------
    dict of str to ndarray, shape (1 + N_RESAMPLES,)
        Balanced accuracy over the scored windows, mean over seeds; then of resampled people.
    """
    results = {}
    for row in rows:
        index = corpus.index.with_columns(
            pl.when(pl.int_range(pl.len()).is_in(row.enrolled))
            .then(pl.lit(ENROLMENT))
            .otherwise("trial")
            .alias("trial")
        )
        training = project.section(TrainingParams).model_copy(
            update={
                "baseline": row.baseline,
                "enrolment": ENROLMENT if row.baseline == "enrolment" else "",
                "enrolment_s": None,
                "held_out": [],
            }
        )
        classes = _predicted(project, replace(corpus, index=index), method, training)
        results[row.name] = _accuracy(corpus, classes[:, scored], scored)
    return results


def _predicted(
    project: Project, corpus: Corpus, method: str, training: TrainingParams
) -> NDArray[np.int64]:
    """Return the predicted classes (S, N) of the test people by seed; -1 without a prediction."""
    prepared = load_windows(corpus, conditions(corpus))
    params = settings_of(project, method)
    with tempfile.TemporaryDirectory() as folder:
        model = fit(method, params, training, corpus, Path(folder), prepared=prepared)
    tested = without_enrolment(corpus, training)
    everything = Condition(SUBSET, corpus.modalities)
    logits = predict([model], tested, prepared, everything).logits
    seeds = np.array([run.seed for run in model.runs])
    classes = np.where(np.isfinite(logits).all(-1), np.nan_to_num(logits).argmax(-1), -1)
    return np.stack([classes[seeds == seed].max(0) for seed in training.seeds])


def _accuracy(corpus: Corpus, classes: NDArray[np.int64], scored: Rows) -> NDArray[np.float64]:
    labels = np.nan_to_num(corpus.target[scored]).argmax(1)
    _, codes = np.unique(corpus.index["subject"].to_numpy()[scored], return_inverse=True)
    weights = subject_weights(int(codes.max()) + 1, N_RESAMPLES)
    return np.array(
        [
            np.mean(
                [
                    balanced_accuracy_score(labels, of_seed, sample_weight=of_people[codes])
                    for of_seed in classes
                ]
            )
            for of_people in weights
        ]
    )


def table(results: Mapping[str, NDArray[np.float64]], n_subjects: int) -> list[str]:
    """Return the accuracies and their difference to no baseline, as lines of Markdown."""
    lines = ["| baseline | balanced accuracy | less none |", "|---|---|---|"]
    for name, values in results.items():
        difference, low, high = interval(values - results["none"], n_subjects)
        lines.append(f"| {name} | {values[0]:.3f} | {difference:+.3f} [{low:+.3f}, {high:+.3f}] |")
    return lines


def main() -> None:
    """Print the table of a project's clips."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project")
    parser.add_argument("--classes", nargs="+", required=True)
    parser.add_argument("--sensors", nargs="+", default=[])
    parser.add_argument("--method", default="hybrid")
    arguments = parser.parse_args()
    project = Project(arguments.project)
    corpus = clean_corpus(project, arguments.sensors)
    enrolled = enrolments(corpus, arguments.classes)
    used = np.unique(np.concatenate([row.enrolled for row in enrolled]))
    labelled = np.isfinite(corpus.target).all(1)
    scored = np.setdiff1d(np.flatnonzero(labelled), used)
    if not len(scored):
        raise ConsilienceError("every clip is enrolled by a row", arguments.project, "record more")
    none = np.array([], np.int64)
    others = [Row(name, name, none) for name in ("none", "running", "person")]
    rows = [others[0], *enrolled, *others[1:]]
    results = accuracies(project, corpus, arguments.method, rows, scored)
    n_classes = len(np.unique(corpus.target[scored].argmax(1)))
    print(f"{len(scored)} clips of {n_classes} classes, {load(project.params_file).dataset.name}\n")
    n_subjects = corpus.index["subject"].n_unique()
    print("\n".join(table(results, n_subjects)))


if __name__ == "__main__":
    main()
