"""The figures that sum a method up, each under every resample of the subjects, shape (W,)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from consilience.evaluation.metrics import Array, spearman
from consilience.evaluation.resampling import Paired, interval, paired, subject_weights
from consilience.evaluation.scorer import Evaluated, Resampled, resampled
from consilience.schema.tables import AFFECT
from consilience.windows.conditions import CONFLICT, EVERYTHING, MISSING, SUBSET, Condition

WORST = 5  # severity
GRID_METRICS = ("balanced_accuracy", "nll", "ece", "adaptive_ece", "brier", "aurc")


@dataclass(frozen=True)
class Places:
    """Where the conditions stand along the axis of scores.

    Attributes
    ----------
    conditions : list of Condition
    modalities : list of str
    """

    conditions: list[Condition]
    modalities: list[str]

    @cached_property
    def full(self) -> int:
        """All modalities, clean."""
        return self.conditions.index(Condition(SUBSET, tuple(self.modalities)))

    def subset(self, *names: str) -> int:
        """Only these modalities."""
        return self.conditions.index(Condition(SUBSET, names))

    def of_kind(self, kind: str) -> list[int]:
        """All conditions of a kind."""
        return [n for n, condition in enumerate(self.conditions) if condition.kind == kind]

    @cached_property
    def kinds(self) -> dict[tuple[str, str], list[int]]:
        """Severities, ascending, of each modality and kind of corruption or desynchronisation."""
        found: dict[tuple[str, str], list[int]] = {}
        for number, condition in enumerate(self.conditions):
            if condition.kind not in (SUBSET, CONFLICT, MISSING, EVERYTHING):
                found.setdefault((condition.modalities[0], condition.kind), []).append(number)
        return {
            key: sorted(numbers, key=lambda n: self.conditions[n].severity)
            for key, numbers in found.items()
        }

    def corrupted(self, modality: str) -> list[int]:
        """All kinds and severities of one modality."""
        return [n for (name, _), found in self.kinds.items() if name == modality for n in found]

    @property
    def worst(self) -> list[int]:
        """Each modality and kind at the highest severity."""
        found = [numbers[-1] for numbers in self.kinds.values()]
        return [number for number in found if self.conditions[number].severity == WORST]


def summary(found: Resampled) -> dict[str, Array]:
    """Return the figures of a method, each (W,); those that cannot be told are left out.

    Balanced accuracy
        with all modalities (``all``), all but one (``without_<m>``), one (``only_<m>``), the mean
        and the worst subset (``subsets``, ``subsets_worst``); with one modality corrupted
        (``noise_<m>``: mean over its kinds and severities; ``noise``: over the modalities;
        ``severe``: over all kinds at severity 5), showing somebody else (``conflict_<m>``,
        ``conflict``), missing at random (``missing``: mean over the rates), or with all corrupted
        (``everything``).
    Grid
        ``grid_<metric>``: the mean over blocks, which are every subset, every modality's mean over
        kinds and severities, and every conflict. ``grid`` is that of balanced accuracy.
    Confidence
        ``nll``, ``ece``, ``adaptive_ece``, ``brier``, ``aurc``, ``failure_auroc``, with all
        modalities, as macro-F1, CCC and RMSE; ``conflict_nll`` and ``severe_nll``.
    Robustness
        ``relative_robustness`` and ``retained``, means over kinds: see `by_kind`.
    Diagnosis
        ``guilty_auroc``, ``faulty_auroc``, each also per modality, ``incoherence_auroc`` and
        ``out_of_distribution_auroc``: see `detection.detection_tasks`. ``guilty_named``: share of
        conflicts whose guilty modality is the least reliable. ``bolder``: share of conflicts in
        which the fused reading is more certain than its most certain sensor.
        ``vacuity_spearman`` and ``vacuity_spearman_worst``: mean and least over kinds, see
        `by_kind`.
    """
    places = Places(found.conditions, found.modalities)
    figures = _accuracies(found.scores["balanced_accuracy"], places)
    if places.kinds:
        figures |= _robustness(found, places)
    for metric in ("macro_f1", "nll", "ece", "adaptive_ece", "brier", "aurc", "failure_auroc"):
        figures[metric] = found.scores[metric][:, places.full]
    for target in AFFECT:
        for metric in (f"{target}_ccc", f"{target}_rmse"):
            if np.isfinite(found.scores[metric][0, places.full]):
                figures[metric] = found.scores[metric][:, places.full]
    conflicts = places.of_kind(CONFLICT)
    means = {
        "conflict_nll": ("nll", conflicts),
        "severe_nll": ("nll", places.worst),
        "guilty_named": ("named", conflicts),
        "bolder": ("bolder", conflicts),
    }
    for name, (metric, numbers) in means.items():
        if numbers:
            figures[name] = _mean(found.scores[metric][:, numbers])
    figures |= {f"{name}_auroc": values for name, values in found.detections.items()}
    return {name: values for name, values in figures.items() if np.isfinite(values[0])}


def _robustness(found: Resampled, places: Places) -> dict[str, Array]:
    figures = {f"grid_{metric}": _grid(found.scores[metric], places) for metric in GRID_METRICS}
    figures["grid"] = figures["grid_balanced_accuracy"]
    kinds = list(by_kind(found).values())
    for metric in ("relative_robustness", "retained", "vacuity_spearman"):
        figures[metric] = _mean(np.stack([kind[metric] for kind in kinds], 1))
    figures["vacuity_spearman_worst"] = np.min([k["vacuity_spearman"] for k in kinds], axis=0)
    return figures


def _accuracies(accuracy: Array, places: Places) -> dict[str, Array]:
    names = places.modalities
    figures = {"all": accuracy[:, places.full]}
    if len(names) > 1:
        for name in names:
            others = (other for other in names if other != name)
            figures[f"without_{name}"] = accuracy[:, places.subset(*others)]
        figures |= {f"only_{name}": accuracy[:, places.subset(name)] for name in names}
    subsets = accuracy[:, places.of_kind(SUBSET)]
    figures |= {"subsets": _mean(subsets), "subsets_worst": subsets.min(1)}
    if places.kinds:
        noise = {name: _mean(accuracy[:, places.corrupted(name)]) for name in names}
        figures |= {f"noise_{name}": values for name, values in noise.items()}
        figures["noise"] = _mean(np.stack(list(noise.values()), 1))
        figures["severe"] = _mean(accuracy[:, places.worst])
    for number in places.of_kind(CONFLICT):
        figures[f"conflict_{places.conditions[number].modalities[0]}"] = accuracy[:, number]
    for kind in (CONFLICT, MISSING, EVERYTHING):
        if places.of_kind(kind):
            figures[kind] = _mean(accuracy[:, places.of_kind(kind)])
    return figures


def _grid(values: Array, places: Places) -> Array:
    single = values[:, places.of_kind(SUBSET) + places.of_kind(CONFLICT)]
    corrupted = [_mean(values[:, places.corrupted(name)]) for name in places.modalities]
    return _mean(np.column_stack([single, *corrupted]))


def _mean(values: Array) -> Array:
    """Return the mean (W,) over the second axis of what is known: not all subjects have all."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        result: Array = np.where(known, values, 0.0).sum(1) / known.sum(1)
    return result


