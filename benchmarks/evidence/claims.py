"""Claims about coherence transfer, and whether the results support them.

Every finding is one line that was fixed before the results: a comparison, a figure, a margin and
an experiment. The p values of all of them are corrected together, by Holm over the whole page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.evidence.markdown import bounded, difference, number, signed
from benchmarks.evidence.results import (
    METHOD,
    Comparison,
    Outcome,
    Results,
    best,
    difference_of,
    has,
)
from consilience.evaluation.resampling import holm

TWO, THREE, WESAD = "ravdess_clean", "ravdess3_clean", "wesad_clean"
STRESS3, STRESS5, EEGMAT = "stressid3_clean", "stressid5_clean", "eegmat_clean"
CORPORA = {
    TWO: "RAVDESS-2",
    THREE: "RAVDESS-3",
    STRESS3: "StressID-3",
    STRESS5: "StressID-5",
    WESAD: "WESAD",
    EEGMAT: "EEGMAT",
}
HARD = {"stress_predict_clean": "Stress-Predict"}
ALL_REAL = {**CORPORA, **HARD}
NOISY = {
    "ravdess_symmetric_40": "40 % wrong labels",
    "ravdess_votes": "labels by crowd votes",
    "ravdess_instance_30": "30 % wrong labels by instance",
}
# Experiments with few labelled people, and the gain of single sensors by the unlabelled ones.
FEW = {
    "ravdess3_labelled_2": 0.05,
    "ravdess3_labelled_4": 0.03,
    "stressid3_labelled_3": 0.03,
    "stressid3_labelled_6": 0.02,
}

# Few labelled people, and some unlabelled recordings with a mismatched sensor; the same with these
# sensors missing, as if an oracle named them.
MISMATCHED, ORACLE = "ravdess3_mismatched_40", "ravdess3_mismatched_40_oracle"

# Accuracies and areas are fractions; differences are the first entry less the other.
MARGIN = 0.01  # of non-inferiority: the largest loss that counts as not behind
BASELINE_GAIN = 0.05
SEVERE_GAIN = 0.05
LEAST_CORPORA = 4  # of the six, in which a severe failure costs less than under every peer
GATE_LOSS, GATE_WORST = 0.003, 0.010  # of clean accuracy: the estimate, and its lower limit
WEIGHTING_GAIN = 0.008  # of single sensors, by weights that depend on coherence
WEIGHTING_KEPT = 0.8  # share of an oracle's gain
KEPT = {"seen": 0.9, "held_out": 0.8}  # share of an oracle's gain under severe failures
LABEL_ERRORS = 0.85
BAD_SENSOR = 0.85
CALIBRATION = {"ece": 0.05, "grid_ece": 0.08}
COVERAGE, COVERAGE_MARGIN = 0.9, 0.03  # of prediction sets for clean windows; either side
VACUITY_RANK = 0.9
COST_RATIO = 2.0

# The experiment and the figure by which each part has to prove useful, and whether higher (1) or
# lower (-1) is better; and the figures that it must not harm in any experiment.
PARTS = {
    "no_transfer": ("ravdess3_labelled_2", "alone", 1),
    "no_coherence_weighting": (MISMATCHED, "alone", 1),
    "no_evidence": (TWO, "vacuity_spearman", 1),
    "no_agreement_head": (THREE, "mismatch_auroc", 1),
    "no_modality_subsets": (TWO, "severe", 1),
    "no_label_correction": ("ravdess_symmetric_40", "grid", 1),
}
HARMED = {"all": 1, "grid": 1, "grid_nll": -1}


class Aim(NamedTuple):
    """An absolute value that a figure has to reach.

    Attributes
    ----------
    experiment, entry, figure : str
    limit : float
    what : str
    at_most : bool
        True: the figure must not exceed the limit; False: it must reach it.
    """

    experiment: str
    entry: str
    figure: str
    limit: float
    what: str
    at_most: bool = False


AIMS = (
    Aim(TWO, METHOD, "all", 0.87, "both sensors"),
    Aim(TWO, METHOD, "grid", 0.64, "grid"),
    Aim(TWO, METHOD, "grid_ece", 0.10, "ECE over the grid", at_most=True),
    Aim(THREE, METHOD, "grid", 0.71, "grid"),
    Aim(THREE, METHOD, "mismatch", 0.63, "one sensor mismatched"),
    Aim(THREE, METHOD, "mismatched_sensor_accuracy", 0.80, "mismatched sensor identified, share"),
    Aim(THREE, METHOD, "mismatch_auroc", 0.84, "mismatch detected, AUROC"),
    Aim(STRESS3, METHOD, "all", 0.74, "all sensors"),
    Aim(STRESS5, METHOD, "all", 0.77, "all sensors"),
    Aim(WESAD, METHOD, "all", 0.80, "all sensors"),
    Aim(EEGMAT, "person_baseline", "all", 0.92, "both sensors, baseline of the person"),
    Aim(EEGMAT, "enrolment_baseline", "all", 0.88, "both sensors, 20 s of rest as enrolment"),
    Aim(EEGMAT, "person_baseline", "only_eeg", 0.82, "EEG alone, baseline of the person"),
    Aim(EEGMAT, "person_baseline", "only_ecg", 0.84, "ECG alone, baseline of the person"),
)


class Finding(NamedTuple):
    """One testable statement of a claim.

    Attributes
    ----------
    what, measured : str
    held : bool or None
        None if it was not measured.
    people : int or None
        Subjects behind the figure.
    """

    what: str
    measured: str
    held: bool | None
    people: int | None = None


class Claim(NamedTuple):
    """Several findings under one title.

    Attributes
    ----------
    number : int
    title : str
    findings : list of Finding
    least : int or None
        How many of the findings the claim needs; None: all of them.
    """

    number: int
    title: str
    findings: list[Finding]
    least: int | None = None

    @property
    def verdict(self) -> str:
        """``held``, ``held so far``, ``held in part``, ``missed``, ``open`` or ``not measured``."""
        measured = [finding.held for finding in self.findings if finding.held is not None]
        n_held, n_open = sum(measured), len(self.findings) - len(measured)
        if not measured:
            return "not measured"
        if self.least is not None:
            if n_held >= self.least:
                return "held"
            if n_held + n_open >= self.least:
                return "open"
        elif all(measured):
            return "held so far" if n_open else "held"
        return "held in part" if n_held else "missed"

    @property
    def missed(self) -> list[Finding]:
        """The findings that were measured and are not held."""
        return [finding for finding in self.findings if finding.held is False]


class Page:
    """Results, and the p values of all comparisons that the claims make.

    Parameters
    ----------
    results : Results
    cost : mapping of entry to dict
        What `cost.measure` returned; empty if it was not measured.
    corrected : mapping of str to float, optional
        P values corrected for all comparisons of the page; by default they stay as they are.
    """

    def __init__(
        self,
        results: Results,
        cost: Mapping[str, Any],
        corrected: Mapping[str, float] | None = None,
    ) -> None:
        self.results = results
        self.cost = cost
        self.p_values: dict[str, float] = {}
        self._corrected = corrected or {}

    def compare(self, experiment: str, first: Outcome, other: Outcome, figure: str) -> Comparison:
        """Compare two entries of an experiment in a figure that both have."""
        pair = difference_of(first, other, figure)
        key = "\x1f".join((experiment, first.name, other.name, figure))
        self.p_values[key] = pair.p_value
        return Comparison(figure, other.name, pair, self._corrected.get(key, pair.p_value))

    def entry(self, experiment: str, name: str = METHOD) -> Outcome | None:
        """Return the outcome of an entry; None if it has not been run."""
        return self.results.of(experiment).get(name)


def claims(results: Results, cost: Mapping[str, Any]) -> list[Claim]:
    """Return every claim with its findings.

    They are derived twice: the correction needs the p values of all of them.

    Parameters
    ----------
    results : Results
    cost : mapping of entry to dict
        What `cost.measure` returned; empty if it was not measured.
    """
    uncorrected = Page(results, cost)
    _derived(uncorrected)
    return _derived(Page(results, cost, holm(uncorrected.p_values)))


def _derived(page: Page) -> list[Claim]:
    listed: list[tuple[str, Callable[[Page], Iterable[Finding]], int | None]] = [
        ("Accuracy, calibration and detection that is reached", reached, None),
        ("A running baseline of the person against none", baseline, None),
        ("Clean sensors: not behind the best peer", clean, None),
        ("One sensor fails badly: ahead of the best equal peer", severe, LEAST_CORPORA),
        ("Likelihood over the grid: ahead of the best peer", confidence, None),
        ("The gate: nothing lost on clean sensors, most gained under failures", gate, None),
        ("Wrong labels: not behind co-teaching", noisy, None),
        ("Few labelled people: single sensors gain from the unlabelled", few, None),
        ("Mismatched unlabelled recordings: coherence leaves them out", mismatched, None),
        ("Three sensors: one mismatched or corrupted", bad_sensor, None),
        ("Calibration and vacuity", calibration, None),
        ("Every part is useful and harms nothing", parts, None),
        ("The hard case, wearables over an hour", hard_case, None),
        ("Cost", training_cost, None),
    ]
    return [
        Claim(n, title, list(find(page)), least)
        for n, (title, find, least) in enumerate(listed, start=1)
    ]


def reached(page: Page) -> Iterator[Finding]:
    """Yield whether every aim is reached."""
    for aim in AIMS:
        yield _within(page, aim)


def baseline(page: Page) -> Iterator[Finding]:
    """Yield for every corpus whether the running baseline gains enough over none."""
    for experiment, label in ALL_REAL.items():
        what = f"{label}: running less none, all sensors ≥ {signed(BASELINE_GAIN, 2)}"
        method, without = page.entry(experiment), page.entry(experiment, "no_baseline")
        if method is None or without is None:
            yield _not_run(what, experiment)
            continue
        pair = difference_of(method, without, "all")
        held = pair.difference >= BASELINE_GAIN and pair.low > 0
        yield Finding(what, difference(pair, without.name), bool(held), pair.n_subjects)


def clean(page: Page, corpora: Mapping[str, str] = CORPORA) -> Iterator[Finding]:
    """Yield for every corpus whether clean accuracy is not behind that of the best peer."""
    for experiment, label in corpora.items():
        peer = best(page.results.peers(experiment), "all", 1)
        yield _not_behind(page, experiment, label, peer, "all")


def severe(page: Page, corpora: Mapping[str, str] = CORPORA) -> Iterator[Finding]:
    """Yield for every corpus whether a severe failure costs less than under the best equal peer.

    Equal is a peer with the same training windows: as they are, or partly corrupted.
    """
    for experiment, label in corpora.items():
        what = f"{label}: severity 5 in one sensor, lead ≥ {signed(SEVERE_GAIN, 2)}"
        peers = page.results.peers(experiment)
        leads, verdicts = [], []
        for name, corrupted in ((METHOD, False), ("coherence_corrupted", True)):
            equal = {n: o for n, o in peers.items() if o.corruption_trained == corrupted}
            method, peer = page.entry(experiment, name), best(equal, "severe", 1)
            if method is None or peer is None or not has("severe", method):
                continue
            comparison = page.compare(experiment, method, peer, "severe")
            windows = "trained on corrupted windows: " if corrupted else ""
            leads.append(windows + _text(comparison))
            verdicts.append(comparison.ahead(1) and comparison.paired.difference >= SEVERE_GAIN)
        people = page.entry(experiment)
        if len(verdicts) < 2 or people is None:
            yield _not_run(what, experiment)
        else:
            yield Finding(what, "; ".join(leads), all(verdicts), people.n_subjects("severe"))


def confidence(page: Page, corpora: Mapping[str, str] = CORPORA) -> Iterator[Finding]:
    """Yield for every corpus whether the NLL over the grid is below that of the best peer."""
    for experiment, label in corpora.items():
        peers = page.results.peers(experiment)
        yield _ahead(page, experiment, label, best(peers, "grid_nll", -1), "grid_nll", -1)


def gate(page: Page) -> Iterator[Finding]:
    """Yield whether the gate loses nothing on clean sensors, and keeps the gain under failures.

    Compared with the full pool of experts (`no_modality_subsets`). The gain to keep is that of an
    oracle that leaves the failing sensor out of the pool.
    """
    for experiment, label in ALL_REAL.items():
        method, pool = page.entry(experiment), page.entry(experiment, "no_modality_subsets")
        what = (
            f"{label}: clean, less the full pool ≥ {signed(-GATE_LOSS)}, "
            f"lower limit ≥ {signed(-GATE_WORST)}"
        )
        if method is None or pool is None:
            yield _not_run(what, experiment)
            continue
        pair = difference_of(method, pool, "all")
        held = pair.difference >= -GATE_LOSS and pair.low >= -GATE_WORST
        yield Finding(what, difference(pair, "the full pool"), bool(held), pair.n_subjects)
        for group, share in KEPT.items():
            yield _kept(label, method, pool, group, share)


def _kept(label: str, method: Outcome, pool: Outcome, group: str, share: float) -> Finding:
    """Return whether the gate keeps a share of the oracle's gain under severe failures."""
    kinds = {"seen": "seen kinds", "held_out": "held-out kinds"}[group]
    what = f"{label}: severe failure, {kinds}: ≥ {share:.0%} of an oracle's gain"
    severity, left_out = f"severe_{group}", f"left_out_{group}"
    if not has(severity, method, pool):
        return Finding(what, "no such kind", None)
    gain = difference_of(method, pool, severity)
    oracle = pool.estimate(left_out)[0] - pool.estimate(severity)[0]
    measured = f"gate {signed(gain.difference)}, oracle {signed(oracle)} over the full pool"
    # Where the oracle gains nothing, the gate must not lose.
    held = gain.difference >= share * max(oracle, 0.0)
    return Finding(what, measured, bool(held), gain.n_subjects)


