"""Summary figures of a method, each under every resample of the subjects, shape (W,)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from consilience.evaluation.coverage import COVERAGE
from consilience.evaluation.metrics import Array, spearman
from consilience.evaluation.resampling import Paired, interval, paired, subject_weights
from consilience.evaluation.scorer import Evaluated, Resampled, resampled
from consilience.schema.constants import AFFECT
from consilience.windows.conditions import EVERYTHING, MISMATCH, MISSING, SUBSET, Condition

WORST = 5  # severity
GRID_METRICS = ("balanced_accuracy", "nll", "ece", "adaptive_ece", "brier", "aurc")


@dataclass(frozen=True)
class ConditionIndex:
    """Positions of conditions along the conditions' axis of scores.

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
        curves: dict[tuple[str, str], list[int]] = {}
        for number, condition in enumerate(self.conditions):
            if condition.kind not in (SUBSET, MISMATCH, MISSING, EVERYTHING):
                curves.setdefault((condition.modalities[0], condition.kind), []).append(number)
        return {
            key: sorted(numbers, key=lambda n: self.conditions[n].severity)
            for key, numbers in curves.items()
        }

    def corrupted(self, modality: str) -> list[int]:
        """All kinds and severities of one modality."""
        return [n for (name, _), numbers in self.kinds.items() if name == modality for n in numbers]

    @property
    def worst(self) -> list[int]:
        """Each modality and kind at the highest severity."""
        last = [numbers[-1] for numbers in self.kinds.values()]
        return [number for number in last if self.conditions[number].severity == WORST]


def summary(scores: Resampled) -> dict[str, Array]:
    """Return the figures that summarise a method, each (W,); undefined ones are left out.

    Balanced accuracy
        with all modalities (``all``), all but one (``without_<m>``), one (``only_<m>``), the mean
        and the worst subset (``subsets``, ``subsets_worst``); with one modality corrupted
        (``noise_<m>``: mean over its kinds and severities; ``noise``: over the modalities;
        ``severe``: over all kinds at severity 5), mismatched (``mismatch_<m>``, ``mismatch``),
        missing at random (``missing``: mean over the rates), or with all corrupted
        (``everything``).
    Grid
        ``grid_<metric>``: the mean over blocks, which are every subset, every modality's mean over
        kinds and severities, and every mismatch. ``grid`` is that of balanced accuracy.
    Confidence
        ``nll``, ``ece``, ``adaptive_ece``, ``brier``, ``aurc``, ``failure_auroc``, with all
        modalities, as macro-F1, CCC and RMSE; ``mismatch_nll`` and ``severe_nll``.
    Coverage
        ``set_coverage`` and ``set_size``, ``valence_coverage`` and ``valence_width``, the same of
        arousal, with all modalities; ``mismatch_<name>`` and ``severe_<name>``: see
        `coverage.coverage_measures`.
    Robustness
        ``relative_robustness`` and ``retained``, means over kinds: see `by_kind`.
    Detection
        ``mismatched_sensor_auroc``, ``corrupted_sensor_auroc``, each also per modality,
        ``mismatch_auroc`` and ``out_of_distribution_auroc``: see `detection.detection_tasks`.
        ``mismatched_sensor_accuracy``: share of mismatches whose mismatched modality is the
        least reliable. ``overconfidence_under_mismatch``: share of mismatches in which the fused
        prediction is more confident than its most confident sensor alone.
        ``vacuity_spearman`` and ``vacuity_spearman_worst``: mean and least over kinds, see
        `by_kind`.
    """
    index = ConditionIndex(scores.conditions, scores.modalities)
    figures = _accuracies(scores.scores["balanced_accuracy"], index)
    if index.kinds:
        figures |= _robustness(scores, index)
    figures |= _with_all_modalities(scores, index)
    mismatches = index.of_kind(MISMATCH)
    averaged = {
        "mismatch_nll": ("nll", mismatches),
        "severe_nll": ("nll", index.worst),
        "mismatched_sensor_accuracy": ("mismatched_sensor_accuracy", mismatches),
        "overconfidence_under_mismatch": ("overconfidence_under_mismatch", mismatches),
    }
    for prefix, numbers in (("mismatch", mismatches), ("severe", index.worst)):
        averaged |= {f"{prefix}_{name}": (name, numbers) for name in COVERAGE}
    for name, (metric, numbers) in averaged.items():
        if numbers:
            figures[name] = _mean(scores.scores[metric][:, numbers])
    figures |= {f"{name}_auroc": values for name, values in scores.detections.items()}
    return {name: values for name, values in figures.items() if np.isfinite(values[0])}