def by_kind(found: Resampled) -> dict[tuple[str, str], dict[str, Array]]:
    """Return the figures of every modality and kind of corruption, each (W,).

    ``relative_robustness``: ``∫ a(s) ds / max a``, balanced accuracy ``a`` over severity ``s``
    scaled to [0, 1], by the trapezium rule. ``retained``: mean of ``a(s) / a(0)``, ``s > 0``.
    ``errors``: mean of ``1 - a(s)``, ``s > 0``. ``vacuity_spearman``: rank correlation of mean
    vacuity and severity. Severity 0 is clean.
    """
    places = Places(found.conditions, found.modalities)
    result = {}
    for key, numbers in places.kinds.items():
        steps = [places.full, *numbers]
        severity = [places.conditions[number].severity for number in steps]
        accuracy = found.scores["balanced_accuracy"][:, steps]
        area = np.trapezoid(accuracy, severity, axis=1) / severity[-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            result[key] = {
                "relative_robustness": area / accuracy.max(1),
                "retained": (accuracy[:, 1:] / accuracy[:, :1]).mean(1),
                "errors": 1 - accuracy[:, 1:].mean(1),
                "vacuity_spearman": spearman(found.scores["vacuity"][:, steps]),
            }
    return result


def corruption_error(own: Resampled, reference: Resampled) -> Array:
    """Return the mean over kinds of the errors divided by a reference method's, (W,).

    Hendrycks & Dietterich 2019, "Benchmarking neural network robustness to common corruptions".
    """
    theirs = by_kind(reference)
    ratios = [kind["errors"] / theirs[key]["errors"] for key, kind in by_kind(own).items()]
    result: Array = np.mean(ratios, axis=0)
    return result


@dataclass(frozen=True)
class Figures:
    """A method's figures, ready to be compared with another's.

    Attributes
    ----------
    sample : dict of str to ndarray, shape (1 + n_resamples,)
        Of pooled windows; the first entry is the estimate.
    subjects : dict of str to ndarray, shape (S,)
        Of each subject's windows alone.
    """

    sample: dict[str, Array]
    subjects: dict[str, Array]


def figures_of(evaluated: Evaluated, n_resamples: int) -> Figures:
    """Resample the subjects of a method once, for all its comparisons."""
    n_subjects = len(evaluated.subjects)
    weights = np.concatenate([subject_weights(n_subjects, n_resamples), np.eye(n_subjects)])
    both = summary(resampled(evaluated, weights))
    return Figures(
        {name: values[:-n_subjects] for name, values in both.items()},
        {name: values[-n_subjects:] for name, values in both.items()},
    )


def compare(first: Figures, second: Figures) -> dict[str, Paired]:
    """Compare two methods, tested on the same subjects, in every figure both have."""
    return {
        name: paired(
            first.sample[name], second.sample[name], first.subjects[name], second.subjects[name]
        )
        for name in first.sample
        if name in second.sample
    }


def with_intervals(figures: Mapping[str, Array], bounded: Collection[str]) -> dict[str, float]:
    """Return each figure's estimate, and ``_low`` and ``_high`` of those named in `bounded`."""
    result: dict[str, float] = {}
    for name, values in figures.items():
        estimate, low, high = interval(values)
        result[name] = estimate
        if name in bounded:
            result[f"{name}_low"], result[f"{name}_high"] = low, high
    return result
