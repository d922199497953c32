"""The study of one corpus: its folder and parameters, and what its evaluation has computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from consilience import new_study, params
from consilience.bench.settings import FILE, Corpus, changed
from consilience.core.files import intact, read_json, write_bytes
from consilience.project import Project
from consilience.reporting.results import default_method
from consilience.scaffold import write_params

LEADS = ("all", "grid")  # figures whose differences to the reference method are kept
# Balanced accuracy with all sensors, over subsets, of corrupted and of mismatched sensors, over the
# grid of these; calibration error.
FIGURES = ("all", "subsets", "noise", "mismatch", "grid", "ece", "grid_ece")
ENDS = ("", "_low", "_high")


def prepare(study: Project, corpus: Corpus) -> None:
    """Create the folder of a study if it is absent, and write its parameters.

    They are written in every call: DVC compares their values, so that equal ones make nothing
    stale.

    Parameters
    ----------
    study : Project
    corpus : Corpus
        Of `Settings.complete`.

    Raises
    ------
    ConsilienceError
        If the recordings cannot be listed or a parameter is invalid.
    """
    if not study.params_file.is_file():
        new_study.create(study.root, corpus.dataset, Path(corpus.root))
    lines = write_params(study, corpus.dataset, corpus.root, corpus.modalities, force=True)
    content = dict(Project(study.root).content, methods={name: {} for name in corpus.methods})
    content = changed(content, corpus.params)
    content = params.completed(content, f"{FILE}: {study.root.name}")
    write_bytes(study.params_file, params.document(content, lines).encode())


def results(study: Project) -> dict[str, Any]:
    """Return the size of an evaluated corpus, the figures of every method and their differences.

    Returns
    -------
    dict
        ``people``, ``windows`` (with a class, all of unseen people), ``sensors``, ``classes``,
        ``chance``; ``reference``, the method that the others are compared with;
        ``methods`` by name, with the 95 % intervals ``<figure>_low`` and ``<figure>_high``;
        ``leads``: the reference method less each other.

    Raises
    ------
    ConsilienceError
        If a file is missing or damaged.
    """
    meta = read_json(study.windows / "meta.json")
    metrics = read_json(study.evaluation / "metrics.json")
    path = study.evaluation / "windows.parquet"
    windows = intact(path, lambda: pl.read_parquet(path, columns=["subject", "actual"]))
    windows = windows.drop_nulls()
    reference = default_method(metrics)
    compared = metrics[reference]
    return {
        "people": windows["subject"].n_unique(),
        "windows": windows.height,
        "sensors": meta["modalities"],
        "classes": meta["classes"],
        "chance": 1 / len(meta["classes"]),
        "reference": reference,
        "methods": {name: _chosen(values, FIGURES) for name, values in metrics.items()},
        "leads": {
            name: {
                f"{figure}{end}": compared[f"{figure}_over_{name}{end}"]
                for figure in LEADS
                for end in ENDS
                if f"{figure}_over_{name}{end}" in compared
            }
            for name in metrics
            if name != reference
        },
    }


def _chosen(values: dict[str, float], names: tuple[str, ...]) -> dict[str, float]:
    return {
        f"{name}{end}": values[f"{name}{end}"]
        for name in names
        for end in ENDS
        if f"{name}{end}" in values
    }
