"""Every figure of an evaluation once more, window by window, with scikit-learn and SciPy.

Nothing of `consilience.evaluation` is used but the predictions of the single runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    roc_auc_score,
    root_mean_squared_error,
)

from consilience.training.augmentation import Run
from consilience.windows.conditions import Condition, apply_condition
from consilience.windows.store import Corpus

Array = NDArray[Any]
Predict = Callable[..., Any]

AFFECT = ("valence", "arousal")
NOT_CORRUPTED = ("subset", "mismatch", "missing", "everything")
GRID = ("balanced_accuracy", "nll", "ece", "adaptive_ece", "brier", "aurc")
WHOLE = ("macro_f1", "nll", "ece", "adaptive_ece", "brier", "aurc", "failure_auroc")


def mean_of_runs(values: Array) -> Array:
    """Average (R, N, ...) over the runs that predict a window; NaN without any."""
    predicted = np.isfinite(values)
    total = np.where(predicted, values, 0).sum(0, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / predicted.sum(0))


def calibration_error(confidence: Array, right: Array, place: Array) -> float:
    """Sum over bins of the share of windows times the distance of confidence and accuracy."""
    error = 0.0
    for number in np.unique(place):
        inside = place == number
        error += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return error


def confidence_of(logits: Array) -> float:
    """Return the highest probability of one window."""
    return float(softmax(logits.astype(np.float64)).max())


def members_of(p: Array, threshold: float) -> Array:
    """Return which classes (K,) belong to the prediction set of one window."""
    return np.array([p[p > of_class].sum() <= threshold for of_class in p])


def concordance(x: Array, y: Array) -> float:
    """Return Lin's concordance correlation coefficient."""
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    return float(2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))


