"""Shifts in time between the sensors of a session, estimated from their feature frames.

The estimate needs no labels and no trained model. Directions and weights are cross-fitted: those of
a person come from the test people of the other folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import combinations
from typing import NamedTuple

import numpy as np
import polars as pl

from consilience.alignment.clock import clocks_from_pieces
from consilience.alignment.lagged_correlation import (
    Array,
    Frames,
    LagPosterior,
    Moments,
    SharedDirections,
    binned,
    evidence_weight,
    lag_log_ratios,
    lag_posterior,
    moments,
    probable_lags,
    shared_directions,
    shift_log_odds,
    standardised,
    usual_limit,
)
from consilience.core.files import read_arrays
from consilience.project import Project
from consilience.schema.constants import CLEAN
from consilience.schema.params.robustness import RobustnessParams
from consilience.schema.tables import Alignment, Pieces, read_table
from consilience.windows.store import Corpus

STEPS = 16  # of the lags up to the largest shift; both sides of the moving average have as many
Pair = tuple[str, str]
SessionFrames = Mapping[str, Frames]  # by sensor, on one grid


class Shift(NamedTuple):
    """Shift in time that makes a sensor agree with the others of its session.

    Attributes
    ----------
    delay_s : float
        Positive if the sensor is late: it shows what the others showed `delay_s` earlier.
    gain : float
        Log likelihood ratio to no shift and to an unrelated sensor, nats.
    """

    delay_s: float
    gain: float


class TimedFrames(NamedTuple):
    """Feature frames (n, F) of a recording, and the session times (n,) of their centres."""

    values: Array
    times_s: Array


def aligned_frames(
    project: Project, sensors: Sequence[str], sessions: Sequence[str]
) -> Iterator[tuple[str, dict[str, TimedFrames]]]:
    """Read the feature frames of sessions, one session after the other.

    Parameters
    ----------
    project : Project
        Ingested and aligned.
    sensors, sessions : sequence of str

    Yields
    ------
    session, frames : str, dict of str to TimedFrames
        Of the sensors with an aligned recording, two at least, in the order of `sensors`.
    """
    clocks = clocks_from_pieces(read_table(project.alignment / "pieces.parquet", Pieces))
    aligned = read_table(project.alignment / "alignment.parquet", Alignment).filter(
        pl.col("status") == "aligned",
        pl.col("modality").is_in(sensors),
        pl.col("session").is_in(sessions),
    )
    for (session,), group in aligned.sort("session").group_by("session", maintain_order=True):
        recordings = dict(group.sort("recording").select("modality", "recording").iter_rows())
        if len(recordings) > 1:
            frames = {}
            for sensor in (name for name in sensors if name in recordings):
                recording = recordings[sensor]
                arrays = read_arrays(project.signals(sensor) / f"{recording}.npz", CLEAN, "times_s")
                times_s = clocks[recording].to_session(arrays["times_s"])
                frames[sensor] = TimedFrames(arrays[CLEAN].astype(np.float64), times_s)
            yield str(session), frames


def on_common_steps(recordings: Mapping[str, TimedFrames], max_shift_s: float) -> SessionFrames:
    """Average a session's frames over the steps of one grid and standardise them.

    Parameters
    ----------
    recordings : mapping of str to TimedFrames
        By sensor.
    max_shift_s : float
        Largest shift: `STEPS` steps of the grid. Changes slower than twice this time are removed,
        because they show no shift.
    """
    step_s = max_shift_s / STEPS
    finite = [times_s[np.isfinite(times_s)] for _, times_s in recordings.values()]
    steps = np.floor(np.concatenate(finite) / step_s).astype(np.int64)
    if not len(steps):
        return {}
    first, n_steps = int(steps.min()), int(np.ptp(steps)) + 1
    return {
        sensor: standardised(binned(values, times_s, step_s, first, n_steps), STEPS)
        for sensor, (values, times_s) in recordings.items()
    }


class PairModel(NamedTuple):
    """Directions that two sensors share, and the weight of their log likelihood ratios."""

    directions: SharedDirections
    weight: float


class ShiftEstimator(NamedTuple):
    """Models of pairs of sensors.

    Attributes
    ----------
    pairs : dict of (fold, pair) to PairModel
        Without the test people of the fold.
    limits : dict of int to float
        By fold the `usual_limit` of the other folds' sessions.
    params : RobustnessParams
    """

    pairs: dict[tuple[int, Pair], PairModel]
    limits: dict[int, float]
    params: RobustnessParams

    def posterior(self, frames: SessionFrames, fold: int) -> LagPosterior | None:
        """Return the `lag_posterior` of a session; None if no pair of its sensors has a model."""
        sensors = list(frames)
        ratios = {
            (sensors.index(pair[0]), sensors.index(pair[1])): model.weight
            * _log_ratios(model.directions, frames, pair)
            for pair in combinations(sensors, 2)
            if (model := self.pairs.get((fold, pair)))
        }
        priors = self.params.shift_prior, self.params.mismatch_prior
        return lag_posterior(ratios, len(sensors), *priors) if ratios else None

    def shifts(self, frames: SessionFrames, fold: int) -> dict[str, Shift]:
        """Return the shifted sensors of a session that a fold tests, with their shift.

        If the session's frames do not determine which sensor is shifted, all candidates: of two
        sensors, each is shifted relative to the other.
        """
        posterior = self.posterior(frames, fold)
        if posterior is None or shift_log_odds(posterior) <= self.limits.get(fold, 0.0):
            return {}
        sensors, step_s = list(frames), self.params.max_shift_s / STEPS
        lags = probable_lags(posterior)
        return {sensors[m]: Shift(step_s * lag, gain) for m, (lag, gain) in lags.items()}


def fit_shift_estimator(
    frames: Mapping[str, SessionFrames], folds: Mapping[str, int], params: RobustnessParams
) -> ShiftEstimator:
    """Estimate what each pair of sensors shares, for each fold without the people it tests.

    Parameters
    ----------
    frames : mapping of str to SessionFrames
        By session, sensors in the same order in each.
    folds : mapping of str to int
        By session: the fold that tests its person.
    params : RobustnessParams
    """
    pairs: dict[tuple[int, Pair], PairModel] = {}
    for pair in {pair: None for sensors in frames.values() for pair in combinations(sensors, 2)}:
        both = {name: of for name, of in frames.items() if set(pair) <= set(of)}
        directions = _directions(both, folds, pair)
        # By directions from other people: their own would have the larger correlations by chance.
        ratios = {
            name: _log_ratios(directions[folds[name]], of, pair)
            for name, of in both.items()
            if folds[name] in directions
        }
        for fold, of_fold in directions.items():
            others = [values for name, values in ratios.items() if folds[name] != fold]
            weight = evidence_weight(np.array(others), params.shift_prior)
            pairs[fold, pair] = PairModel(of_fold, weight)
    estimator = ShiftEstimator(pairs, {}, params)
    odds = {
        name: shift_log_odds(posterior)
        for name, of in frames.items()
        if (posterior := estimator.posterior(of, folds[name])) is not None
    }
    for fold in {folds[name] for name in odds}:
        usual = [value for name, value in odds.items() if folds[name] != fold]
        estimator.limits[fold] = usual_limit(np.array(usual))
    return estimator


def _directions(
    frames: Mapping[str, SessionFrames], folds: Mapping[str, int], pair: Pair
) -> dict[int, SharedDirections]:
    """Return the shared directions by fold, from the sessions of the other folds."""
    sums: dict[int, Moments] = {}
    for name, of_session in frames.items():
        fold, added = folds[name], moments(of_session[pair[0]], of_session[pair[1]])
        sums[fold] = sums[fold].plus(added) if fold in sums else added
    return {
        fold: shared_directions(reduce(Moments.plus, others))
        for fold in sums
        if (others := [of_fold for other, of_fold in sums.items() if other != fold])
    }


def _log_ratios(directions: SharedDirections, frames: SessionFrames, pair: Pair) -> Array:
    return lag_log_ratios(directions, frames[pair[0]], frames[pair[1]], STEPS)


def folds_of_sessions(corpus: Corpus) -> dict[str, int]:
    """Return the fold that tests each session's person, if one does."""
    tests = corpus.splits.filter(pl.col("role") == "test").select("subject", "fold")
    sessions = corpus.index.select("session", "subject").unique(maintain_order=True)
    return dict(sessions.join(tests, on="subject").select("session", "fold").iter_rows())


def recording_shifts(
    project: Project, corpus: Corpus, params: RobustnessParams
) -> dict[str, dict[str, Shift]]:
    """Return the shifted sensors of each session with their shift.

    Parameters
    ----------
    project : Project
        Of the corpus; recordings without frames over time have no shift.
    corpus : Corpus
    params : RobustnessParams

    Returns
    -------
    dict of str to (dict of str to Shift)
        By session and sensor.
    """
    if not params.max_shift_s:
        return {}
    folds = folds_of_sessions(corpus)
    frames = {
        session: on_common_steps(recordings, params.max_shift_s)
        for session, recordings in aligned_frames(project, corpus.modalities, list(folds))
    }
    estimator = fit_shift_estimator(frames, folds, params)
    return {session: estimator.shifts(of, folds[session]) for session, of in frames.items()}