def _with_all_modalities(scores: Resampled, index: ConditionIndex) -> dict[str, Array]:
    names = ["macro_f1", "nll", "ece", "adaptive_ece", "brier", "aurc", "failure_auroc"]
    names += [f"{target}_{metric}" for target in AFFECT for metric in ("ccc", "rmse")]
    names += COVERAGE
    return {name: scores.scores[name][:, index.full] for name in names}


def _robustness(scores: Resampled, index: ConditionIndex) -> dict[str, Array]:
    figures = {f"grid_{metric}": _grid(scores.scores[metric], index) for metric in GRID_METRICS}
    figures["grid"] = figures["grid_balanced_accuracy"]
    kinds = list(by_kind(scores).values())
    for metric in ("relative_robustness", "retained", "vacuity_spearman"):
        figures[metric] = _mean(np.stack([kind[metric] for kind in kinds], 1))
    figures["vacuity_spearman_worst"] = np.min([k["vacuity_spearman"] for k in kinds], axis=0)
    return figures


def _accuracies(accuracy: Array, index: ConditionIndex) -> dict[str, Array]:
    names = index.modalities
    figures = {"all": accuracy[:, index.full]}
    if len(names) > 1:
        for name in names:
            others = (other for other in names if other != name)
            figures[f"without_{name}"] = accuracy[:, index.subset(*others)]
        figures |= {f"only_{name}": accuracy[:, index.subset(name)] for name in names}
    subsets = accuracy[:, index.of_kind(SUBSET)]
    figures |= {"subsets": _mean(subsets), "subsets_worst": subsets.min(1)}
    if index.kinds:
        noise = {name: _mean(accuracy[:, index.corrupted(name)]) for name in names}
        figures |= {f"noise_{name}": values for name, values in noise.items()}
        # First over each modality's kinds: a modality with many kinds must not weigh more.
        figures["noise"] = _mean(np.stack(list(noise.values()), 1))
        figures["severe"] = _mean(accuracy[:, index.worst])
    for number in index.of_kind(MISMATCH):
        figures[f"mismatch_{index.conditions[number].modalities[0]}"] = accuracy[:, number]
    for kind in (MISMATCH, MISSING, EVERYTHING):
        if index.of_kind(kind):
            figures[kind] = _mean(accuracy[:, index.of_kind(kind)])
    return figures


def _grid(values: Array, index: ConditionIndex) -> Array:
    # A block per modality, not per severity: the corruptions would outnumber everything else.
    single = values[:, index.of_kind(SUBSET) + index.of_kind(MISMATCH)]
    corrupted = [_mean(values[:, index.corrupted(name)]) for name in index.modalities]
    return _mean(np.column_stack([single, *corrupted]))


def _mean(values: Array) -> Array:
    """Return the mean (W,) along the second axis; NaN if the sample itself, row 0, lacks a value.

    A resample can consist of subjects that lack a condition, whose scores are then NaN and left
    out of that resample.
    """
    finite = np.isfinite(values)
    if not finite[0].all():  # a mean over the remaining conditions would be another figure
        return np.full(len(values), np.nan)
    with np.errstate(invalid="ignore"):
        result: Array = np.where(finite, values, 0.0).sum(1) / finite.sum(1)
    return result


