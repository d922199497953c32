"""Accuracy curves and summary figures, against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.evaluation.aggregate import (
    ConditionIndex,
    Figures,
    by_kind,
    compare,
    corruption_error,
    summary,
    with_intervals,
)
from consilience.evaluation.coverage import COVERAGE
from consilience.evaluation.scorer import Resampled
from consilience.windows.conditions import Condition

METRICS = (
    *("balanced_accuracy", "macro_f1", "nll", "ece", "adaptive_ece", "brier", "aurc"),
    *("failure_auroc", "valence_ccc", "valence_rmse", "arousal_ccc", "arousal_rmse"),
    *("vacuity", "mismatched_sensor_accuracy", "overconfidence_under_mismatch", *COVERAGE),
)
FULL = Condition("subset", ("eeg", "audio"))
# Severities 1, 3 and 5 of one kind, unsorted; accuracies .7, .6, .4 and vacuities .2, .4, .3.
NOISE = {5: (0.4, 0.3), 1: (0.7, 0.2), 3: (0.6, 0.4)}


def resampled(values: dict[Condition, dict[str, float]]) -> Resampled:
    scores = {
        metric: np.array([[metrics.get(metric, np.nan) for metrics in values.values()]])
        for metric in METRICS
    }
    return Resampled(list(values), ["eeg", "audio"], scores, {"mismatch": np.array([0.7])}, 8)


def curve(clean: float = 0.8) -> dict[Condition, dict[str, float]]:
    values = {FULL: {"balanced_accuracy": clean, "vacuity": 0.1}}
    for severity, (accuracy, vacuity) in NOISE.items():
        condition = Condition("noise", ("eeg",), severity)
        values[condition] = {"balanced_accuracy": accuracy, "vacuity": vacuity}
    return values


def test_the_measures_of_a_curve_are_those_computed_by_hand() -> None:
    measures = by_kind(resampled(curve()))[("eeg", "noise")]
    # Trapezia over severities 0-1, 1-3 and 3-5: (.75 · 1 + .65 · 2 + .5 · 2) / 5 = .61, by .8.
    assert measures["relative_robustness"] == pytest.approx(0.61 / 0.8)
    # (.7 + .6 + .4) / 3, by .8.
    assert measures["retained"] == pytest.approx(17 / 24)
    assert measures["errors"] == pytest.approx(1 - 17 / 30)
    # Ranks of .1, .2, .4, .3: 1 - 6 · (0 + 0 + 1 + 1) / (4 · 15).
    assert measures["vacuity_spearman"] == pytest.approx(0.8)


def test_the_area_is_relative_to_the_best_and_what_is_retained_to_the_clean_accuracy() -> None:
    measures = by_kind(resampled(curve(clean=0.5)))[("eeg", "noise")]
    # The first trapezium has (.5 + .7) / 2 = .6, and the best accuracy is .7.
    assert measures["relative_robustness"] == pytest.approx((0.6 + 1.3 + 1.0) / 5 / 0.7)
    assert measures["retained"] == pytest.approx(17 / 30 / 0.5)


def test_a_flat_curve_loses_nothing() -> None:
    values = curve()
    for metrics in values.values():
        metrics["balanced_accuracy"] = 0.6
    measures = by_kind(resampled(values))[("eeg", "noise")]
    assert measures["relative_robustness"] == pytest.approx(1)
    assert measures["retained"] == pytest.approx(1)


def test_corruption_error_is_the_mean_ratio_of_errors() -> None:
    worse = curve()
    for condition, metrics in worse.items():
        if condition != FULL:
            metrics["balanced_accuracy"] -= 0.1
    ratio = corruption_error(resampled(worse), resampled(curve()))
    assert ratio == pytest.approx((1 - 17 / 30 + 0.1) / (1 - 17 / 30))


@pytest.mark.filterwarnings("error")
def test_corruption_error_against_a_reference_without_errors_is_undefined() -> None:
    flawless = curve()
    for metrics in flawless.values():
        metrics["balanced_accuracy"] = 1.0
    assert np.isnan(corruption_error(resampled(flawless), resampled(flawless))).all()


def all_conditions() -> dict[Condition, dict[str, float]]:
    return {
        FULL: {"balanced_accuracy": 0.8, "nll": 0.5, "valence_ccc": 0.3, "set_coverage": 0.9},
        Condition("subset", ("eeg",)): {"balanced_accuracy": 0.6},
        Condition("subset", ("audio",)): {"balanced_accuracy": 0.5},
        Condition("noise", ("eeg",), 1): {"balanced_accuracy": 0.7, "nll": 0.6},
        Condition("noise", ("eeg",), 5): {
            **{"balanced_accuracy": 0.5, "nll": 1.0, "set_coverage": 0.8, "valence_width": 0.5},
        },
        Condition("hum", ("eeg",), 5): {
            **{"balanced_accuracy": 0.3, "nll": 2.0, "set_coverage": 0.6, "valence_width": 0.7},
        },
        Condition("noise", ("audio",), 2): {"balanced_accuracy": 0.7, "nll": 0.7},
        Condition("mismatch", ("eeg",)): {
            **{"balanced_accuracy": 0.4, "nll": 1.5, "overconfidence_under_mismatch": 0.2},
            **{"mismatched_sensor_accuracy": 0.9, "set_size": 2.0},
        },
        Condition("mismatch", ("audio",)): {
            **{"balanced_accuracy": 0.6, "nll": 1.1, "overconfidence_under_mismatch": 0.4},
            **{"mismatched_sensor_accuracy": 0.7, "set_size": 3.0},
        },
        Condition("missing", ("eeg", "audio"), 1): {"balanced_accuracy": 0.75},
        Condition("missing", ("eeg", "audio"), 2): {"balanced_accuracy": 0.65},
        Condition("everything", ("eeg", "audio"), 5): {"balanced_accuracy": 0.2},
    }


def test_a_summary_averages_over_sensors_kinds_and_severities_in_that_order() -> None:
    figures = {name: values[0] for name, values in summary(resampled(all_conditions())).items()}
    expected = {
        **{"all": 0.8, "without_eeg": 0.5, "without_audio": 0.6, "only_eeg": 0.6},
        **{"only_audio": 0.5, "subsets": 1.9 / 3, "subsets_worst": 0.5},
        **{"noise_eeg": 0.5, "noise_audio": 0.7, "noise": 0.6, "severe": 0.4},
        **{"mismatch_eeg": 0.4, "mismatch_audio": 0.6, "mismatch": 0.5},
        **{"missing": 0.7, "everything": 0.2, "nll": 0.5, "valence_ccc": 0.3},
        **{"mismatch_nll": 1.3, "severe_nll": 1.5, "mismatch_auroc": 0.7},
        **{"set_coverage": 0.9, "severe_set_coverage": 0.7, "severe_valence_width": 0.6},
        "mismatch_set_size": 2.5,
        **{"mismatched_sensor_accuracy": 0.8, "overconfidence_under_mismatch": 0.3},
        # Blocks: three subsets, two mismatches, two sensors' corruptions.
        "grid": (0.8 + 0.6 + 0.5 + 0.4 + 0.6 + 0.5 + 0.7) / 7,
    }
    assert {name: figures[name] for name in expected} == pytest.approx(expected)


def test_undefined_figures_are_left_out() -> None:
    subsets = {c: m for c, m in all_conditions().items() if c.kind == "subset"}
    figures = summary(resampled(subsets))
    assert "all" in figures
    assert "arousal_ccc" not in figures
    assert "noise" not in figures
    assert "grid" not in figures
    assert "mismatch" not in figures


def test_no_figure_averages_over_a_missing_condition() -> None:
    values = all_conditions()
    values[Condition("noise", ("audio",), 2)] = {}
    figures = summary(resampled(values))
    assert not {"noise", "noise_audio", "grid", "grid_balanced_accuracy"} & set(figures)
    assert figures["noise_eeg"] == pytest.approx(0.5)
    assert figures["mismatch"] == pytest.approx(0.5)


def test_conditions_are_found_by_kind_modality_and_severity() -> None:
    index = ConditionIndex(list(all_conditions()), ["eeg", "audio"])
    assert index.full == 0
    assert index.subset("audio") == 2
    assert index.of_kind("missing") == [9, 10]
    assert index.kinds == {("eeg", "noise"): [3, 4], ("eeg", "hum"): [5], ("audio", "noise"): [6]}
    assert index.corrupted("eeg") == [3, 4, 5]
    assert index.worst == [4, 5]


def test_a_comparison_covers_shared_figures_and_keeps_the_sign() -> None:
    subjects = np.linspace(0.4, 0.6, 8)
    first = Figures({"all": np.full(5, 0.6), "noise": np.full(5, 0.5)}, {"all": subjects})
    second = Figures({"all": np.full(5, 0.5)}, {"all": subjects - np.linspace(0.05, 0.2, 8)})
    found = compare(first, second)
    assert list(found) == ["all"]
    assert found["all"].difference == pytest.approx(0.1)


def test_intervals_are_added_where_requested() -> None:
    values = {"all": np.array([0.5, 0.4, 0.6]), "ece": np.array([0.1, 0.1, 0.1])}
    assert list(with_intervals(values, ["all"], 8)) == ["all", "all_low", "all_high", "ece"]