def noisy(page: Page) -> Iterator[Finding]:
    """Yield whether wrong labels cost no more than under co-teaching, and are detected."""
    for experiment, label in NOISY.items():
        rival = page.entry(experiment, "co_teaching")
        yield _not_behind(page, experiment, label, rival, "all")
        yield _ahead(page, experiment, label, rival, "grid", 1)
        peer = best(page.results.peers(experiment), "grid", 1)
        if peer is not None and peer.name != "co_teaching":
            yield _ahead(page, experiment, label, peer, "grid", 1)
        method = page.entry(experiment)
        if method and method.label_error_auroc is not None:
            mean, *ends = (float(f(method.label_error_auroc)) for f in (np.mean, np.min, np.max))
            yield Finding(
                f"{label}: detected with AUROC ≥ {number(LABEL_ERRORS, 2)}",
                f"{number(mean)}, runs {number(ends[0])} to {number(ends[1])}",
                bool(mean >= LABEL_ERRORS),
            )


def few(page: Page) -> Iterator[Finding]:
    """Yield whether single sensors gain from unlabelled people, and nothing is lost against KD."""
    for experiment, least in FEW.items():
        method = page.entry(experiment)
        for name, gain, over in (
            ("no_transfer", least, "labels only"),
            ("self_training", 0.0, "self-training"),
        ):
            what = f"{experiment}: single sensors over {over} ≥ {signed(gain, 2)}, interval above 0"
            other = page.entry(experiment, name)
            if method is None or other is None:
                yield _not_run(what, experiment)
                continue
            pair = difference_of(method, other, "alone")
            held = pair.difference >= gain and pair.low > 0
            yield Finding(what, difference(pair, name), bool(held), pair.n_subjects)
        yield _not_behind(page, experiment, experiment, page.entry(experiment, "kd"), "all")
        shuffled, hybrid = (page.entry(experiment, n) for n in ("shuffled_teacher", "hybrid"))
        if shuffled and hybrid:
            comparison = page.compare(experiment, shuffled, hybrid, "grid")
            yield Finding(
                f"{experiment}: a shuffled teacher gains nothing over supervised training",
                _text(comparison),
                not comparison.ahead(1),
                comparison.paired.n_subjects,
            )


