"""Recordings without labels, cut into windows as those of a model's training.

Sensors that the recordings lack, or of which none is usable, are absent: the model predicts from
the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from consilience.core import registry
from consilience.datasets.base import bind_isolated
from consilience.evaluation.new_recordings import (
    Card,
    check_features,
    check_modalities,
    cut_windows,
    nested_project,
    offered_modalities,
)
from consilience.ingest.usable import UnusableModalityError
from consilience.preparation import recordings_to_labels
from consilience.project import Project
from consilience.training.people import Roles
from consilience.windows.store import Corpus, load_corpus

Emit = Callable[[str], None]


def process_recordings(
    project: Project, card: Card, root: Path, dataset: str, emit: Emit
) -> tuple[Project, dict[str, Roles]]:
    """Process recordings up to windows with the parameters of a model's training.

    Parameters
    ----------
    project : Project
        Stores the processed recordings, which a second run reuses.
    card : dict
        The model's card.
    root : Path
        Folder of the recordings.
    dataset : str
        Name of its adapter.
    emit : callable
        Receives the lines of the summary.

    Returns
    -------
    other : Project
        Nested in `project`, with catalog, signals, alignment, labels and windows.
    seen : dict of str to (mapping of str to str)
        What `new_recordings.cut_windows` returned.

    Raises
    ------
    ConsilienceError
        If the folder is not such a dataset, or has no usable recording of any of the sensors.
    """
    source = bind_isolated(registry.get("datasets", dataset), root)
    check_modalities(card, source, dataset, any_subset=True)
    modalities = offered_modalities(card, source)
    while True:
        other = nested_project(
            project, card, root.resolve(), dataset, modalities, corruptions=False
        )
        try:
            recordings_to_labels(other, emit)
            break
        except UnusableModalityError as error:
            if len(modalities) == 1:
                raise
            emit(f"predict: without {error.modality}: {error.what}")
            modalities = [name for name in modalities if name != error.modality]
    return other, cut_windows(other, card, emit, labelled=False)


def load_windows_for(card: Card, windows: Path) -> Corpus:
    """Return the windows of recordings as a corpus with all sensors and the classes of a model.

    Parameters
    ----------
    card : dict
    windows : Path
        What `process_recordings` wrote.

    Raises
    ------
    ConsilienceError
        If the features of a sensor differ from those of the training.
    """
    corpus = load_corpus(windows, labelled=False)
    names = tuple(card["features"])
    shapes = card["inputs"]
    absent = {name: tuple(shapes[name]) for name in names if name not in corpus.modalities}
    corpus = replace(
        corpus,
        modalities=names,
        available=_columns(corpus.available, corpus.modalities, names),
        features={name: corpus.features.get(name, card["features"][name]) for name in names},
        variants={name: () for name in names},
        classes=tuple(card["classes"]),
        # Labels of the recordings, if any, are not used.
        target=np.full((len(corpus.index), len(card["classes"])), np.nan, np.float32),
        affect=np.full((len(corpus.index), 2), np.nan, np.float32),
        encodings=card.get("encodings", {}),
        absent=absent,
    )
    check_features(corpus, card)
    return corpus


def _columns(
    available: NDArray[np.bool_], present: Sequence[str], names: Sequence[str]
) -> NDArray[np.bool_]:
    """Return the availability (N, M) of all sensors of a model; absent ones are never available."""
    columns = np.zeros((len(available), len(names)), bool)
    for place, name in enumerate(present):
        columns[:, names.index(name)] = available[:, place]
    return columns
