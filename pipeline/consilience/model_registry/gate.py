"""Compare the model of the last training with the accepted one: ``consilience gate``.

Both are compared by predictions for people that their networks were not trained on, for the same
windows and against the same labels; `consilience.model_registry.predictions` explains what is
stored of the accepted model. docs/models.md states what the comparison can show.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from consilience.core.files import write_json
from consilience.model_registry import registry
from consilience.model_registry.comparison import (
    ALL,
    ECE,
    NOT_WORSE,
    QUARTER,
    SUBSET,
    UNCERTAIN,
    WORSE,
    Pair,
    PairedWindows,
    Row,
    compare_windows,
)
from consilience.model_registry.decision import Decision
from consilience.model_registry.predictions import (
    OutOfFold,
    matched,
    predict_out_of_fold,
    project_windows,
)
from consilience.project import Project
from consilience.schema.params.gate import GateParams
from consilience.schema.params.plugins import DEFAULT_METHOD
from consilience.schema.params.robustness import RobustnessParams
from consilience.windows.store import Corpus

LABELS = {
    ALL: "accuracy with all sensors",
    SUBSET: "accuracy with the worst subset of sensors",
    QUARTER: "accuracy of the worst quarter of people",
    ECE: "calibration error",
}
FIRST = "first: no model is accepted yet"


def compare(project: Project, *, method: str | None = None) -> Decision:
    """Compare the model of the last training with the accepted one; write ``data/gate.json``.

    Parameters
    ----------
    project : Project
        With windows and the model of the method.
    method : str, optional
        By default, the one whose predictions the report shows.

    Raises
    ------
    ConsilienceError
        If the method is not trained on the project's windows, or the accepted version is damaged.
    """
    params = project.section(GateParams)
    method = method or default_method(project)
    sha256 = registry.model_hash(project, method)
    candidate = Decision(True, method, sha256, None, (), confidence=params.confidence)
    current = registry.current(project)
    if current is None:
        decision = replace(candidate, reasons=(FIRST,))
    else:
        decision = _against(project, replace(candidate, against=current.name), params)
    write_json(project.gate, decision.as_json())
    return decision


def default_method(project: Project) -> str:
    """Return the method whose predictions the evaluation lists window by window."""
    methods = list(project.content["methods"])
    return DEFAULT_METHOD if DEFAULT_METHOD in methods else str(methods[0])


def forced(project: Project, reason: str, *, method: str | None = None) -> Decision:
    """Return the decision of a person to accept a model without a comparison.

    Raises
    ------
    ConsilienceError
        If the method is not trained.
    """
    method = method or default_method(project)
    current = registry.current(project)
    return Decision(
        True,
        method,
        registry.model_hash(project, method),
        current.name if current else None,
        (f"forced: {reason}",),
    )


def _against(project: Project, candidate: Decision, params: GateParams) -> Decision:
    """Compare a candidate with the accepted version that it names."""
    existing = registry.version_of_model(project, candidate.model_sha256)
    if existing is not None and existing.name == candidate.against:
        return replace(candidate, reasons=(f"the model is that of {existing.name} itself",))
    if existing is not None and registry.is_rolled_back(project, existing.name):
        line = f"the model is that of {existing.name}, which was rolled back"
        return replace(candidate, accepted=False, reasons=(line,))
    assert candidate.against is not None
    accepted = registry.predictions(project, candidate.against)
    corpus = project_windows(project)
    predicted = predict_out_of_fold(project, candidate.method, corpus)
    n_bins = project.section(RobustnessParams).calibration_bins
    return completed(candidate, predicted, accepted, corpus, params, n_bins)


def completed(
    candidate: Decision,
    predicted: OutOfFold,
    accepted: OutOfFold,
    corpus: Corpus,
    params: GateParams,
    n_bins: int,
) -> Decision:
    """Complete a decision by the comparison of two models' predictions.

    Parameters
    ----------
    candidate : Decision
        Without rows and reasons.
    predicted, accepted : OutOfFold
        Of the candidate for the windows of the corpus, and of the accepted model.
    corpus : Corpus
        Its labels are the truth for both.
    params : GateParams
    n_bins : int
        Confidence bins of the calibration error.
    """
    if predicted.classes != accepted.classes:
        line = _other_classes(predicted, accepted)
        return replace(candidate, accepted=False, reasons=(line,))
    windows, n_left_out = paired_windows(predicted, accepted, corpus)
    counted = replace(
        candidate,
        n_people=windows.n_people,
        n_windows=len(windows.person),
        n_left_out=n_left_out,
    )
    if windows.n_people < params.min_people:
        line = _too_few(windows.n_people, params)
        return replace(counted, accepted=False, reasons=(line,))
    rows = compare_windows(windows, params, n_bins)
    worse = [row for row in rows if row.verdict == WORSE]
    reasons = tuple(map(_reason, worse or rows))
    return replace(counted, accepted=not worse, reasons=reasons, rows=tuple(rows))


def paired_windows(
    predicted: OutOfFold, accepted: OutOfFold, corpus: Corpus
) -> tuple[PairedWindows, int]:
    """Return the labelled windows that both models predict, and the number of other people.

    Parameters
    ----------
    predicted, accepted : OutOfFold
        Of the same classes.
    corpus : Corpus
        Of the first model's windows.
    """
    rows, of_accepted = matched(predicted, accepted)
    target = corpus.target.astype(np.float64)[rows]
    full = _pair(predicted.probability[0][:, rows], accepted.probability[0][:, of_accepted])
    predicted_by_both = np.asarray(np.isfinite(full.candidate).all((0, 2)))
    used = predicted_by_both & np.isfinite(target).all(1)
    places = {frozenset(subset): place for place, subset in enumerate(accepted.subsets)}
    subsets = {
        "+".join(subset): _pair(
            predicted.probability[place][:, rows[used]],
            accepted.probability[places[frozenset(subset)]][:, of_accepted[used]],
        )
        for place, subset in enumerate(predicted.subsets)
        if frozenset(subset) in places
    }
    subjects = corpus.index["subject"].to_numpy()
    names, person = np.unique(subjects[rows[used]], return_inverse=True)
    return (
        PairedWindows(
            Pair(full.candidate[:, used], full.accepted[:, used]),
            subsets,
            target[used],
            person.astype(np.int64),
            len(names),
        ),
        len(np.unique(subjects)) - len(names),
    )


def _pair(candidate: NDArray[np.float32], accepted: NDArray[np.float32]) -> Pair:
    """Return two models' predictions (Z, N, K) without windows that one of them lacks."""
    finite = [np.asarray(np.isfinite(model).all((0, 2))) for model in (candidate, accepted)]
    both = (finite[0] & finite[1])[:, None]
    return Pair(np.where(both, candidate, np.nan), np.where(both, accepted, np.nan))


def _reason(row: Row) -> str:
    finding = {
        WORSE: f"worse by more than {row.margin:g}",
        NOT_WORSE: f"not worse by more than {row.margin:g}",
        UNCERTAIN: f"too uncertain for the margin of {row.margin:g}",
    }[row.verdict]
    return (
        f"{LABELS[row.figure]}: {finding}: {row.difference:+.3f} ({row.low:+.3f} to "
        f"{row.high:+.3f}), from {row.accepted:.3f} to {row.candidate:.3f}"
    )


def _other_classes(predicted: OutOfFold, accepted: OutOfFold) -> str:
    return (
        f"not comparable: classes {', '.join(predicted.classes)}, of the accepted model "
        f"{', '.join(accepted.classes)}"
    )


def _too_few(n_people: int, params: GateParams) -> str:
    return (
        f"not comparable: {n_people} people with a window that both models predict, fewer than "
        f"gate.min_people ({params.min_people})"
    )
