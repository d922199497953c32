"""Rank a project's windows for another annotation, and list the labels that are probably wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.annotation.collected import answered_windows
from consilience.core.files import atomic_folder
from consilience.core.seeds import generator
from consilience.core.wording import counted
from consilience.project import Project
from consilience.query.evidence import Array, QueryEvidence, label_distrust
from consilience.query.predictions import project_evidence
from consilience.query.scores import coherence, confident_issues
from consilience.query.selection import SCORERS, Layout, select
from consilience.schema.params.plugins import DEFAULT_METHOD
from consilience.schema.params.query import QueryParams
from consilience.schema.tables import DoubtfulLabels, Ranking, Table, frame_of, write_table
from consilience.windows.places import Source, places, session_sources
from consilience.windows.store import Corpus, load_corpus

COPIED = ("window", "session", "subject", "trial", "start_s", "end_s")


def query(project: Project, emit: Callable[[str], None] = print) -> None:
    """Write ``data/query``: windows to annotate again, and doubtful labels.

    Parameters
    ----------
    project : Project
        With trained models.
    emit : callable
        Receives the lines of the summary.

    Raises
    ------
    ConsilienceError
        If a model or a table is missing or invalid.
    """
    params = project.section(QueryParams)
    corpus = load_corpus(project.windows, project.corrupted)
    methods = list(project.content["methods"])
    method = DEFAULT_METHOD if DEFAULT_METHOD in methods else methods[0]
    evidence = project_evidence(corpus, project.model(method))
    answered = answered_windows(project, corpus.index)
    sources = session_sources(project, corpus.modalities)
    ranking = ranked(corpus, evidence, params, answered, sources)
    doubtful = doubtful_labels(corpus, evidence, params.min_distrust, answered, sources)
    with atomic_folder(project.query) as folder:
        write_table(folder / project.ranking.name, ranking, Ranking)
        write_table(folder / project.doubtful_labels.name, doubtful, DoubtfulLabels)
    emit(
        f"query: {counted(ranking.height, 'window')} ranked by {params.strategy}, "
        f"{doubtful.height} of "
        f"{int(evidence.labelled.sum())} labels doubtful, "
        f"{counted(int(answered.sum()), 'window')} answered"
    )


def layout_of(index: pl.DataFrame) -> Layout:
    """Return the places in time of the windows of table `Labels`."""
    _, session = np.unique(index["session"].to_numpy(), return_inverse=True)
    start_s, end_s = (index[name].to_numpy().astype(float) for name in ("start_s", "end_s"))
    return Layout(session, start_s, end_s)


def ranked(
    corpus: Corpus,
    evidence: QueryEvidence,
    params: QueryParams,
    answered: NDArray[np.bool_],
    sources: Mapping[str, Sequence[Source]],
) -> pl.DataFrame:
    """Return the `Ranking` of the windows that were not answered.

    Parameters
    ----------
    corpus : Corpus
    evidence : QueryEvidence
    params : QueryParams
    answered : ndarray of bool, shape (N,)
    sources : mapping of str to sequence of Source
        By session.
    """
    candidates = evidence.predicted & ~answered
    rng = generator("query", params.strategy, corpus.dataset)
    order = select(evidence, layout_of(corpus.index), params, candidates, answered, rng)
    scorer = SCORERS.get(params.strategy)
    score = scorer(evidence, params) if scorer else np.full(len(candidates), np.nan)
    distrust = label_distrust(evidence)
    reason = _Reasons(corpus, evidence, params)
    rows = [
        {
            "rank": number,
            **_described(corpus, evidence, row, sources),
            "score": float(score[row]) if np.isfinite(score[row]) else None,
            "reason": reason.of_strategy(row),
            "distrust": float(distrust[row]),
        }
        for number, row in enumerate(order, 1)
    ]
    return _frame(rows, Ranking)


def doubtful_labels(
    corpus: Corpus,
    evidence: QueryEvidence,
    min_distrust: float,
    answered: NDArray[np.bool_],
    sources: Mapping[str, Sequence[Source]],
) -> pl.DataFrame:
    """Return the `DoubtfulLabels`: labels with at least a probability to be wrong."""
    distrust = label_distrust(evidence)
    labelled = evidence.labelled & evidence.predicted
    listed = np.zeros(len(distrust), bool)
    rows = np.flatnonzero(labelled)
    listed[rows] = confident_issues(evidence.mean[rows], evidence.target[rows].argmax(1))
    doubtful = np.flatnonzero(labelled & ~answered & (np.nan_to_num(distrust) >= min_distrust))
    order = doubtful[np.argsort(-distrust[doubtful], kind="stable")]
    reason = _Reasons(corpus, evidence, None)
    table = [
        {
            **_described(corpus, evidence, row, sources),
            "distrust": float(distrust[row]),
            "confident_learning": bool(listed[row]),
            "reason": reason.of_label(row),
        }
        for row in order
    ]
    return _frame(table, DoubtfulLabels)


def _described(
    corpus: Corpus, evidence: QueryEvidence, row: int, sources: Mapping[str, Sequence[Source]]
) -> dict[str, Any]:
    """Return the columns that both tables share."""
    described: dict[str, Any] = corpus.index.row(row, named=True)
    moment = places(sources.get(described["session"], ()), described["start_s"])
    first = moment[0] if moment else None
    return {
        **{name: described[name] for name in COPIED},
        "file": first and first.path,
        "item": first and first.item,
        "file_s": first and first.second_s,
        "files": "; ".join(map(str, moment)),
        "label": _label(corpus, evidence, row),
        "predicted": corpus.classes[int(evidence.mean[row].argmax())],
    }


def _label(corpus: Corpus, evidence: QueryEvidence, row: int) -> str | None:
    """Return the most probable class of a window's label."""
    return corpus.classes[int(evidence.target[row].argmax())] if evidence.labelled[row] else None


