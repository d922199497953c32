"""Results of the experiments as the tables read them, and comparisons between entries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.plan import Experiment, Plan
from benchmarks.evidence.runner import read_figures
from consilience.core.errors import ConsilienceError
from consilience.core.files import read_arrays
from consilience.evaluation.aggregate import Figures
from consilience.evaluation.resampling import Paired, holm, interval, paired
from consilience.evaluation.scorer import Evaluated, Resampled, resampled
from consilience.schema.params.plugins import DEFAULT_METHOD

METHOD = DEFAULT_METHOD  # the claims are about it; its entry has the same name
NO_PEERS = (METHOD, "shuffled_teacher")  # with its ablations and its control
REFERENCE = "concat"  # selects the hardest quarter of people
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Outcome:
    """Results of one entry in one experiment."""

    name: str
    folder: Path

    @cached_property
    def card(self) -> dict[str, Any]:
        """Method, parameters, runs."""
        card: dict[str, Any] = json.loads((self.folder / "card.json").read_text())
        return card

    @cached_property
    def figures(self) -> Figures:
        """Every figure under every resample of the subjects."""
        return read_figures(self.folder)

    @cached_property
    def evaluated(self) -> Evaluated:
        """The sums the figures are made of."""
        return Evaluated.load(self.folder)

    @cached_property
    def pooled(self) -> Resampled:
        """Scores by condition, all subjects pooled: the estimates alone."""
        return resampled(self.evaluated, np.ones((1, len(self.evaluated.subjects))))

    def estimate(self, figure: str) -> tuple[float, float, float]:
        """Return a figure with its 95 % interval; NaN without a figure of that name."""
        if figure not in self.figures.sample:
            return float("nan"), float("nan"), float("nan")
        # A value for every subject, also of figures that only all of them together have.
        n_subjects = len(next(iter(self.figures.subjects.values())))
        return interval(self.figures.sample[figure], n_subjects)

    @property
    def corruption_trained(self) -> bool:
        """Whether its training windows were corrupted in part."""
        return any(settings["training"].get("corrupted") for settings in self.card["settings"])

    def n_subjects(self, figure: str) -> int:
        """Return how many subjects have a figure of their own."""
        return int(np.isfinite(self.figures.subjects.get(figure, np.empty(0))).sum())

    @cached_property
    def label_error_auroc(self) -> NDArray[np.float64] | None:
        """AUROC (R,) of each run's detection of wrong training labels; None without wrong ones."""
        path = self.folder / "label_errors.npz"
        return read_arrays(path)["auroc"] if path.is_file() else None


@dataclass(frozen=True)
class Results:
    """Outcomes by experiment and entry, in the plan's order, without experiments not yet run."""

    plan: Plan
    outcomes: dict[str, dict[str, Outcome]]

    def experiment(self, name: str) -> Experiment:
        """Return the plan of an experiment."""
        return self.plan.experiments[name]

    @property
    def planned(self) -> list[str]:
        """Names of all experiments, in the plan's order."""
        return list(self.plan.experiments)

    def missing(self, experiment: str) -> list[str]:
        """Return the planned entries of an experiment that have not been run."""
        planned = self.plan.expanded(self.plan.experiments[experiment].entries)
        return [name for name in planned if name not in self.of(experiment)]

    def of(self, experiment: str) -> dict[str, Outcome]:
        """Return an experiment's outcomes; empty if it has not been run."""
        return self.outcomes.get(experiment, {})

    def peers(self, experiment: str) -> dict[str, Outcome]:
        """Return the outcomes of all entries except `METHOD`, its ablations and its control."""
        return {
            name: outcome
            for name, outcome in self.of(experiment).items()
            if outcome.card["method"] not in NO_PEERS
        }


def load(plan: Plan, folder: Path) -> Results:
    """Return the results of all experiments that have been run.

    Raises
    ------
    ConsilienceError
        If no experiment has been run.
    """
    outcomes = {
        name: {
            entry: Outcome(entry, folder / name / entry)
            for entry in plan.expanded(experiment.entries)
            if (folder / name / entry / "card.json").is_file()
        }
        for name, experiment in plan.experiments.items()
        if (folder / name).is_dir()
    }
    if not any(outcomes.values()):
        raise ConsilienceError("no results", str(folder), "run 'make evidence'")
    return Results(plan, outcomes)


def worst_quarter(outcomes: Mapping[str, Outcome]) -> dict[str, float]:
    """Return each entry's mean accuracy over the quarter of people that are hardest.

    Hardest for `REFERENCE`, so that all entries are compared on the same people. A person's
    accuracy is balanced, with all sensors, clean. Empty without the reference.
    """
    if REFERENCE not in outcomes:
        return {}
    by_person = outcomes[REFERENCE].figures.subjects["all"]
    n_hardest = max(1, int(np.isfinite(by_person).sum()) // 4)
    hardest = np.argsort(by_person, kind="stable")[:n_hardest]  # NaN sorts last
    return {n: float(o.figures.subjects["all"][hardest].mean()) for n, o in outcomes.items()}


class Comparison(NamedTuple):
    """Difference between `METHOD` and another entry in one figure.

    Attributes
    ----------
    figure, other : str
    paired : Paired
    p_corrected : float
        Holm's, over the family the comparison was made in.
    """

    figure: str
    other: str
    paired: Paired
    p_corrected: float

    def ahead(self, sign: int) -> bool:
        """Return whether the first of the two is significantly better.

        Both the interval and the corrected test must exclude equality: the interval alone does
        not account for the number of comparisons, the test alone not for the size of a difference.

        Parameters
        ----------
        sign : int
            1 if higher values are better, -1 if lower ones are.
        """
        least = self.paired.low if sign > 0 else -self.paired.high
        return least > 0 and self.p_corrected < SIGNIFICANT


def compare(
    first: Outcome, others: Mapping[str, Outcome], figures: Sequence[str]
) -> list[Comparison]:
    """Compare an entry with others in some figures.

    All of these comparisons are one family of Holm's correction.
    """
    pairs = {
        (figure, name): difference_of(first, other, figure)
        for figure in figures
        for name, other in others.items()
        if has(figure, first, other)
    }
    corrected = holm({"\x1f".join(key): pair.p_value for key, pair in pairs.items()})
    return [Comparison(*key, pair, corrected["\x1f".join(key)]) for key, pair in pairs.items()]


def has(figure: str, *outcomes: Outcome) -> bool:
    """Return whether all of some entries have a figure."""
    return all(figure in outcome.figures.sample for outcome in outcomes)


def difference_of(first: Outcome, other: Outcome, figure: str) -> Paired:
    """Return the difference of two entries in a figure that both have."""
    return paired(
        first.figures.sample[figure],
        other.figures.sample[figure],
        first.figures.subjects[figure],
        other.figures.subjects[figure],
    )


def best(outcomes: Mapping[str, Outcome], figure: str, sign: int) -> Outcome | None:
    """Return the entry with the best estimate of a figure; None if none has it.

    Parameters
    ----------
    outcomes : mapping of str to Outcome
    figure : str
    sign : int
        1 if higher values are better, -1 if lower ones are.
    """
    having = [outcome for outcome in outcomes.values() if has(figure, outcome)]
    return max(having, key=lambda o: sign * o.figures.sample[figure][0], default=None)