def mismatched(page: Page) -> Iterator[Finding]:
    """Yield whether weights by coherence gain as much as if an oracle named the sensors."""
    method, equal = page.entry(MISMATCHED), page.entry(MISMATCHED, "no_coherence_weighting")
    oracle = page.entry(ORACLE, "no_coherence_weighting")
    what = f"single sensors over equal weights ≥ {signed(WEIGHTING_GAIN)}, interval above 0"
    share = f"≥ {WEIGHTING_KEPT:.0%} of an oracle's gain over equal weights"
    if method is None or equal is None:
        yield _not_run(what, MISMATCHED)
        return
    gain = difference_of(method, equal, "alone")
    held = gain.difference >= WEIGHTING_GAIN and gain.low > 0
    yield Finding(what, difference(gain, "equal weights"), bool(held), gain.n_subjects)
    if oracle is None:
        yield _not_run(share, ORACLE)
        return
    most = difference_of(oracle, equal, "alone").difference
    measured = f"coherence {signed(gain.difference)}, oracle {signed(most)}"
    kept = gain.difference >= WEIGHTING_KEPT * max(most, 0.0)
    yield Finding(share, measured, bool(kept), gain.n_subjects)


def bad_sensor(page: Page) -> Iterator[Finding]:
    """Yield whether a mismatched sensor costs less than under any peer, and is identified."""
    for experiment in (THREE, STRESS3):
        label = CORPORA[experiment]
        peers = page.results.peers(experiment)
        yield _ahead(page, experiment, label, best(peers, "mismatch", 1), "mismatch", 1)
        for figure, what in (
            ("mismatched_sensor_auroc", "mismatched sensor identified, AUROC"),
            ("corrupted_sensor_auroc", "corrupted sensor identified, AUROC"),
        ):
            yield _within(page, Aim(experiment, METHOD, figure, BAD_SENSOR, what))
        what = "mismatches with more confidence than the best sensor alone, share"
        aim = Aim(experiment, METHOD, "overconfidence_under_mismatch", 0.0, what, at_most=True)
        yield _within(page, aim)


