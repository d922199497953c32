"""What the model was to reach, line by line, and whether the results say it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.evidence.results import OURS, Comparison, Outcome, Results, compare, nearest

NOISY = ("ravdess_symmetric_40", "ravdess_votes", "ravdess_instance_30")
FEW = {n: f"ravdess_labelled_{n}" for n in (2, 4, 6)}
TWO, THREE, DEMO = "ravdess_clean", "ravdess3_clean", "demo_clean"


class Finding(NamedTuple):
    """One thing that was to be reached.

    Attributes
    ----------
    what, measured : str
    held : bool or None
        None if it was not measured.
    """

    what: str
    measured: str
    held: bool | None


class Line(NamedTuple):
    """One line of what was to be reached."""

    number: int
    title: str
    findings: list[Finding]

    @property
    def verdict(self) -> str:
        """Held, missed, held in part, or not measured."""
        known = [finding.held for finding in self.findings if finding.held is not None]
        if not known:
            return "not measured"
        if all(known):
            return "held" if len(known) == len(self.findings) else "held so far"
        return "held in part" if any(known) else "missed"


def lines(results: Results, cost: dict[str, Any]) -> list[Line]:
    """Return every line with its findings."""
    made: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("Encoders: each sensor alone, and both", lambda: _encoders(results)),
        ("Clean labels: not behind in accuracy, ahead in confidence", lambda: _clean(results)),
        ("Noisy labels: ahead of every peer", lambda: _noisy(results)),
        ("Few labels: ahead of supervised, self-training and KD", lambda: _few(results)),
        ("Three sensors: one conflicting or failing", lambda: _three(results)),
        ("EEG alone after transfer", lambda: _transfer(results)),
        ("Calibration", lambda: _calibration(results)),
        ("Every part earns its place", lambda: _parts(results)),
        ("Cost", lambda: _cost(cost)),
    ]
    return [Line(n, title, list(find())) for n, (title, find) in enumerate(made, start=1)]


def number(value: float, digits: int = 3) -> str:
    """Return a number without its leading zero; a dash for NaN."""
    if not np.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def bounded(values: Sequence[float], digits: int = 3) -> str:
    """Return an estimate with its interval."""
    return f"{number(values[0], digits)} [{number(values[1], digits)}, {number(values[2], digits)}]"


def difference(comparison: Comparison) -> str:
    """Return a difference with its interval, the other's name and the corrected p."""
    pair = comparison.paired
    sign = "+" if pair.difference >= 0 else ""
    return (
        f"{sign}{bounded(pair[:3])} against {comparison.other.replace('_', ' ')}, "
        + probability(comparison.p_corrected)
    )


def probability(p: float) -> str:
    """Return a p as it is written."""
    return "p < .001" if p < 0.001 else f"p {number(p)}"


def _missing(what: str, where: str) -> Finding:
    return Finding(what, f"{where} has not been run", None)


def _reached(outcome: Outcome | None, figure: str, least: float, what: str) -> Finding:
    if outcome is None:
        return _missing(what, figure)
    estimate = outcome.estimate(figure)
    return Finding(f"{what} ≥ {number(least, 2)}", bounded(estimate), bool(estimate[0] >= least))


def _ahead(
    results: Results, experiment: str, others: dict[str, Outcome], figures: dict[str, int]
) -> Iterator[Finding]:
    """Yield, for every figure, whether ours is ahead of all others beyond doubt.

    `figures` says of each whether higher (1) or lower (-1) is better.
    """
    ours = results.of(experiment).get(OURS)
    if ours is None or not others:
        yield _missing(f"{experiment}: {', '.join(figures)}", experiment)
        return
    found = compare(ours, others, list(figures))
    for figure, sign in figures.items():
        own = [comparison for comparison in found if comparison.figure == figure]
        if not own:
            yield _missing(f"{experiment}: {figure}", figure)
            continue
        won = [comparison for comparison in own if comparison.ahead(sign)]
        yield Finding(
            f"{experiment}: {figure} better than all {len(own)}",
            f"beyond doubt ahead of {len(won)}; least ahead: {difference(nearest(own, sign))}",
            len(won) == len(own),
        )


def _encoders(results: Results) -> Iterator[Finding]:
    outcomes, sensors = results.of(TWO), _alone(results, TWO)
    ours, alone = outcomes.get(OURS), outcomes.get("unimodal")
    for figure, least in zip(sensors, (0.56, 0.60), strict=False):
        yield _reached(alone, figure, least, f"{figure.removeprefix('only_')} alone")
    yield _reached(ours, "all", 0.78, "both, clean")
    if ours and alone:
        for comparison in compare(ours, {"unimodal": alone}, sensors):
            sensor = comparison.figure.removeprefix("only_").replace("_", " ")
            yield Finding(
                f"{sensor} alone at test: not below the model of it alone",
                difference(comparison),
                bool(comparison.paired.difference >= 0),
            )


def _alone(results: Results, experiment: str) -> list[str]:
    """Return the figures of each sensor alone, in the order planned."""
    planned = results.plan.experiments.get(experiment)
    return [f"only_{name}" for name in planned.sensors] if planned else []


