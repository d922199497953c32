"""Recordings with a known fault: ``python -m benchmarks.coherence PROJECT [SENSOR ...]``.

Trains the default method on a project's clean windows and predicts the test people by each sensor
alone. *Swaps*: in n windows of a person, one sensor shows n windows of another person, drawn as
they come; detection and location of the swap by the log likelihood ratio and by pairwise agreement.
*Shifts*, where sensors have frames over time: the clock of one sensor is wrong throughout one
session, all others are in time; the share of sessions with a shift, and with the right sensor and
sign. Both use the clean recordings of all people of the project, each tested without its own.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, logsumexp, softmax
from scipy.stats import mannwhitneyu

from benchmarks.evidence.context import with_sensors
from consilience.core import registry
from consilience.core.seeds import generator
from consilience.evaluation.predict import predict
from consilience.evaluation.recording_shifts import (
    Shift,
    TimedFrames,
    aligned_frames,
    fit_shift_estimator,
    folds_of_sessions,
    on_common_steps,
)
from consilience.evaluation.tables import (
    sharpness_of_sensors,
    training_frequencies,
)
from consilience.project import Project
from consilience.schema.params.plugins import DEFAULT_METHOD, MethodParams
from consilience.schema.params.robustness import RobustnessParams
from consilience.schema.params.training import TrainingParams
from consilience.training.conditioned import Prepared, load_windows
from consilience.training.fit import Fitted, fit
from consilience.training.recording_coherence import (
    Array,
    SensorEvidence,
    log_likelihood_ratios,
    mismatch_probability,
    sensor_evidence,
    sharpened,
)
from consilience.training.run import method_params
from consilience.windows.conditions import SUBSET, Condition, conditions
from consilience.windows.store import Corpus, load_corpus

SIZES = (1, 5, 6, 10)  # windows of a recording
DRAWS = 2000  # recordings, each with and without a swap
DELAYS_S = (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0)

Rows = NDArray[np.int64]


class Swaps(NamedTuple):
    """Recordings of n windows, and the windows that replace those of one sensor.

    Attributes
    ----------
    rows, donors : ndarray of int, shape (D, n)
    sensor : ndarray of int, shape (D,)
    """

    rows: Rows
    donors: Rows
    sensor: Rows


def draw_swaps(
    available: NDArray[np.bool_], subjects: NDArray[np.str_], size: int, n_draws: int
) -> Swaps:
    """Draw recordings with at least two sensors in every window, and other people's windows.

    Parameters
    ----------
    available : ndarray of bool, shape (N, M)
    subjects : ndarray of str, shape (N,)
    size : int
        Windows of a recording; people with fewer are not drawn.
    n_draws : int
    """
    rng = generator("swaps", size)
    several = available.sum(1) > 1
    rows: list[Rows] = []
    donors: list[Rows] = []
    sensors: list[int] = []
    people = np.unique(subjects)
    while len(rows) < n_draws:
        wearer, other = rng.choice(people, 2, replace=False)
        sensor = int(rng.integers(available.shape[1]))
        pool = np.flatnonzero((subjects == wearer) & several & available[:, sensor])
        lent = np.flatnonzero((subjects == other) & available[:, sensor])
        if min(len(pool), len(lent)) >= size:
            rows.append(rng.choice(pool, size, replace=False))
            donors.append(rng.choice(lent, size, replace=False))
            sensors.append(sensor)
    return Swaps(np.array(rows), np.array(donors), np.array(sensors))


def swapped(values: NDArray[np.float64], swaps: Swaps) -> NDArray[np.float64]:
    """Return the values (D, n, M, K) of the recordings, those of one sensor by the donors."""
    result = values[swaps.rows]
    draws = np.arange(len(swaps.rows))
    result[draws, :, swaps.sensor] = values[swaps.donors, swaps.sensor[:, None]]
    return result


def recording_llr(evidence: SensorEvidence, log_ratios: Array, rows: Rows) -> Array:
    """Return the LLR (D, M) of recordings with the given log ratios (D, n, M, K)."""
    flat = SensorEvidence(
        log_ratios.reshape(-1, *log_ratios.shape[2:]),
        evidence.log_prior[rows.ravel()],
        evidence.available[rows.ravel()],
    )
    return log_likelihood_ratios(flat).reshape(*log_ratios.shape[:3]).sum(1)


def agreement(probability: Array, available: NDArray[np.bool_]) -> Array:
    """Return each sensor's mean ``1 - JS / ln 2`` with the others over the windows (D, M).

    NaN for sensors that cannot be compared in any window.
    """
    totals = np.zeros(probability.shape[:1] + probability.shape[2:3])
    counts = np.zeros_like(totals)
    for m, other in permutations(range(probability.shape[2]), 2):
        first, second = probability[:, :, m], probability[:, :, other]
        both = available[:, :, m] & available[:, :, other]
        mean = entr((first + second) / 2).sum(-1)
        divergence = mean - (entr(first).sum(-1) + entr(second).sum(-1)) / 2
        totals[:, m] += np.where(both, 1 - divergence / np.log(2), 0).sum(1)
        counts[:, m] += both.sum(1)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        return np.asarray(totals / counts)


def detection(
    probability: Array, evidence: SensorEvidence, swaps: Swaps, prior: float
) -> dict[str, float]:
    """Return how well swaps are detected and located, by calibrated evidence and by agreement.

    ``auroc`` and ``named`` (share of swaps whose sensor has the lowest LLR), ``agreement_auroc``
    and ``agreement_named``, and ``listed`` and ``false_alarms``: shares of recordings with and
    without a swap whose probability of a mismatch exceeds .5. Agreement is that of `probability`
    as predicted, which separates better than that of calibrated probabilities.
    """
    sound = recording_llr(evidence, evidence.log_ratios[swaps.rows], swaps.rows)
    faulty = recording_llr(evidence, swapped(evidence.log_ratios, swaps), swaps.rows)
    available = evidence.available[swaps.rows]
    agreeing = agreement(probability[swaps.rows], available)
    disagreeing = agreement(swapped(probability, swaps), available)
    listed, false_alarms = (
        float(np.mean([mismatch_probability(row, prior).sum() > 0.5 for row in llr]))
        for llr in (faulty, sound)
    )
    return {
        "auroc": auroc(logsumexp(-faulty, axis=1), logsumexp(-sound, axis=1)),
        "named": float(np.mean(faulty.argmin(1) == swaps.sensor)),
        "agreement_auroc": auroc(-np.nanmin(disagreeing, 1), -np.nanmin(agreeing, 1)),
        "agreement_named": float(np.mean(np.nanargmin(disagreeing, 1) == swaps.sensor)),
        "listed": listed,
        "false_alarms": false_alarms,
    }


def auroc(positives: Array, negatives: Array) -> float:
    """Return the probability that a positive exceeds a negative, ties counted half."""
    statistic = mannwhitneyu(positives, negatives).statistic
    return float(statistic / (len(positives) * len(negatives)))


class Trained(NamedTuple):
    """The default method, trained on clean windows."""

    corpus: Corpus
    prepared: Prepared
    model: Fitted

    @property
    def prior(self) -> Array:
        """Class frequencies (N, K) in training."""
        return training_frequencies(self.corpus, self.model.training)

    def alone(self, sensor: str) -> Array:
        """Return the test people's class probabilities (N, K) by one sensor, mean over seeds."""
        condition = Condition(SUBSET, (sensor,))
        predictions = predict([self.model], self.corpus, self.prepared, condition)
        probability = softmax(predictions.logits.astype(np.float64), -1)
        tested = np.isfinite(probability)
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: no run tests this window
            return np.asarray(np.where(tested, probability, 0.0).sum(0) / tested.sum(0))


