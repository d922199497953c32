"""Figures of an entry beside those of `consilience.evaluation.aggregate`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from consilience.evaluation.aggregate import ConditionIndex
from consilience.evaluation.scorer import Resampled
from consilience.windows.conditions import DESYNC

Array = NDArray[np.float64]


def severe_figures(scores: Resampled, held_out: Collection[str]) -> dict[str, Array]:
    """Return the balanced accuracy under severe failures of seen and of held-out kinds, each (W,).

    ``severe_seen``, ``severe_held_out``: mean over every sensor and kind of corruption at the
    highest severity, of the kinds that training and calibration use, and of those they never use.
    ``left_out_seen``, ``left_out_held_out``: the same mean where the corrupted sensor is left out,
    as if an oracle named it. Empty with one sensor, and without kinds of a group.

    Parameters
    ----------
    scores : Resampled
    held_out : collection of str
        Kinds of corruption.
    """
    index = ConditionIndex(scores.conditions, scores.modalities)
    if len(index.modalities) < 2:
        return {}
    # A desynchronised sensor does not fail.
    worst = [number for number in index.worst if scores.conditions[number].kind != DESYNC]
    rest = {
        name: index.subset(*(other for other in index.modalities if other != name))
        for name in index.modalities
    }
    accuracy = scores.scores["balanced_accuracy"]
    figures: dict[str, Array] = {}
    for group, is_held_out in (("seen", False), ("held_out", True)):
        chosen = [n for n in worst if (scores.conditions[n].kind in held_out) == is_held_out]
        if chosen:
            left_out = [rest[scores.conditions[number].modalities[0]] for number in chosen]
            figures[f"severe_{group}"] = accuracy[:, chosen].mean(1)
            figures[f"left_out_{group}"] = accuracy[:, left_out].mean(1)
    return figures


def mean_of_single_sensors(figures: Mapping[str, Array]) -> dict[str, Array]:
    """Return ``alone``: mean balanced accuracy over the sensors, each alone; empty without any."""
    single = [values for name, values in figures.items() if name.startswith("only_")]
    return {"alone": np.mean(single, axis=0)} if single else {}