class _Reasons:
    """Why a window is listed, in one sentence each."""

    def __init__(self, corpus: Corpus, evidence: QueryEvidence, params: QueryParams | None) -> None:
        self._corpus, self._evidence, self._params = corpus, evidence, params
        self._score = coherence(evidence, params) if params else None

    def of_label(self, row: int) -> str:
        """Return which sensors contradict the label of a window."""
        named = self._named(row)
        label = _label(self._corpus, self._evidence, row)
        against = ", ".join(f"{sensor} {name}" for sensor, name in named.items() if name != label)
        return f"label {label}, but {against}" if against else f"label {label} is improbable"

    def of_strategy(self, row: int) -> str:
        """Return why the strategy ranks a window."""
        if self._params is None or self._score is None or self._params.strategy != "coherence":
            return _OTHER[self._params.strategy] if self._params else ""
        terms: list[tuple[float, str]] = [
            (float(self._score.distrust[row]), self._of_class(row)),
            (float(self._score.disagreement[row]), f"sensors differ: {self._listed(row)}"),
            (float(self._score.vacuity[row]), "little evidence for any class"),
        ]
        return max(terms, key=lambda term: term[0])[1]

    def _of_class(self, row: int) -> str:
        if self._evidence.labelled[row]:
            return self.of_label(row)
        return f"unlabelled, and the class is uncertain: {self._listed(row)}"

    def _listed(self, row: int) -> str:
        return ", ".join(f"{sensor} {name}" for sensor, name in self._named(row).items())

    def _named(self, row: int) -> dict[str, str]:
        """Return the most probable class by each available sensor."""
        probability: Array = self._evidence.sensors[row]
        return {
            sensor: self._corpus.classes[int(probability[number].argmax())]
            for number, sensor in enumerate(self._corpus.modalities)
            if self._evidence.available[row, number]
        }


_OTHER = {
    "entropy": "the prediction is uncertain",
    "margin": "two classes are almost as probable",
    "bald": "the seeds predict different classes",
    "coreset": "far from every annotated window",
    "badge": "uncertain, and unlike the windows ranked before",
    "confident_learning": "the label is improbable for its class",
    "random": "drawn at random",
}


def _frame(rows: list[dict[str, Any]], schema: type[Table]) -> pl.DataFrame:
    """Return rows as a table with exactly the columns of a schema."""
    names = list(schema.to_schema().columns)
    return frame_of([{name: row[name] for name in names} for row in rows], schema)