def by_kind(scores: Resampled) -> dict[tuple[str, str], dict[str, Array]]:
    """Return the robustness to every modality's every kind of corruption, each (W,).

    ``relative_robustness``: ``∫ a(s) ds / max a``, balanced accuracy ``a`` over severity ``s``
    scaled to [0, 1], by the trapezium rule. ``retained``: mean of ``a(s) / a(0)``, ``s > 0``.
    ``errors``: mean of ``1 - a(s)``, ``s > 0``. ``vacuity_spearman``: rank correlation of mean
    vacuity and severity. Severity 0 is clean.

    Returns
    -------
    dict of (modality, kind) to (dict of str to ndarray)
    """
    index = ConditionIndex(scores.conditions, scores.modalities)
    result = {}
    for key, numbers in index.kinds.items():
        steps = [index.full, *numbers]
        severity = [index.conditions[number].severity for number in steps]
        accuracy = scores.scores["balanced_accuracy"][:, steps]
        # Severities may have gaps, so the trapezia have different widths.
        area = np.trapezoid(accuracy, severity, axis=1) / severity[-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            result[key] = {
                "relative_robustness": area / accuracy.max(1),
                "retained": (accuracy[:, 1:] / accuracy[:, :1]).mean(1),
                "errors": 1 - accuracy[:, 1:].mean(1),
                "vacuity_spearman": spearman(scores.scores["vacuity"][:, steps]),
            }
    return result


def corruption_error(scores: Resampled, reference: Resampled) -> Array:
    """Return the mean over kinds of the errors divided by a reference method's, (W,).

    Hendrycks & Dietterich 2019, "Benchmarking neural network robustness to common corruptions".
    """
    of_reference = by_kind(reference)
    errors = [
        (kind["errors"], of_reference[key]["errors"]) for key, kind in by_kind(scores).items()
    ]
    # NaN against a reference without errors.
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = [error / other for error, other in errors]
    result: Array = np.mean(ratios, axis=0)
    return result


@dataclass(frozen=True)
class Figures:
    """Summary figures of a method, for paired comparisons with another.

    Attributes
    ----------
    sample : dict of str to ndarray, shape (1 + n_resamples,)
        Of pooled windows under each resample; the first entry is the estimate.
    subjects : dict of str to ndarray, shape (S,)
        Of each subject's windows alone.
    """

    sample: dict[str, Array]
    subjects: dict[str, Array]


def resample_and_single_subjects(evaluated: Evaluated, n_resamples: int) -> Resampled:
    """Resample the subjects of a method; the last rows of every result are each subject alone."""
    n_subjects = len(evaluated.subjects)
    weights = [subject_weights(n_subjects, n_resamples), np.eye(n_subjects)]
    return resampled(evaluated, np.concatenate(weights))


def by_sample_and_subject(figures: Mapping[str, Array], n_subjects: int) -> Figures:
    """Split figures of `resample_and_single_subjects` into those of samples and of subjects."""
    return Figures(
        {name: values[:-n_subjects] for name, values in figures.items()},
        {name: values[-n_subjects:] for name, values in figures.items()},
    )


def compare(first: Figures, second: Figures) -> dict[str, Paired]:
    """Compare two methods that were tested on the same subjects, in every shared figure."""
    return {
        name: paired(
            first.sample[name], second.sample[name], first.subjects[name], second.subjects[name]
        )
        for name in first.sample
        if name in second.sample
    }


def with_intervals(
    figures: Mapping[str, Array], bounded: Collection[str], n_subjects: int
) -> dict[str, float]:
    """Return each figure's estimate, and ``_low`` and ``_high`` of those named in `bounded`."""
    result: dict[str, float] = {}
    for name, values in figures.items():
        estimate, low, high = interval(values, n_subjects)
        result[name] = estimate
        if name in bounded:
            result[f"{name}_low"], result[f"{name}_high"] = low, high
    return result
