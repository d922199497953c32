"""Claims about coherence transfer, and whether the results support them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks.evidence.markdown import bounded, difference, number
from benchmarks.evidence.results import METHOD, Outcome, Results, compare, nearest

NOISY = ("ravdess_symmetric_40", "ravdess_votes", "ravdess_instance_30")
FEW = {n: f"ravdess_labelled_{n}" for n in (2, 4, 6)}
TWO, THREE, DEMO = "ravdess_clean", "ravdess3_clean", "demo_clean"

# What has to be reached. Accuracies and areas are fractions, differences are method less the other.
SENSOR_ALONE = (0.56, 0.60)  # in the order of the experiment's sensors
BOTH_SENSORS = 0.78
# Largest loss of accuracy that counts as not behind.
MARGINS = {"all": -0.01, "grid": -0.005}
LABEL_ERRORS = 0.85
BAD_SENSOR = 0.85
TRANSFER_GAIN = 0.03
CALIBRATION = {"ece": 0.05, "grid_ece": 0.08}
VACUITY_RANK = 0.9
COST_RATIO = 2.0
DETECTED = {"mismatched_sensor_auroc": "mismatched", "corrupted_sensor_auroc": "corrupted"}

# Figures by which a part can prove useful, and whether higher (1) or lower (-1) is better.
USEFUL = {
    "grid": 1,
    "all": 1,
    "mismatch": 1,
    "grid_nll": -1,
    "grid_ece": -1,
    "grid_aurc": -1,
    "mismatched_sensor_auroc": 1,
    "mismatch_auroc": 1,
    "vacuity_spearman": 1,
}


class Finding(NamedTuple):
    """One testable statement of a claim.

    Attributes
    ----------
    what, measured : str
    held : bool or None
        None if it was not measured.
    """

    what: str
    measured: str
    held: bool | None


class Claim(NamedTuple):
    """Several findings under one title."""

    number: int
    title: str
    findings: list[Finding]

    @property
    def verdict(self) -> str:
        """``held``, ``held so far``, ``held in part``, ``missed`` or ``not measured``."""
        measured = [finding.held for finding in self.findings if finding.held is not None]
        if not measured:
            return "not measured"
        if all(measured):
            return "held" if len(measured) == len(self.findings) else "held so far"
        return "held in part" if any(measured) else "missed"


def claims(results: Results, cost: dict[str, Any]) -> list[Claim]:
    """Return every claim with its findings.

    Parameters
    ----------
    results : Results
    cost : dict of entry to dict
        What `cost.measure` returned; empty if it was not measured.
    """
    made: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("Encoders: each sensor alone, and both", lambda: encoders(results)),
        ("Clean labels: not behind in accuracy, ahead in confidence", lambda: clean(results)),
        ("Noisy labels: ahead of every peer", lambda: noisy(results)),
        ("Few labels: ahead of supervised, self-training and KD", lambda: few(results)),
        ("Three sensors: one mismatched or corrupted", lambda: three_sensors(results)),
        ("EEG alone after transfer", lambda: transfer(results)),
        ("Calibration", lambda: calibration(results)),
        ("Every part is useful", lambda: parts(results)),
        ("Cost", lambda: training_cost(cost)),
    ]
    return [Claim(n, title, list(find())) for n, (title, find) in enumerate(made, start=1)]


def encoders(results: Results) -> Iterator[Finding]:
    """Yield whether each sensor alone and both together reach their accuracy."""
    outcomes, sensors = results.of(TWO), _alone(results, TWO)
    method, unimodal = outcomes.get(METHOD), outcomes.get("unimodal")
    for figure, least in zip(sensors, SENSOR_ALONE, strict=False):
        yield _reached(unimodal, figure, least, f"{figure.removeprefix('only_')} alone")
    yield _reached(method, "all", BOTH_SENSORS, "both, clean")
    if method and unimodal:
        for comparison in compare(method, {"unimodal": unimodal}, sensors):
            sensor = comparison.figure.removeprefix("only_").replace("_", " ")
            yield Finding(
                f"{sensor} alone at test: not below the model of it alone",
                difference(comparison),
                bool(comparison.paired.difference >= 0),
            )


def clean(results: Results) -> Iterator[Finding]:
    """Yield whether the method is not behind the best peer, and ahead of all in confidence."""
    peers, method = results.peers(TWO), results.of(TWO).get(METHOD)
    for figure, margin in MARGINS.items():
        if not method or not peers:
            break
        estimates = {name: peer.estimate(figure)[0] for name, peer in peers.items()}
        best = max(estimates, key=estimates.__getitem__)
        for comparison in compare(method, {best: peers[best]}, [figure]):
            yield Finding(
                f"accuracy, {figure}: interval against the best peer above {_margin(margin)}",
                difference(comparison),
                bool(comparison.paired.low >= margin),
            )
    yield from _ahead(results, TWO, peers, {"grid_nll": -1, "grid_ece": -1, "grid_aurc": -1})


def noisy(results: Results) -> Iterator[Finding]:
    """Yield whether the method is ahead of all peers under wrong labels, and detects those."""
    for experiment in NOISY:
        yield from _ahead(results, experiment, results.peers(experiment), {"grid": 1})
        method = results.of(experiment).get(METHOD)
        if method and method.label_error_auroc is not None:
            mean, *ends = (float(f(method.label_error_auroc)) for f in (np.mean, np.min, np.max))
            yield Finding(
                f"{experiment}: wrong labels detected with AUROC ≥ {number(LABEL_ERRORS, 2)}",
                f"{number(mean)}, runs {number(ends[0])} to {number(ends[1])}",
                bool(mean >= LABEL_ERRORS),
            )


def few(results: Results) -> Iterator[Finding]:
    """Yield whether the method is ahead of all peers with few labels, and not by any teacher."""
    for experiment in FEW.values():
        peers = results.peers(experiment)
        figures = dict.fromkeys(["grid", "all", *_alone(results, experiment)], 1)
        yield from _ahead(results, experiment, peers, figures)
        shuffled = results.of(experiment).get("shuffled_teacher")
        if shuffled and "hybrid" in peers:
            (comparison,) = compare(shuffled, {"hybrid": peers["hybrid"]}, ["grid"])
            yield Finding(
                f"{experiment}: a shuffled teacher gains nothing over supervised training",
                difference(comparison),
                not comparison.ahead(1),
            )


def three_sensors(results: Results) -> Iterator[Finding]:
    """Yield whether the method is ahead with a bad sensor, and identifies it."""
    for experiment in (THREE, DEMO):
        figures = {"mismatch": 1, "mismatch_nll": -1, "severe": 1, "severe_nll": -1}
        yield from _ahead(results, experiment, results.peers(experiment), figures)
        method = results.of(experiment).get(METHOD)
        if method:
            for figure, what in DETECTED.items():
                yield _reached(
                    method, figure, BAD_SENSOR, f"{experiment}: {what} sensor identified, AUROC"
                )
            share = method.estimate("overconfidence_under_mismatch")[0]
            yield Finding(
                f"{experiment}: never more confident under mismatch than the best sensor alone",
                f"more confident in {number(share)} of the mismatches",
                bool(share == 0),
            )
    demo = results.of(DEMO).get(METHOD)
    what = f"{DEMO}: bad sensor distinguished from ambiguous state, AUROC"
    yield _reached(demo, "bad_sensor_auroc", BAD_SENSOR, what)


def transfer(results: Results) -> Iterator[Finding]:
    """Yield whether training with all sensors improves EEG alone at test."""
    outcomes = results.of(DEMO)
    if METHOD not in outcomes or "unimodal" not in outcomes:
        yield _not_run("EEG alone", DEMO)
        return
    (comparison,) = compare(outcomes[METHOD], {"unimodal": outcomes["unimodal"]}, ["only_eeg"])
    pair = comparison.paired
    yield Finding(
        f"≥ {number(TRANSFER_GAIN, 2)} above EEG-only training, interval excluding zero",
        difference(comparison),
        bool(pair.difference >= TRANSFER_GAIN and pair.low > 0),
    )


def calibration(results: Results) -> Iterator[Finding]:
    """Yield whether confidence is calibrated and vacuity rises with corruption."""
    for experiment in (TWO, THREE, DEMO):
        method = results.of(experiment).get(METHOD)
        if method is None:
            yield _not_run(f"{experiment}: calibration", experiment)
            continue
        for figure, most in CALIBRATION.items():
            estimate = method.estimate(figure)
            yield Finding(
                f"{experiment}: {figure} ≤ {number(most, 2)}",
                bounded(estimate),
                bool(estimate[0] <= most),
            )
        worst = method.estimate("vacuity_spearman_worst")[0]
        mean = method.estimate("vacuity_spearman")[0]
        yield Finding(
            f"{experiment}: vacuity rises with every kind of corruption, "
            f"Spearman ≥ {number(VACUITY_RANK, 1)}",
            f"least {number(worst)}, mean {number(mean)}",
            bool(worst >= VACUITY_RANK),
        )


def parts(results: Results) -> Iterator[Finding]:
    """Yield for each part whether it gains in some experiment, and harms in none."""
    gains: dict[str, list[str]] = {}
    harms: dict[str, list[str]] = {}
    for experiment, outcomes in results.outcomes.items():
        method = outcomes.get(METHOD)
        without = {name: o for name, o in outcomes.items() if name.startswith("no_")}
        for comparison in compare(method, without, list(USEFUL)) if method else []:
            of_part = gains.setdefault(comparison.other, [])
            against = harms.setdefault(comparison.other, [])
            sign = USEFUL[comparison.figure]
            measured = f"{experiment} {comparison.figure} {bounded(comparison.paired[:3])}"
            if comparison.ahead(sign):
                of_part.append(measured)
            if comparison.ahead(-sign):
                against.append(measured)
    for name, of_part in gains.items():
        harm = f"; harms: {_listed(harms[name])}" if harms[name] else ""
        yield Finding(
            f"{name.removeprefix('no_').replace('_', ' ')} adds something and harms nothing",
            (_listed(of_part) or "nothing significant in any experiment") + harm,
            bool(of_part) and not harms[name],
        )


def _listed(measured: list[str]) -> str:
    """Return the first measurements and the number of the others."""
    rest = f"; and {len(measured) - 4} more" if measured[4:] else ""
    return "; ".join(measured[:4]) + rest


def training_cost(cost: dict[str, Any]) -> Iterator[Finding]:
    """Yield whether the method trains in at most twice the hybrid's time."""
    if METHOD not in cost or "hybrid" not in cost:
        yield _not_run("training time", "cost")
        return
    ratio = cost[METHOD]["training_s"] / cost["hybrid"]["training_s"]
    yield Finding(
        f"trains in ≤ {COST_RATIO:g} × the hybrid's time",
        f"{ratio:.2f} ×",
        bool(ratio <= COST_RATIO),
    )