def calibration(page: Page) -> Iterator[Finding]:
    """Yield whether confidence is calibrated and vacuity rises with corruption."""
    for experiment in (TWO, THREE):
        for figure, most in CALIBRATION.items():
            yield _within(page, Aim(experiment, METHOD, figure, most, figure, at_most=True))
        what = "vacuity rises with every kind of corruption, least Spearman"
        aim = Aim(experiment, METHOD, "vacuity_spearman_worst", VACUITY_RANK, what)
        yield _within(page, aim)
    for experiment, label in ALL_REAL.items():
        yield _covering(page, experiment, label)


def parts(page: Page) -> Iterator[Finding]:
    """Yield for each part whether it gains where it has to, and harms no figure anywhere.

    A gain must be significant after the correction; a harm counts without it.
    """
    for name, (experiment, figure, sign) in PARTS.items():
        title = name.removeprefix("no_").replace("_", " ")
        what = f"{title}: gains in {experiment}, {figure}, and harms nothing"
        method, without = page.entry(experiment), page.entry(experiment, name)
        if method is None or without is None:
            yield _not_run(what, experiment)
            continue
        gain = page.compare(experiment, method, without, figure)
        harms = list(_harms(page, name))
        measured = _text(gain) + (f"; harms: {'; '.join(harms)}" if harms else "")
        yield Finding(what, measured, gain.ahead(sign) and not harms, gain.paired.n_subjects)


