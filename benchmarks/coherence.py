"""Recordings with a known fault: ``python -m benchmarks.coherence PROJECT [SENSOR ...]``.

Trains the default method on a project's clean windows and predicts the test people by each sensor
alone. *Swaps*: in n windows of a person, one sensor shows n windows of another person, drawn as
they come; detection and location of the swap by the log likelihood ratio and by pairwise agreement.
*Shifts*, where trials have several windows: the clock of one sensor is wrong throughout a
session, its windows are cut anew; the share of sessions with a clear shift, and of right signs.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.special import entr, logsumexp, softmax
from scipy.stats import mannwhitneyu

from benchmarks.evidence.context import with_sensors
from consilience.core.files import read_arrays
from consilience.core.seeds import generator
from consilience.evaluation.contradictions import contradictions
from consilience.evaluation.predict import predict
from consilience.evaluation.tables import (
    recording_table,
    sharpness_of_sensors,
    training_frequencies,
)
from consilience.project import Project
from consilience.schema.constants import CLEAN
from consilience.schema.params.plugins import DEFAULT_METHOD
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
from consilience.windows.cutting import cut
from consilience.windows.sessions import cutters_of, sessions_of
from consilience.windows.store import Corpus, load_corpus

SIZES = (1, 5, 6, 10)  # windows of a recording
DRAWS = 2000  # recordings, each with and without a swap
DELAYS_S = (-6.0, -4.0, -3.0, -2.0, 0.0, 2.0, 3.0, 4.0, 6.0)

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
    """The default method, trained on the clean windows of a project."""

    project: Project
    corpus: Corpus
    prepared: Prepared
    model: Fitted

    @property
    def prior(self) -> Array:
        """Class frequencies (N, K) in training."""
        return training_frequencies(self.corpus, self.model.training)

    def alone(self, sensor: str, prepared: Prepared | None = None) -> Array:
        """Return the test people's class probabilities (N, K) by one sensor, mean over seeds."""
        condition = Condition(SUBSET, (sensor,))
        predictions = predict([self.model], self.corpus, prepared or self.prepared, condition)
        probability = softmax(predictions.logits.astype(np.float64), -1)
        tested = np.isfinite(probability)
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: no run tests this window
            return np.asarray(np.where(tested, probability, 0.0).sum(0) / tested.sum(0))


def train(project: Project, sensors: Sequence[str]) -> Trained:
    """Train the default method on some sensors of a project, all by default."""
    corpus = load_corpus(project.windows, project.corrupted)
    corpus = with_sensors(corpus, sensors or corpus.modalities)
    # Without corruptions the calibration uses the sensors' subsets and mismatches.
    corpus = replace(corpus, variants={name: () for name in corpus.modalities})
    prepared = load_windows(corpus, conditions(corpus))
    params, training = method_params(project)[DEFAULT_METHOD], project.section(TrainingParams)
    with tempfile.TemporaryDirectory() as folder:
        model = fit(DEFAULT_METHOD, params, training, corpus, Path(folder), prepared=prepared)
    return Trained(project, corpus, prepared, model)


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


def shift_table(trained: Trained) -> list[str]:
    """Return how often a wrong clock of one sensor is seen, as lines of Markdown."""
    raw = {name: trained.alone(name) for name in trained.corpus.modalities}
    sharpness = sharpness_of_sensors(raw, trained.prior, trained.corpus)
    alone = {name: sharpened(values, sharpness[name]) for name, values in raw.items()}
    lines = ["| late by, s | sessions | shift clear | sensor and sign right |", "|---|---|---|---|"]
    for delay_s in DELAYS_S:
        outcomes = []
        for name in trained.corpus.modalities if delay_s else trained.corpus.modalities[:1]:
            late = alone[name]
            if delay_s:
                windows = _shifted_windows(trained, name, delay_s)
                late = sharpened(trained.alone(name, windows), sharpness[name])
            table = recording_table(
                {**alone, name: late}, trained.prior, trained.corpus, RobustnessParams()
            )
            outcomes += _shift_outcomes(table, name, delay_s)
        clear, right = np.array(outcomes).mean(0)
        lines.append(f"| {delay_s:+g} | {len(outcomes)} | {clear:.2f} | {right:.2f} |")
    return lines


def _shifted_windows(trained: Trained, sensor: str, delay_s: float) -> Prepared:
    """Cut the windows of a sensor with all its clocks late by some seconds."""
    corpus, project = trained.corpus, trained.project
    (cutter,) = (cutter for cutter in cutters_of(project) if cutter.name == sensor)
    values = trained.prepared[sensor][CLEAN].numpy().copy()
    present = corpus.available[:, corpus.modalities.index(sensor)]
    start = 0
    for session in sessions_of(project, corpus.index, [cutter]):
        rows = slice(start, start + len(session.windows))
        start = rows.stop
        source = session.sources.get(sensor)
        if source is not None:
            arrays = read_arrays(source.arrays, CLEAN, "times_s")
            clock = source.clock.shifted(delay_s)
            frames = cut(arrays[CLEAN], arrays["times_s"], clock, session.windows, cutter.grid)
            values[rows] = cutter.inputs(frames, present[rows])
    return {**trained.prepared, sensor: {CLEAN: torch.from_numpy(values)}}


def _shift_outcomes(table: pl.DataFrame, sensor: str, delay_s: float) -> list[tuple[bool, bool]]:
    """Return for each session of a sensor whether a shift is clear, and whether it is right."""
    listed = {item.session: item.shifts_s for item in contradictions(table)}
    sessions = table.filter(pl.col("sensor") == sensor) if delay_s else table
    shifts = [listed.get(name, {}) for name in sessions["session"].unique(maintain_order=True)]
    return [(bool(shift), shift.get(sensor, 0.0) * delay_s > 0) for shift in shifts]


def main(arguments: Sequence[str]) -> None:
    """Print the tables of a project."""
    folder, *sensors = arguments
    trained = train(Project(folder), sensors)
    print("\n".join(swap_table(trained)))
    if trained.corpus.index.select("session", "trial").is_duplicated().any():
        print("\n" + "\n".join(shift_table(trained)))


if __name__ == "__main__":
    main(sys.argv[1:])
