"""Figures of an entry beside those of `consilience.evaluation.aggregate`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.evaluation.aggregate import ConditionIndex, Figures
from consilience.evaluation.resampling import subject_weights
from consilience.evaluation.scorer import Evaluated, Resampled, resampled
from consilience.windows.conditions import DESYNC, Condition

Array = NDArray[np.float64]


def severe_figures(evaluated: Evaluated, held_out: Collection[str], n_resamples: int) -> Figures:
    """Return the balanced accuracy under severe failures of seen and of held-out kinds.

    ``severe_seen``, ``severe_held_out``: mean over every sensor and kind of corruption at the
    highest severity, of the kinds that training and calibration use, and of those they never use.
    ``left_out_seen``, ``left_out_held_out``: the same mean where the corrupted sensor is left out,
    as if an oracle named it. Empty with one sensor, and without kinds of a group.

    Parameters
    ----------
    evaluated : Evaluated
    held_out : collection of str
        Kinds of corruption.
    n_resamples : int
    """
    index = ConditionIndex(evaluated.conditions, evaluated.modalities)
    if len(index.modalities) < 2:
        return Figures({}, {})
    worst = [evaluated.conditions[number] for number in index.worst]
    worst = [condition for condition in worst if condition.kind != DESYNC]  # no sensor fails
    rest = {
        name: evaluated.conditions[index.subset(*(m for m in index.modalities if m != name))]
        for name in index.modalities
    }
    of_conditions = _accuracies(evaluated, [*worst, *rest.values()], n_resamples)
    figures: dict[str, Array] = {}
    for group, is_held_out in (("seen", False), ("held_out", True)):
        chosen = [c for c in worst if (c.kind in held_out) == is_held_out]
        if chosen:
            figures[f"severe_{group}"] = _mean(of_conditions, chosen)
            left_out = [rest[condition.modalities[0]] for condition in chosen]
            figures[f"left_out_{group}"] = _mean(of_conditions, left_out)
    return _split(figures, len(evaluated.subjects))


def with_alone(figures: Figures) -> Figures:
    """Return figures with ``alone``: mean balanced accuracy over the sensors, each alone."""

    def extended(values: dict[str, Array]) -> dict[str, Array]:
        alone = [of_figure for name, of_figure in values.items() if name.startswith("only_")]
        return {**values, "alone": np.mean(alone, axis=0)} if alone else values

    return Figures(extended(figures.sample), extended(figures.subjects))


def _accuracies(
    evaluated: Evaluated, conditions: Sequence[Condition], n_resamples: int
) -> dict[Condition, Array]:
    """Return the balanced accuracy of some conditions (W + S,): all resamples, then subjects."""
    numbers = [evaluated.conditions.index(condition) for condition in conditions]
    sums = {name: values[numbers] for name, values in evaluated.sums.items()}
    chosen = replace(
        evaluated,
        conditions=list(conditions),
        sums=sums,
        detections={},
        areas={},
        detection_areas={},
    )
    n_subjects = len(evaluated.subjects)
    weights = np.concatenate([subject_weights(n_subjects, n_resamples), np.eye(n_subjects)])
    scores: Resampled = resampled(chosen, weights)
    accuracy = scores.scores["balanced_accuracy"]
    return {condition: accuracy[:, place] for place, condition in enumerate(conditions)}


def _mean(of_conditions: dict[Condition, Array], chosen: Sequence[Condition]) -> Array:
    result: Array = np.mean([of_conditions[condition] for condition in chosen], axis=0)
    return result


def _split(figures: dict[str, Array], n_subjects: int) -> Figures:
    sample: dict[str, Any] = {name: values[:-n_subjects] for name, values in figures.items()}
    subjects: dict[str, Any] = {name: values[-n_subjects:] for name, values in figures.items()}
    return Figures(sample, subjects)
