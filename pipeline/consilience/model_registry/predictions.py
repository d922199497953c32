"""Predictions of a project's model for people that its networks were not trained on.

They are stored beside the accepted bundle, so that a later model can be compared with it on people
that neither was trained on: the bundle's own network is trained on all people.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.core.errors import ConsilienceError
from consilience.core.files import read_arrays, write_arrays
from consilience.evaluation.predict import load_bundle, predict
from consilience.evaluation.scorer import pool_by_seed
from consilience.project import Project
from consilience.schema.tables import Recordings, read_table
from consilience.training.conditioned import load_windows
from consilience.training.people import DIGITS
from consilience.training.run import data_hash
from consilience.windows.conditions import SUBSET, Condition, conditions
from consilience.windows.store import Corpus, load_corpus

Subset = tuple[str, ...]  # names of the available sensors
Session = dict[str, str]  # hashes of the recordings, by sensor

TIME_DIGITS = 3  # of a window's ends, s


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions of a model for N windows by networks of other people.

    Attributes
    ----------
    classes, modalities : tuple of str
    subsets : tuple of Subset
        All sensors first.
    probability : ndarray of float32, shape (C, Z, N, K)
        By subset and seed; NaN where a window lacks the sensors or has no role.
    sessions : tuple of Session
    session : ndarray of int, shape (N,)
        Position of each window's session.
    start_s, end_s : ndarray, shape (N,)
        Of the windows in session time.
    """

    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    subsets: tuple[Subset, ...]
    probability: NDArray[np.float32]
    sessions: tuple[Session, ...]
    session: NDArray[np.int64]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]

    def save(self, path: Path) -> None:
        """Write ``predictions.npz``."""
        text = json.dumps(
            [self.classes, self.modalities, self.subsets, self.sessions], sort_keys=True
        )
        arrays = {name: getattr(self, name) for name in ARRAYS}
        write_arrays(path, {"about": np.array(text), **arrays})

    @classmethod
    def load(cls, path: Path) -> OutOfFold:
        """Read what `save` wrote.

        Raises
        ------
        DamagedFileError
            If the file is missing or damaged.
        """
        arrays = read_arrays(path)
        classes, modalities, subsets, sessions = json.loads(str(arrays.pop("about")))
        named = tuple(tuple(subset) for subset in subsets)
        return cls(
            classes=tuple(classes),
            modalities=tuple(modalities),
            subsets=named,
            sessions=tuple(sessions),
            **arrays,
        )


ARRAYS = ("probability", "session", "start_s", "end_s")  # fields of `OutOfFold`


def predict_out_of_fold(project: Project, method: str, corpus: Corpus) -> OutOfFold:
    """Predict every window with each subset of the sensors, by runs that test its person.

    Parameters
    ----------
    project : Project
        With the model of the method.
    method : str
    corpus : Corpus
        The project's windows.

    Raises
    ------
    ConsilienceError
        If the model is missing, damaged, or was trained on other windows.
    """
    tested = [condition for condition in conditions(corpus) if condition.kind == SUBSET]
    prepared = load_windows(corpus, tested)
    model = load_bundle(project.model(method), prepared)
    if model.card["data_sha256"] != data_hash(project):
        raise ConsilienceError(
            "trained on other windows than those in data/windows",
            str(project.model(method)),
            "run 'consilience run'",
        )

    def probability(condition: Condition) -> NDArray[np.float32]:
        predictions = predict([model], corpus, prepared, condition)
        return pool_by_seed(predictions, model.runs).probability.astype(np.float32)

    sessions, session = sessions_of(project, corpus)
    return OutOfFold(
        classes=corpus.classes,
        modalities=corpus.modalities,
        subsets=tuple(condition.modalities for condition in tested),
        probability=np.stack([probability(condition) for condition in tested]),
        sessions=sessions,
        session=session,
        start_s=corpus.index["start_s"].to_numpy().astype(np.float64),
        end_s=corpus.index["end_s"].to_numpy().astype(np.float64),
    )


def project_windows(project: Project) -> Corpus:
    """Read the windows of a project."""
    return load_corpus(project.windows, project.corrupted)


def sessions_of(project: Project, corpus: Corpus) -> tuple[tuple[Session, ...], NDArray[np.int64]]:
    """Return the recordings of each session, and each window's session as its position.

    A session is what was recorded, not its name: with another recording it is another session.
    """
    hashes: dict[str, dict[str, list[str]]] = {}
    for modality in corpus.modalities:
        table = read_table(project.recordings_table(modality), Recordings)
        usable = table.filter(pl.col("status") == "ok").drop_nulls("content_hash")
        for name, content_hash in usable.select("session", "content_hash").iter_rows():
            hashes.setdefault(name, {}).setdefault(modality, []).append(content_hash[:DIGITS])
    names, codes = np.unique(corpus.index["session"].to_numpy(), return_inverse=True)
    sessions = tuple(
        {modality: " ".join(sorted(of)) for modality, of in hashes.get(name, {}).items()}
        for name in names
    )
    return sessions, codes.astype(np.int64)


def window_keys(model: OutOfFold, modalities: Sequence[str]) -> list[tuple[object, ...] | None]:
    """Return what identifies each window in every study: recordings, start and end.

    Parameters
    ----------
    model : OutOfFold
    modalities : sequence of str
        Whose recordings are compared.

    Returns
    -------
    list of tuple or None
        None of a session without recordings of these sensors.
    """
    keys = [tuple(session.get(name, "") for name in modalities) for session in model.sessions]
    ends = np.round(np.stack([model.start_s, model.end_s], 1), TIME_DIGITS).tolist()
    return [
        (keys[code], *window) if any(keys[code]) else None
        for code, window in zip(model.session.tolist(), ends, strict=True)
    ]


def matched(first: OutOfFold, second: OutOfFold) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions in both models of the windows that both have, in the first's order."""
    shared = [name for name in first.modalities if name in second.modalities]
    places = {
        key: place for place, key in enumerate(window_keys(second, shared)) if key is not None
    }
    pairs = [
        (place, places[key])
        for place, key in enumerate(window_keys(first, shared))
        if key is not None and key in places
    ]
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]