def _harms(page: Page, name: str) -> Iterator[str]:
    """Yield the figures in which the method is clearly worse than without a part."""
    for experiment in page.results.outcomes:
        method, without = page.entry(experiment), page.entry(experiment, name)
        if method is None or without is None:
            continue
        for figure, sign in HARMED.items():
            if has(figure, method, without):
                pair = difference_of(method, without, figure)
                if (pair.high if sign > 0 else -pair.low) < 0:
                    yield f"{experiment} {figure} {bounded(pair[:3])}"


def hard_case(page: Page) -> Iterator[Finding]:
    """Yield the findings about clean sensors, failures and likelihood on the hard case."""
    for find in (clean, severe, confidence):
        yield from find(page, HARD)


def training_cost(page: Page) -> Iterator[Finding]:
    """Yield whether the method trains in at most twice the hybrid's time."""
    cost = page.cost
    what = f"trains in ≤ {COST_RATIO:g} × the hybrid's time"
    if METHOD not in cost or "hybrid" not in cost:
        yield _not_run(what, "cost")
        return
    ratio = cost[METHOD]["training_s"] / cost["hybrid"]["training_s"]
    yield Finding(what, f"{ratio:.2f} ×", bool(ratio <= COST_RATIO))


def _not_run(what: str, where: str) -> Finding:
    return Finding(what, f"{where} has not been run", None)


