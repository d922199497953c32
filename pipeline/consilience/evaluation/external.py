"""Evaluation of a trained model on new labelled recordings: ``consilience evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.wording import counted
from consilience.core.workers import report
from consilience.datasets.base import bind_isolated
from consilience.evaluation.aggregate import by_kind, summary
from consilience.evaluation.new_recordings import (
    Card,
    check_classes,
    check_features,
    check_modalities,
    cut_windows,
    nested_project,
)
from consilience.evaluation.predict import load_bundle
from consilience.evaluation.resampling import interval
from consilience.evaluation.scorer import Resampled, resample, score
from consilience.preparation import recordings_to_labels
from consilience.project import Project
from consilience.schema.params.robustness import RobustnessParams
from consilience.training.bundle import read_bundle_card
from consilience.training.conditioned import load_windows
from consilience.windows import conditions
from consilience.windows.conditions import SUBSET
from consilience.windows.corrupt import corrupt
from consilience.windows.store import Corpus, load_corpus

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class External:
    """Result of an evaluation.

    Attributes
    ----------
    bundle : Path
    card : dict
    corpus : Corpus
    overlap : list of str
        Subjects of which the training had a recording.
    runs : int
        Number of runs of the bundle, averaged for every subject except those of `overlap`.
    figures : dict of str to (estimate, low, high)
    conditions : list of dict
        Every metric under every condition.
    kinds : list of dict
        Estimates of `aggregate.by_kind`.
    """

    bundle: Path
    card: Card
    corpus: Corpus
    overlap: list[str]
    runs: int
    figures: dict[str, Interval]
    conditions: list[dict[str, Any]]
    kinds: list[dict[str, Any]]

    @property
    def subjects(self) -> list[str]:
        """All tested subjects."""
        return sorted(self.corpus.index["subject"].unique().to_list())

    def as_json(self) -> dict[str, Any]:
        """Return the result as nested dicts and lists of numbers and strings."""
        return {
            "bundle": str(self.bundle),
            "method": self.card["method"],
            "trained_on": self.card["dataset"],
            "dataset": self.corpus.dataset,
            "modalities": self.corpus.modalities,
            "classes": self.corpus.classes,
            "subjects": self.subjects,
            "windows": self.corpus.index.height,
            "subjects_seen_in_training": self.overlap,
            "runs": self.runs,
            "figures": {
                name: dict(zip(("estimate", "low", "high"), values, strict=True))
                for name, values in self.figures.items()
            },
            "conditions": self.conditions,
            "kinds": self.kinds,
        }


def evaluate_bundle(
    project: Project, bundle: Path, root: Path, dataset: str, grid: bool
) -> External:
    """Score a trained model on a dataset's labelled recordings.

    The recordings are processed with the parameters of the training. The predictions of all runs of
    the bundle are averaged. A subject with a recording that runs were trained or validated on is
    scored only by the other runs, and left out if every run was.

    Parameters
    ----------
    project : Project
        Stores the processed recordings, which a second evaluation reuses.
    bundle : Path
        Folder with ``model.safetensors`` and ``card.json``.
    root : Path
        Folder of the recordings.
    dataset : str
        Name of its adapter.
    grid : bool
        Whether to test all conditions; otherwise modality subsets only.

    Raises
    ------
    ConsilienceError
        If the bundle is incomplete, or the recordings have other classes, modalities or features
        than it, or no labels, or all of their subjects were in the training.
    """
    card = read_bundle_card(bundle)
    # Checked before hours of processing: a mismatch would show only in the weights.
    source = bind_isolated(registry.get("datasets", dataset), root)
    check_classes(card, source, dataset)
    check_modalities(card, source, dataset)
    model = load_bundle(bundle)
    modalities = list(card["recipe"]["modalities"])
    other = nested_project(project, card, root.resolve(), dataset, modalities, corruptions=grid)
    recordings_to_labels(other, report)
    seen = cut_windows(other, card, report, labelled=True)
    if grid:
        corrupt(other, report)
    corpus = _relabelled(load_corpus(other.windows, other.corrupted), card)
    check_features(corpus, card)
    _check_new_people(corpus)

    settings = RobustnessParams()
    tested = conditions.conditions(corpus)
    if not grid:
        tested = [condition for condition in tested if condition.kind == SUBSET]
    prepared = load_windows(corpus, tested)
    evaluated = score([model], corpus, prepared, tested, settings.calibration_bins, ensemble=True)
    resampled = resample(evaluated, settings.bootstrap)
    return External(
        bundle,
        card,
        corpus,
        sorted(set(evaluated.subjects) & set(seen)),
        len(model.runs),
        {
            name: interval(values, resampled.n_subjects)
            for name, values in summary(resampled).items()
        },
        _conditions(resampled),
        _kinds(resampled),
    )


def _check_new_people(corpus: Corpus) -> None:
    """Raise if no run of a model held out a subject of the recordings."""
    if "test" not in corpus.splits["role"]:
        raise ConsilienceError(
            "the model was trained on recordings of every subject",
            f"dataset '{corpus.dataset}'",
            "evaluate recordings of other people",
        )


def _relabelled(corpus: Corpus, card: Card) -> Corpus:
    """Return the corpus with the model's classes, in the model's order."""
    classes = tuple(card["classes"])
    # Classes that the new dataset lacks keep a probability of 0 in every label.
    target = np.zeros((len(corpus.index), len(classes)), np.float32)
    for place, name in enumerate(corpus.classes):
        target[:, classes.index(name)] = corpus.target[:, place]
    target[~np.isfinite(corpus.target).all(1)] = np.nan
    return replace(corpus, classes=classes, target=target)


def _conditions(resampled: Resampled) -> list[dict[str, Any]]:
    return [
        {
            **condition._asdict(),
            **{
                name: float(values[0, number])
                for name, values in resampled.scores.items()
                if np.isfinite(values[0, number])
            },
        }
        for number, condition in enumerate(resampled.conditions)
    ]


def _kinds(resampled: Resampled) -> list[dict[str, Any]]:
    return [
        {"modality": modality, "kind": kind, **{name: float(v[0]) for name, v in figures.items()}}
        for (modality, kind), figures in by_kind(resampled).items()
    ]


def table(result: External) -> Table:
    """Return an evaluation as a table, one row per figure."""
    n_subjects = len(result.subjects)
    rows = Table(
        title=f"{result.card['method'].replace('_', ' ')} on {result.corpus.dataset}: "
        f"{counted(n_subjects, 'subject')}, "
        f"{counted(result.corpus.index.height, 'window')}",
        caption=f"chance {1 / len(result.corpus.classes):.3f}; "
        f"mean of {result.runs} runs; intervals over subjects",
        box=box.SIMPLE,
        pad_edge=False,
    )
    rows.add_column("figure", no_wrap=True)
    rows.add_column("estimate", justify="right")
    rows.add_column("95 % interval", justify="right")
    for name, (estimate, low, high) in result.figures.items():
        rows.add_row(name.replace("_", " "), f"{estimate:.3f}", f"{low:.3f} to {high:.3f}")
    return rows


def warnings(result: External) -> Sequence[str]:
    """Return the limitations of an evaluation, one line each."""
    lines = []
    if result.overlap:
        lines.append(
            f"the model was trained or validated on recordings of these subjects: "
            f"{', '.join(result.overlap)}; each is scored only by the runs that held it out"
        )
    if len(result.subjects) < 2:
        lines.append("a single subject: the intervals are meaningless")
    return lines