def clean_corpus(project: Project, sensors: Sequence[str]) -> Corpus:
    """Read the clean windows of some sensors of a project, all by default."""
    corpus = load_corpus(project.windows, project.corrupted)
    corpus = with_sensors(corpus, sensors or corpus.modalities)
    # Without corruptions the calibration uses the sensors' subsets and mismatches.
    return replace(corpus, variants={name: () for name in corpus.modalities})


def settings_of(project: Project, method: str) -> MethodParams:
    """Return the parameters of a method in a project; the defaults if the project lacks it."""
    of_project = method_params(project).get(method)
    return of_project or registry.params("methods", method)()


def train(project: Project, corpus: Corpus) -> Trained:
    """Train the default method of a project on clean windows."""
    prepared = load_windows(corpus, conditions(corpus))
    training = project.section(TrainingParams).model_copy(update={"held_out": []})
    params = settings_of(project, DEFAULT_METHOD)
    with tempfile.TemporaryDirectory() as folder:
        model = fit(DEFAULT_METHOD, params, training, corpus, Path(folder), prepared=prepared)
    return Trained(corpus, prepared, model)


def swap_table(trained: Trained) -> list[str]:
    """Return the detection of swaps by number of windows, as lines of Markdown."""
    corpus = trained.corpus
    alone = {name: trained.alone(name) for name in corpus.modalities}
    sharpness = sharpness_of_sensors(alone, trained.prior, corpus)
    probability = np.stack(list(alone.values()), 1)
    available = corpus.available & np.isfinite(probability).all(-1)
    calibrated = [sharpened(alone[name], sharpness[name]) for name in corpus.modalities]
    evidence = sensor_evidence(np.stack(calibrated, 1), available, trained.prior)
    subjects = corpus.index["subject"].to_numpy()
    largest = int(np.unique(subjects, return_counts=True)[1].max())
    lines = [
        "| windows | AUROC | named | agreement: AUROC | named | swaps listed | false alarms |",
        "|" + "---|" * 7,
    ]
    for size in SIZES:
        if size <= largest:
            swaps = draw_swaps(available, subjects, size, DRAWS)
            figures = detection(probability, evidence, swaps, RobustnessParams().mismatch_prior)
            lines.append(f"| {size} | " + " | ".join(f"{v:.3f}" for v in figures.values()) + " |")
    return lines