def _within(page: Page, aim: Aim) -> Finding:
    """Return whether an entry's figure keeps the limit of an aim."""
    label = ALL_REAL.get(aim.experiment, aim.experiment)
    what = f"{label}: {aim.what} {'≤' if aim.at_most else '≥'} {number(aim.limit, 2)}"
    outcome = page.entry(aim.experiment, aim.entry)
    if outcome is None:
        return _not_run(what, aim.experiment)
    estimate = outcome.estimate(aim.figure)
    if not np.isfinite(estimate[0]):
        return Finding(what, f"{aim.figure} is not defined", None)
    held = estimate[0] <= aim.limit if aim.at_most else estimate[0] >= aim.limit
    return Finding(what, bounded(estimate), bool(held), outcome.n_subjects(aim.figure))


def _covering(page: Page, experiment: str, label: str) -> Finding:
    """Return whether prediction sets cover the clean windows as often as they aim to."""
    what = f"{label}: prediction sets cover {COVERAGE:.0%} ± {100 * COVERAGE_MARGIN:.0f}, clean"
    outcome = page.entry(experiment)
    if outcome is None:
        return _not_run(what, experiment)
    estimate = outcome.estimate("set_coverage")
    if not np.isfinite(estimate[0]):
        return Finding(what, "set_coverage is not defined", None)
    held = abs(estimate[0] - COVERAGE) <= COVERAGE_MARGIN
    return Finding(what, bounded(estimate), bool(held), outcome.n_subjects("set_coverage"))


def _not_behind(
    page: Page, experiment: str, label: str, other: Outcome | None, figure: str
) -> Finding:
    """Return whether the method is not inferior: the interval lies above the margin."""
    against = other.name.replace("_", " ") if other else "the best peer"
    what = f"{label}: {figure}, interval against {against} above {signed(-MARGIN, 2)}"
    method = page.entry(experiment)
    if method is None or other is None or not has(figure, method, other):
        return _not_run(what, experiment)
    pair = difference_of(method, other, figure)
    held = bool(pair.low >= -MARGIN)
    return Finding(what, difference(pair, other.name), held, pair.n_subjects)


def _ahead(
    page: Page, experiment: str, label: str, other: Outcome | None, figure: str, sign: int
) -> Finding:
    """Return whether the method is significantly better than another entry.

    Parameters
    ----------
    sign : int
        1 if higher values are better, -1 if lower ones are.
    """
    against = other.name.replace("_", " ") if other else "the best peer"
    what = f"{label}: {figure.replace('_', ' ')} better than that of {against}"
    method = page.entry(experiment)
    if method is None or other is None or not has(figure, method, other):
        return _not_run(what, experiment)
    comparison = page.compare(experiment, method, other, figure)
    people = comparison.paired.n_subjects
    return Finding(what, _text(comparison), comparison.ahead(sign), people)


def _text(comparison: Comparison) -> str:
    return difference(comparison.paired, comparison.other, comparison.p_corrected)
