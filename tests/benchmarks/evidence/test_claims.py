"""Every claim's verdict on synthetic results with known wins, losses and ties."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.evidence import claims
from benchmarks.evidence.claims import DEMO, FEW, NOISY, THREE, TWO, Claim, Finding
from benchmarks.evidence.results import METHOD, Outcome, Results
from consilience.evaluation.aggregate import Figures

SENSORS = {
    TWO: ["voice", "face"],
    THREE: ["voice", "upper", "lower"],
    DEMO: ["eeg", "audio", "video"],
    **{name: ["voice", "face"] for name in (*NOISY, *FEW.values())},
}
SUBJECTS = np.linspace(-0.1, 0.1, 12)
WOBBLE = 1e-6 * np.arange(1, 13) * np.resize([1, -1], 12)
HALF_WIDTH = 0.01  # of the interval of a difference, all of it
CLEAR, SLIGHT = 0.05, 0.004  # differences: only the first lies outside the interval


def entry(
    method: str, figures: Mapping[str, float], label_errors: list[float] | None = None
) -> Outcome:
    """Return an outcome whose every resample and subject lies around given figures.

    Two entries differ in every subject by the difference of their figures, up to `WOBBLE`, whose
    sizes are distinct: the signed-rank test is slow where differences are equal.
    """
    spread = np.linspace(-HALF_WIDTH, HALF_WIDTH, 400)
    # Opposite in the tested entries, so that a difference spreads by HALF_WIDTH.
    sign = 0.5 if method in (METHOD, "shuffled_teacher") else -0.5
    sample = {n: np.concatenate([[v], v + sign * spread]) for n, v in figures.items()}
    subjects = {n: v + SUBJECTS + sign * WOBBLE for n, v in figures.items()}
    outcome = Outcome(method, Path("nowhere"))
    outcome.__dict__.update(  # the cached properties; the dataclass itself is frozen
        card={"method": method},
        figures=Figures(sample, subjects),
        label_error_auroc=None if label_errors is None else np.array(label_errors),
    )
    return outcome


def results(**experiments: Mapping[str, Outcome]) -> Results:
    plan: Any = SimpleNamespace(
        experiments={name: SimpleNamespace(sensors=sensors) for name, sensors in SENSORS.items()}
    )
    return Results(plan, {name: dict(outcomes) for name, outcomes in experiments.items()})


def held(findings: Any) -> list[bool | None]:
    return [finding.held for finding in findings]


def peers(figures: Mapping[str, float], names: tuple[str, ...] = ("hybrid", "kd")) -> dict:
    return {name: entry(name, figures) for name in names}


@pytest.mark.parametrize(
    ("of_findings", "verdict"),
    [
        ([True, True], "held"),
        ([True, False], "held in part"),
        ([False, False], "missed"),
        ([False, None], "missed"),
        ([True, None], "held so far"),
        ([True, False, None], "held in part"),
        ([None], "not measured"),
        ([], "not measured"),
    ],
)
def test_a_claim_is_held_if_all_of_its_findings_are(
    of_findings: list[bool | None], verdict: str
) -> None:
    findings = [Finding("", "", is_held) for is_held in of_findings]
    assert Claim(1, "x", findings).verdict == verdict


def test_without_results_nothing_is_measured() -> None:
    reached = claims.claims(results(), {})
    assert [claim.number for claim in reached] == list(range(1, 10))
    # Parts and wrong labels have findings only for entries that exist.
    assert {claim.verdict for claim in reached} == {"not measured"}


def test_all_claims_are_in_the_order_of_the_pages() -> None:
    titles = [claim.title.partition(":")[0] for claim in claims.claims(results(), {})]
    assert titles == [
        *("Encoders", "Clean labels", "Noisy labels", "Few labels", "Three sensors"),
        *("EEG alone after transfer", "Calibration", "Every part is useful", "Cost"),
    ]


# Ahead of all peers: the same rule in several claims.


@pytest.mark.parametrize(("figure", "sign"), [("grid", 1), ("grid_nll", -1)])
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (CLEAR, CLEAR, True),
        (CLEAR, 0.0, False),  # ahead of one, a tie with the other
        (CLEAR, -CLEAR, False),
        (CLEAR, SLIGHT, False),  # better, but not significantly
        (-CLEAR, -CLEAR, False),
        (0.0, 0.0, False),
    ],
)
def test_ahead_means_significantly_better_than_every_peer(
    figure: str, sign: int, first: float, second: float, expected: bool
) -> None:
    others = {
        "hybrid": entry("hybrid", {figure: 0.6 - sign * first}),
        "kd": entry("kd", {figure: 0.6 - sign * second}),
    }
    result = results(**{TWO: {METHOD: entry(METHOD, {figure: 0.6}), **others}})
    assert held(claims._ahead(result, TWO, others, {figure: sign})) == [expected]


def test_ahead_counts_the_wins_and_states_the_smallest_lead() -> None:
    others = {"hybrid": entry("hybrid", {"grid": 0.5}), "kd": entry("kd", {"grid": 0.58})}
    result = results(**{TWO: {METHOD: entry(METHOD, {"grid": 0.58}), **others}})
    (finding,) = claims._ahead(result, TWO, others, {"grid": 1})
    assert finding.what == f"{TWO}: grid better than all 2"
    assert finding.measured.startswith("significantly better than 1; smallest lead: +.000")
    assert "against kd" in finding.measured


def test_ahead_without_peers_or_figure_is_not_measured() -> None:
    alone = results(**{TWO: {METHOD: entry(METHOD, {"grid": 0.5})}})
    assert held(claims._ahead(alone, TWO, {}, {"grid": 1})) == [None]
    others = peers({"all": 0.4})
    assert held(claims._ahead(alone, TWO, others, {"grid": 1})) == [None]
    assert held(claims._ahead(results(), TWO, others, {"grid": 1})) == [None]


def test_controls_and_ablations_are_not_peers() -> None:
    result = results(
        **{
            TWO: {
                METHOD: entry(METHOD, {"grid": 0.6}),
                "no_transfer": entry(METHOD, {"grid": 0.9}),
                "shuffled_teacher": entry("shuffled_teacher", {"grid": 0.9}),
                **peers({"grid": 0.5}),
            }
        }
    )
    assert list(result.peers(TWO)) == ["hybrid", "kd"]


# 1: encoders


def encoder_findings(voice: float, face: float, both: float, gain: float) -> list[bool | None]:
    sensors = {"only_voice": voice, "only_face": face}
    gained = {name: value + gain for name, value in sensors.items()}
    result = results(
        **{
            TWO: {
                METHOD: entry(METHOD, {"all": both, **gained}),
                "unimodal": entry("unimodal", {"all": 0.5, **sensors}),
            }
        }
    )
    return held(claims.encoders(result))


def test_encoders_reach_their_accuracy_each_and_both() -> None:
    assert encoder_findings(0.56, 0.60, 0.78, 0.0) == [True] * 5
    assert encoder_findings(0.559, 0.60, 0.78, 0.01) == [False, True, True, True, True]
    assert encoder_findings(0.56, 0.599, 0.78, 0.01) == [True, False, True, True, True]
    assert encoder_findings(0.56, 0.60, 0.779, 0.01) == [True, True, False, True, True]
    assert encoder_findings(0.7, 0.7, 0.8, -0.001) == [True, True, True, False, False]


def test_encoders_not_run_are_not_measured() -> None:
    assert held(claims.encoders(results())) == [None, None, None]


# 2: clean labels


def clean_findings(
    lead: float, confidence: float = CLEAR, accuracy: float = 0.0
) -> list[bool | None]:
    better = {"grid_nll": 0.5, "grid_ece": 0.5, "grid_aurc": 0.5}
    worse = {name: value + confidence for name, value in better.items()}
    result = results(
        **{
            TWO: {
                METHOD: entry(METHOD, {"grid": 0.7 + lead, "all": 0.8 + accuracy, **better}),
                "hybrid": entry("hybrid", {"grid": 0.7, "all": 0.6, **worse}),
                "kd": entry("kd", {"grid": 0.5, "all": 0.8, **worse}),
            }
        }
    )
    return held(claims.clean(result))


def test_clean_labels_allow_a_margin_against_the_best_peer_alone() -> None:
    # The interval reaches 0.0111 below the difference: 0.95 of HALF_WIDTH, for 12 subjects.
    assert clean_findings(0.0063, accuracy=0.0013) == [True, True, True, True, True]
    assert clean_findings(0.0060, accuracy=0.0013) == [True, False, True, True, True]
    assert clean_findings(0.0063, accuracy=0.0010) == [False, True, True, True, True]
    for behind in (0.0, -0.1):
        assert clean_findings(behind, accuracy=behind)[:2] == [False, False]
    assert clean_findings(0.1, accuracy=0.1)[:2] == [True, True]


def test_clean_labels_need_every_confidence_metric_lower() -> None:
    assert clean_findings(0.1, -CLEAR, 0.1) == [True, True, False, False, False]
    assert clean_findings(0.1, 0.0, 0.1) == [True, True, False, False, False]


@pytest.mark.parametrize("figure", ["grid_nll", "grid_ece", "grid_aurc"])
def test_clean_labels_test_each_confidence_metric_by_itself(figure: str) -> None:
    names = ["grid_nll", "grid_ece", "grid_aurc"]
    method = dict.fromkeys(names, 0.5) | {figure: 0.7}
    result = results(
        **{
            TWO: {
                METHOD: entry(METHOD, {"grid": 0.9, **method}),
                **peers({"grid": 0.5, **dict.fromkeys(names, 0.6)}),
            }
        }
    )
    assert held(claims.clean(result)) == [True, *(name != figure for name in names)]


# 3: noisy labels


@pytest.mark.parametrize("experiment", NOISY)
def test_noisy_labels_need_the_lead_and_the_detection_in_each_experiment(experiment: str) -> None:
    def findings(lead: float, areas: list[float]) -> list[bool | None]:
        outcomes = {
            METHOD: entry(METHOD, {"grid": 0.6 + lead}, areas),
            **peers({"grid": 0.6}),
        }
        of_experiment = claims.noisy(results(**{experiment: outcomes}))
        return [f.held for f in of_experiment if f.what.startswith(experiment)]

    assert findings(CLEAR, [0.80, 0.90]) == [True, True]
    assert findings(CLEAR, [0.84, 0.85]) == [True, False]
    assert findings(-CLEAR, [0.9]) == [False, True]
    assert findings(SLIGHT, [0.9]) == [False, True]


def test_wrong_labels_are_averaged_over_runs_and_their_range_is_stated() -> None:
    method = entry(METHOD, {"grid": 0.7}, [0.5, 0.9, 0.7])
    result = results(**{NOISY[0]: {METHOD: method, **peers({"grid": 0.6})}})
    finding = next(f for f in claims.noisy(result) if "AUROC" in f.what)
    assert finding.measured == ".700, runs .500 to .900"
    assert finding.held is False


# 4: few labels


@pytest.mark.parametrize("experiment", FEW.values())
def test_few_labels_need_the_lead_in_every_figure_and_no_gain_from_any_teacher(
    experiment: str,
) -> None:
    names = ["grid", "all", "only_voice", "only_face"]

    def findings(teacher: float, **method: float) -> list[bool | None]:
        outcomes = {
            METHOD: entry(METHOD, dict.fromkeys(names, 0.6) | method),
            **peers(dict.fromkeys(names, 0.5)),
            "shuffled_teacher": entry("shuffled_teacher", {"grid": 0.5 + teacher}),
        }
        of_experiment = claims.few(results(**{experiment: outcomes}))
        return [f.held for f in of_experiment if f.what.startswith(experiment)]

    assert findings(0.0) == [True] * 5
    for place, name in enumerate(names):
        assert findings(0.0, **{name: 0.4}) == [n != place for n in range(5)]
    assert findings(-CLEAR)[-1] is True
    assert findings(SLIGHT)[-1] is True  # a gain that is not significant
    assert findings(CLEAR)[-1] is False


# 5: three sensors


@pytest.mark.parametrize("experiment", [THREE, DEMO])
def test_three_sensors_need_every_lead_both_detections_and_no_overconfidence(
    experiment: str,
) -> None:
    good = {
        **{"mismatch": 0.6, "mismatch_nll": 0.4, "severe": 0.6, "severe_nll": 0.4},
        **{"mismatched_sensor_auroc": 0.85, "corrupted_sensor_auroc": 0.85},
        "overconfidence_under_mismatch": 0.0,
    }
    others = {"mismatch": 0.5, "mismatch_nll": 0.5, "severe": 0.5, "severe_nll": 0.5}

    def findings(**changes: float) -> list[bool | None]:
        outcomes = {METHOD: entry(METHOD, good | changes), **peers(others)}
        of_experiment = claims.three_sensors(results(**{experiment: outcomes}))
        return [f.held for f in of_experiment if f.what.startswith(experiment)][:7]

    assert findings() == [True] * 7
    worse = {
        **{"mismatch": 0.4, "mismatch_nll": 0.6, "severe": 0.4, "severe_nll": 0.6},
        **{"mismatched_sensor_auroc": 0.849, "corrupted_sensor_auroc": 0.849},
        "overconfidence_under_mismatch": 0.001,
    }
    for place, (name, value) in enumerate(worse.items()):
        assert findings(**{name: value}) == [n != place for n in range(7)], name


def test_a_bad_sensor_is_distinguished_from_an_ambiguous_state_in_the_demonstration() -> None:
    def last(experiment: str, area: float) -> bool | None:
        method = entry(METHOD, {"bad_sensor_auroc": area})
        return held(claims.three_sensors(results(**{experiment: {METHOD: method}})))[-1]

    assert last(DEMO, 0.85) is True
    assert last(DEMO, 0.849) is False
    assert last(THREE, 0.9) is None


# 6: transfer


@pytest.mark.parametrize(
    ("gain", "expected"), [(0.031, True), (0.029, False), (0.0, False), (-0.05, False)]
)
def test_transfer_needs_three_points(gain: float, expected: bool) -> None:
    outcomes = {
        METHOD: entry(METHOD, {"only_eeg": 0.5 + gain}),
        "unimodal": entry("unimodal", {"only_eeg": 0.5}),
    }
    assert held(claims.transfer(results(**{DEMO: outcomes}))) == [expected]


def test_transfer_needs_an_interval_above_zero() -> None:
    method, unimodal = (entry(n, {"only_eeg": v}) for n, v in ((METHOD, 0.54), ("unimodal", 0.5)))
    method.figures.sample["only_eeg"][1:] += np.linspace(-0.1, 0.1, 400)
    assert held(claims.transfer(results(**{DEMO: {METHOD: method, "unimodal": unimodal}}))) == [
        False
    ]
    assert held(claims.transfer(results(**{DEMO: {METHOD: method}}))) == [None]


# 7: calibration


@pytest.mark.parametrize("experiment", [TWO, THREE, DEMO])
def test_calibration_needs_small_errors_and_a_vacuity_that_rises(experiment: str) -> None:
    good = {
        **{"ece": 0.05, "grid_ece": 0.08},
        **{"vacuity_spearman_worst": 0.9, "vacuity_spearman": 0.95},
    }

    def findings(**changes: float) -> list[bool | None]:
        result = claims.calibration(
            results(**{experiment: {METHOD: entry(METHOD, good | changes)}})
        )
        return [f.held for f in result if f.held is not None]

    assert findings() == [True, True, True]
    assert findings(ece=0.051) == [False, True, True]
    assert findings(grid_ece=0.081) == [True, False, True]
    assert findings(vacuity_spearman_worst=0.89) == [True, True, False]
    assert findings(vacuity_spearman=0.1) == [True, True, True]  # stated beside the worst


def test_calibration_not_run_is_not_measured() -> None:
    assert held(claims.calibration(results())) == [None, None, None]


# 8: parts


@pytest.mark.parametrize(("figure", "sign"), claims.USEFUL.items())
def test_a_part_is_useful_if_leaving_it_out_costs_something_somewhere(
    figure: str, sign: int
) -> None:
    def useful(gain: float) -> list[bool | None]:
        outcomes = {
            METHOD: entry(METHOD, {figure: 0.6}),
            "no_evidence": entry("no_evidence", {figure: 0.6 - sign * gain}),
        }
        tie = {
            METHOD: entry(METHOD, {figure: 0.6}),
            "no_evidence": entry("no_evidence", {figure: 0.6}),
        }
        return held(claims.parts(results(**{TWO: tie, THREE: outcomes})))

    assert useful(CLEAR) == [True]
    assert useful_and_harmful(CLEAR, figure, sign) == [False]
    assert useful(-CLEAR) == [False]
    assert useful(SLIGHT) == [False]
    assert useful(0.0) == [False]


def useful_and_harmful(gain: float, figure: str, sign: int) -> list[bool | None]:
    """Return the verdict on a part that gains in one experiment as much as it costs in another."""
    experiments = {
        experiment: {
            METHOD: entry(METHOD, {figure: 0.6}),
            "no_evidence": entry("no_evidence", {figure: 0.6 - direction * sign * gain}),
        }
        for experiment, direction in ((TWO, 1), (THREE, -1))
    }
    return held(claims.parts(results(**experiments)))


def test_the_directions_of_useful_figures_are_fixed() -> None:
    lower = {"grid_nll", "grid_ece", "grid_aurc"}
    assert {name for name, sign in claims.USEFUL.items() if sign < 0} == lower
    assert set(claims.USEFUL.values()) == {1, -1}


def test_parts_are_listed_with_their_first_gains() -> None:
    figures = dict.fromkeys(("grid", "all", "mismatch", "mismatch_auroc", "vacuity_spearman"), 0.6)
    outcomes = {
        METHOD: entry(METHOD, figures),
        "no_evidence": entry("no_evidence", dict.fromkeys(figures, 0.5)),
        "no_transfer": entry("no_transfer", figures),
        # Variants and peers are not parts.
        "always_distill": entry("always_distill", dict.fromkeys(figures, 0.1)),
        "novel": entry("novel", dict.fromkeys(figures, 0.1)),
    }
    evidence, transfer = claims.parts(results(**{TWO: outcomes}))
    assert evidence.what == "evidence adds something and harms nothing"
    assert evidence.measured.count(TWO) == 4
    assert evidence.measured.endswith("and 1 more")
    assert (transfer.what, transfer.held) == ("transfer adds something and harms nothing", False)
    assert transfer.measured == "nothing significant in any experiment"


# 9: cost


@pytest.mark.parametrize(
    ("seconds", "expected"), [(20.0, True), (20.1, False), (5.0, True), (100.0, False)]
)
def test_training_costs_at_most_twice_the_hybrids_time(seconds: float, expected: bool) -> None:
    cost = {METHOD: {"training_s": seconds}, "hybrid": {"training_s": 10.0}}
    assert held(claims.training_cost(cost)) == [expected]
    assert held(claims.training_cost({"hybrid": {"training_s": 10.0}})) == [None]