@dataclass
class Hand:
    """Predictions averaged over all runs, under every condition, and the truth."""

    corpus: Corpus
    runs: Sequence[Run]
    conditions: Sequence[Condition]
    predict: Predict
    n_bins: int
    averages: dict[Condition, dict[str, Array]] = field(default_factory=dict)
    single_runs: dict[Condition, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for condition in self.conditions:
            predictions = self.predict(condition)
            averages = {n: mean_of_runs(v) for n, v in vars(predictions).items() if n != "logits"}
            log_p = np.log(softmax(predictions.logits.astype(np.float64), -1))
            product = np.exp(mean_of_runs(log_p))
            averages["p"] = product / product.sum(1, keepdims=True)
            self.averages[condition] = averages
            self.single_runs[condition] = predictions

    @property
    def full(self) -> Condition:
        return Condition("subset", tuple(self.corpus.modalities))

    def rows(self, condition: Condition) -> Array:
        """Return the positions of the predicted windows."""
        return np.flatnonzero(np.isfinite(self.averages[condition]["p"]).all(1))

    def scores(self, condition: Condition) -> dict[str, float]:
        """Return the metrics of one condition."""
        averages, corpus = self.averages[condition], self.corpus
        rows = self.rows(condition)
        rows = rows[np.isfinite(corpus.target[rows]).all(1)]
        p, truth = averages["p"][rows], corpus.target[rows].argmax(1)
        classes = np.arange(p.shape[1])
        guess, confidence = p.argmax(1), p.max(1)
        right = guess == truth
        ordered = right[np.argsort(-confidence, kind="stable")]
        higher = np.array([(confidence > value).sum() for value in confidence])
        result = {
            "balanced_accuracy": balanced_accuracy_score(truth, guess),
            # Over the classes that occur, as the balanced accuracy.
            "macro_f1": f1_score(truth, guess, average="macro", labels=np.unique(truth)),
            "nll": log_loss(truth, p, labels=classes),
            "brier": brier_score_loss(truth, p, labels=classes, scale_by_half=False),
            "ece": calibration_error(
                confidence, right, np.minimum((confidence * self.n_bins).astype(int), 14)
            ),
            "adaptive_ece": calibration_error(
                confidence, right, higher * self.n_bins // len(confidence)
            ),
            "aurc": np.mean(np.cumsum(~ordered) / np.arange(1, len(ordered) + 1)),
            "failure_auroc": roc_auc_score(right, confidence) if 0 < right.mean() < 1 else np.nan,
            "vacuity": averages["vacuity"][self.rows(condition)].mean(),
        }
        return {**result, **self._affect(condition), **self._coverage(condition)}

    def _affect(self, condition: Condition) -> dict[str, float]:
        result = {}
        for place, name in enumerate(AFFECT):
            mean, truth = (
                self.averages[condition]["affect_mean"][:, place],
                self.corpus.affect[:, place],
            )
            both = np.isfinite(mean) & np.isfinite(truth)
            if both.any():
                result[f"{name}_ccc"] = concordance(mean[both], truth[both].astype(np.float64))
                result[f"{name}_rmse"] = root_mean_squared_error(truth[both], mean[both])
        return result

    def _coverage(self, condition: Condition) -> dict[str, float]:
        averages, covered, sizes = self.averages[condition], [], []
        for row in self.rows(condition):
            members = members_of(averages["p"][row], averages["set_threshold"][row])
            sizes.append(sum(members))
            if np.isfinite(self.corpus.target[row]).all():
                covered.append(members[self.corpus.target[row].argmax()])
        result = {"set_coverage": np.mean(covered), "set_size": np.mean(sizes)}
        for place, name in enumerate(AFFECT):
            half = averages["affect_half_width"][self.rows(condition), place]
            mean = averages["affect_mean"][self.rows(condition), place]
            truth = self.corpus.affect[self.rows(condition), place]
            labelled = np.isfinite(truth) & np.isfinite(half)
            if labelled.any():
                inside = (mean - half <= truth) & (truth <= mean + half)
                result[f"{name}_coverage"] = inside[labelled].mean()
            if np.isfinite(half).any():
                result[f"{name}_width"] = 2 * half[np.isfinite(half)].mean()
        return {name: float(value) for name, value in result.items()}

    def mismatched_sensor_is_least_reliable(self, condition: Condition) -> float:
        (name,) = condition.modalities
        bad, rows = self.corpus.modalities.index(name), self.rows(condition)
        hits = []
        for row in rows:
            reliability = self.averages[condition]["reliability"][row]
            available = np.flatnonzero(self.corpus.available[row])
            least = available[reliability[available] == reliability[available].min()]
            hits.append((bad in least) / len(least))
        return float(np.mean(hits))

    def overconfident(self, condition: Condition) -> float:
        """Share of the mismatched windows in which fusion exceeds every sensor alone, by run."""
        names = self.corpus.modalities
        alone = {
            name: self.predict(Condition("subset", (name,)), ("validation", "test"))
            for name in names
        }
        logits = self.single_runs[condition].logits
        exceeds = np.full(logits.shape[:2], np.nan)
        for number, run in enumerate(self.runs):
            sources = apply_condition(condition, self.corpus, run.fold).sources
            for row in np.flatnonzero(np.isfinite(logits[number]).all(1)):
                shown = {name: sources[name][row] if name in sources else row for name in names}
                highest = max(
                    confidence_of(alone[name].logits[number, shown[name]])
                    for place, name in enumerate(names)
                    if self.corpus.available[row, place]
                )
                exceeds[number, row] = confidence_of(logits[number, row]) > highest + 1e-5
        return float(np.nanmean(mean_of_runs(exceeds)))

    def detections(self) -> dict[str, float]:
        """Return the areas under the ROC curves, over all windows of a task."""
        tasks: dict[str, list[tuple[Array, bool]]] = {}
        clean = self.averages[self.full]
        available = self.corpus.available
        for condition in self.conditions:
            tested, rows = self.averages[condition], self.rows(condition)
            corrupted = condition.kind not in (*NOT_CORRUPTED, "desync")
            if condition.kind == "everything":
                tasks.setdefault("out_of_distribution", []).extend(
                    [(tested["vacuity"][rows], True), (clean["vacuity"][rows], False)]
                )
            if condition.kind == "mismatch":
                tasks.setdefault("mismatch", []).extend(
                    [(1 - tested["coherence"][rows], True), (1 - clean["coherence"][rows], False)]
                )
            if condition.kind == "mismatch" or (corrupted and condition.severity == 5):
                kind = "mismatched" if condition.kind == "mismatch" else "corrupted"
                (name,) = condition.modalities
                bad = self.corpus.modalities.index(name)
                several = rows[available[rows, bad] & (available[rows].sum(1) > 1)]
                scores = []
                for place in range(available.shape[1]):
                    has = several[available[several, place]]
                    scores.append((1 - tested["reliability"][has, place], place == bad))
                    scores.append((1 - clean["reliability"][has, place], False))
                tasks.setdefault(f"{kind}_sensor", []).extend(scores)
                tasks.setdefault(f"{kind}_sensor_{name}", []).extend(scores)
        areas = {}
        for task, parts in tasks.items():
            score = np.concatenate([values for values, _ in parts])
            positive = np.concatenate([np.full(len(values), bad) for values, bad in parts])
            areas[f"{task}_auroc"] = float(roc_auc_score(positive, score))
        return areas


def figures(hand: Hand) -> dict[str, float]:
    """Return every figure that `consilience evaluate --grid` writes."""
    names, conditions = hand.corpus.modalities, hand.conditions
    scores = {condition: hand.scores(condition) for condition in conditions}

    def mean(metric: str, chosen: Sequence[Condition]) -> float:
        return float(np.mean([scores[condition][metric] for condition in chosen]))

    def of_kind(kind: str) -> list[Condition]:
        return [condition for condition in conditions if condition.kind == kind]

    accuracy = {condition: of["balanced_accuracy"] for condition, of in scores.items()}
    corrupted = [condition for condition in conditions if condition.kind not in NOT_CORRUPTED]
    kinds = sorted({(condition.modalities[0], condition.kind) for condition in corrupted})
    worst = [condition for condition in corrupted if condition.severity == 5]
    by_sensor = {n: [c for c in corrupted if c.modalities == (n,)] for n in names}
    result = {"all": accuracy[hand.full]}
    for name in names:
        rest = tuple(other for other in names if other != name)
        result[f"without_{name}"] = accuracy[Condition("subset", rest)]
        result[f"only_{name}"] = accuracy[Condition("subset", (name,))]
        result[f"noise_{name}"] = mean("balanced_accuracy", by_sensor[name])
    subsets, mismatches = of_kind("subset"), of_kind("mismatch")
    result["subsets"] = mean("balanced_accuracy", subsets)
    result["subsets_worst"] = min(accuracy[condition] for condition in subsets)
    result["noise"] = float(np.mean([result[f"noise_{name}"] for name in names]))
    result["severe"] = mean("balanced_accuracy", worst)
    for condition in mismatches:
        result[f"mismatch_{condition.modalities[0]}"] = accuracy[condition]
    for kind in ("mismatch", "missing", "everything"):
        result[kind] = mean("balanced_accuracy", of_kind(kind))
    for metric in GRID:
        blocks = [scores[condition][metric] for condition in [*subsets, *mismatches]]
        blocks += [mean(metric, by_sensor[name]) for name in names]
        result[f"grid_{metric}"] = float(np.mean(blocks))
    result["grid"] = result["grid_balanced_accuracy"]
    curves = []
    for name, kind in kinds:
        severe = [c for c in corrupted if (c.modalities[0], c.kind) == (name, kind)]
        steps = [hand.full, *sorted(severe, key=lambda condition: condition.severity)]
        severity = [condition.severity for condition in steps]
        values = np.array([accuracy[condition] for condition in steps])
        vacuity = [scores[condition]["vacuity"] for condition in steps]
        area = np.trapezoid(values, severity) / severity[-1]
        curves.append(
            (
                area / values.max(),
                (values[1:] / values[0]).mean(),
                spearmanr(vacuity, severity).statistic,
            )
        )
    robustness, retained, rank = np.array(curves).T
    result["relative_robustness"], result["retained"] = robustness.mean(), retained.mean()
    result["vacuity_spearman"], result["vacuity_spearman_worst"] = rank.mean(), rank.min()
    clean = scores[hand.full]
    result |= {name: clean[name] for name in WHOLE}
    measures = [name for name in clean if name.endswith(("_ccc", "_rmse"))]
    covered = [name for name in clean if name.endswith(("_coverage", "_size", "_width"))]
    result |= {name: clean[name] for name in (*measures, *covered)}
    for prefix, chosen in (("mismatch", mismatches), ("severe", worst)):
        result |= {f"{prefix}_{name}": mean(name, chosen) for name in ("nll", *covered)}
    for name, function in (
        ("mismatched_sensor_accuracy", hand.mismatched_sensor_is_least_reliable),
        ("overconfidence_under_mismatch", hand.overconfident),
    ):
        result[name] = float(np.mean([function(condition) for condition in mismatches]))
    result |= hand.detections()
    return {name: value for name, value in result.items() if np.isfinite(value)}