def _clean(results: Results) -> Iterator[Finding]:
    peers, ours = results.peers(TWO), results.of(TWO).get(OURS)
    if ours and peers:
        best = max(peers, key=lambda name: peers[name].estimate("grid")[0])
        (comparison,) = compare(ours, {best: peers[best]}, ["grid"])
        yield Finding(
            "grid accuracy: interval against the best peer within −.005",
            difference(comparison),
            bool(comparison.paired.low >= -0.005),
        )
    yield from _ahead(results, TWO, peers, {"grid_nll": -1, "grid_ece": -1, "grid_aurc": -1})


def _noisy(results: Results) -> Iterator[Finding]:
    for experiment in NOISY:
        yield from _ahead(results, experiment, results.peers(experiment), {"grid": 1})
        ours = results.of(experiment).get(OURS)
        if ours and ours.label_error_auroc is not None:
            mean, *ends = (float(f(ours.label_error_auroc)) for f in (np.mean, np.min, np.max))
            yield Finding(
                f"{experiment}: wrong labels found with AUROC ≥ .85",
                f"{number(mean)}, runs {number(ends[0])} to {number(ends[1])}",
                bool(mean >= 0.85),
            )


def _few(results: Results) -> Iterator[Finding]:
    for experiment in FEW.values():
        peers = results.peers(experiment)
        figures = dict.fromkeys(["grid", "all", *_alone(results, experiment)], 1)
        yield from _ahead(results, experiment, peers, figures)
        shuffled = results.of(experiment).get("shuffled_teacher")
        if shuffled and "hybrid" in peers:
            (comparison,) = compare(shuffled, {"hybrid": peers["hybrid"]}, ["grid"])
            yield Finding(
                f"{experiment}: a shuffled teacher gains nothing over supervised",
                difference(comparison),
                not comparison.ahead(1),
            )


NAMED = {"mismatched_sensor_auroc": "mismatched", "corrupted_sensor_auroc": "corrupted"}


def _three(results: Results) -> Iterator[Finding]:
    for experiment in (THREE, DEMO):
        figures = {"mismatch": 1, "mismatch_nll": -1, "severe": 1, "severe_nll": -1}
        yield from _ahead(results, experiment, results.peers(experiment), figures)
        ours = results.of(experiment).get(OURS)
        if ours:
            for figure, what in NAMED.items():
                yield _reached(ours, figure, 0.85, f"{experiment}: {what} sensor named, AUROC")
            bolder = ours.estimate("overconfidence_under_mismatch")
            yield Finding(
                f"{experiment}: never more certain than the best sensor under conflict",
                f"more certain in {number(bolder[0])} of the conflicts",
                bool(bolder[0] == 0),
            )
    demo = results.of(DEMO).get(OURS)
    yield _reached(
        demo, "bad_sensor_auroc", 0.85, f"{DEMO}: bad sensor told from ambiguous state, AUROC"
    )


def _transfer(results: Results) -> Iterator[Finding]:
    outcomes = results.of(DEMO)
    if OURS not in outcomes or "unimodal" not in outcomes:
        yield _missing("EEG alone", DEMO)
        return
    (comparison,) = compare(outcomes[OURS], {"unimodal": outcomes["unimodal"]}, ["only_eeg"])
    yield Finding(
        "≥ .03 above EEG-only training, interval excluding zero",
        difference(comparison),
        bool(comparison.paired.difference >= 0.03 and comparison.paired.low > 0),
    )


def _calibration(results: Results) -> Iterator[Finding]:
    for experiment in (TWO, THREE, DEMO):
        ours = results.of(experiment).get(OURS)
        if ours is None:
            yield _missing(f"{experiment}: calibration", experiment)
            continue
        for figure, most in (("ece", 0.05), ("grid_ece", 0.08)):
            estimate = ours.estimate(figure)
            yield Finding(
                f"{experiment}: {figure} ≤ {number(most, 2)}",
                bounded(estimate),
                bool(estimate[0] <= most),
            )
        worst = ours.estimate("vacuity_spearman_worst")
        mean = ours.estimate("vacuity_spearman")
        yield Finding(
            f"{experiment}: vacuity rises with every kind of corruption, Spearman ≥ .9",
            f"least {number(worst[0])}, mean {number(mean[0])}",
            bool(worst[0] >= 0.9),
        )


def _parts(results: Results) -> Iterator[Finding]:
    """Yield of each part whether it adds anything beyond doubt in any experiment."""
    parts: dict[str, list[str]] = {}
    for experiment, outcomes in results.outcomes.items():
        ours = outcomes.get(OURS)
        without = {name: o for name, o in outcomes.items() if name.startswith("no_")}
        for comparison in compare(ours, without, list(EARNED)) if ours else []:
            gained = parts.setdefault(comparison.other, [])
            if comparison.ahead(EARNED[comparison.figure]):
                gained.append(f"{experiment} {comparison.figure} {bounded(comparison.paired[:3])}")
    for name, gained in parts.items():
        shown = "; ".join(gained[:4]) + (f"; and {len(gained) - 4} more" if gained[4:] else "")
        yield Finding(
            f"{name.removeprefix('no_').replace('_', ' ')} adds something",
            shown or "nothing beyond doubt anywhere",
            bool(gained),
        )


EARNED = {
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


def _cost(cost: dict[str, Any]) -> Iterator[Finding]:
    if OURS not in cost or "hybrid" not in cost:
        yield _missing("training time", "cost")
        return
    ratio = cost[OURS]["training_s"] / cost["hybrid"]["training_s"]
    yield Finding("trains in ≤ 2 × the hybrid's time", f"{ratio:.2f} ×", bool(ratio <= 2))