def _not_run(what: str, where: str) -> Finding:
    return Finding(what, f"{where} has not been run", None)


def _reached(outcome: Outcome | None, figure: str, least: float, what: str) -> Finding:
    if outcome is None:
        return _not_run(what, "the entry")
    estimate = outcome.estimate(figure)
    return Finding(f"{what} ≥ {number(least, 2)}", bounded(estimate), bool(estimate[0] >= least))


def _ahead(
    results: Results, experiment: str, others: dict[str, Outcome], figures: dict[str, int]
) -> Iterator[Finding]:
    """Yield for every figure whether the method is significantly better than all others.

    Parameters
    ----------
    figures : dict of str to int
        1 if higher values are better, -1 if lower ones are.
    """
    method = results.of(experiment).get(METHOD)
    if method is None or not others:
        yield _not_run(f"{experiment}: {', '.join(figures)}", experiment)
        return
    comparisons = compare(method, others, list(figures))
    for figure, sign in figures.items():
        of_figure = [comparison for comparison in comparisons if comparison.figure == figure]
        if not of_figure:
            yield _not_run(f"{experiment}: {figure}", figure)
            continue
        won = [comparison for comparison in of_figure if comparison.ahead(sign)]
        least = difference(nearest(of_figure, sign))
        yield Finding(
            f"{experiment}: {figure} better than all {len(of_figure)}",
            f"significantly better than {len(won)}; smallest lead: {least}",
            len(won) == len(of_figure),
        )


def _alone(results: Results, experiment: str) -> list[str]:
    """Return the figures of each sensor alone, in the order planned."""
    planned = results.plan.experiments.get(experiment)
    return [f"only_{name}" for name in planned.sensors] if planned else []


def _margin(value: float) -> str:
    return f"−{number(-value)}"