def shift_table(project: Project, corpus: Corpus, params: RobustnessParams) -> list[str]:
    """Return how often a wrong clock of one sensor is seen, as lines of Markdown.

    Empty if no session has two sensors with frames over time.
    """
    folds = folds_of_sessions(corpus)
    recordings = dict(aligned_frames(project, corpus.modalities, list(folds)))
    frames = {name: on_common_steps(of, params.max_shift_s) for name, of in recordings.items()}
    estimator = fit_shift_estimator(frames, folds, params)
    if not any(len(model.directions.correlation) for model in estimator.pairs.values()):
        return []
    lines = [
        "| late by, s | cases | listed | sensor and sign right | by sensor |",
        "|---|---|---|---|---|",
    ]
    for delay_s in DELAYS_S:
        outcomes: dict[str, list[ShiftOutcome]] = {}
        for session, of in recordings.items():
            for sensor in of if delay_s else list(of)[:1]:
                late = TimedFrames(of[sensor].values, of[sensor].times_s + delay_s)
                steps = on_common_steps({**of, sensor: late}, params.max_shift_s)
                shifts = estimator.shifts(steps, folds[session])
                outcome = shift_outcome(shifts, sensor, delay_s, len(of))
                outcomes.setdefault(sensor, []).append(outcome)
        lines.append(_shift_line(delay_s, outcomes))
    return lines


class ShiftOutcome(NamedTuple):
    """Whether any shift of a session is listed, and whether it is the right one."""

    listed: bool
    right: bool


def shift_outcome(
    shifts: Mapping[str, Shift], sensor: str, delay_s: float, n_sensors: int
) -> ShiftOutcome:
    """Compare the shifts of a session with that of its late sensor.

    Right is the sign of the sensor alone; of two sensors, which are late relative to each other,
    that of both.
    """
    signed = sensor in shifts and shifts[sensor].delay_s * delay_s > 0
    return ShiftOutcome(bool(shifts), signed and (len(shifts) == 1 or n_sensors == 2))


def _shift_line(delay_s: float, outcomes: Mapping[str, list[ShiftOutcome]]) -> str:
    rows = [outcome for of_sensor in outcomes.values() for outcome in of_sensor]
    listed, right = np.mean(rows, axis=0)
    if not delay_s:
        return f"| 0 | {len(rows)} | {listed:.2f} | – | – |"
    by_sensor = ", ".join(
        f"{sensor} {np.mean([outcome.right for outcome in of_sensor]):.2f}"
        for sensor, of_sensor in outcomes.items()
    )
    return f"| {delay_s:+g} | {len(rows)} | {listed:.2f} | {right:.2f} | {by_sensor} |"


def main(arguments: Sequence[str]) -> None:
    """Print the tables of a project."""
    folder, *sensors = arguments
    project = Project(folder)
    corpus = clean_corpus(project, sensors)
    print("\n".join(shift_table(project, corpus, project.section(RobustnessParams))))
    print("\n" + "\n".join(swap_table(train(project, corpus))))


if __name__ == "__main__":
    main(sys.argv[1:])
