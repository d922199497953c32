"""Accuracy of clocks fitted to simulated pulses: ``python -m benchmarks.clocks.pulses [SESSIONS]``.

Time stamps only, without signals. The results for 200 sessions are in docs/alignment.md.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from consilience.alignment.clock import Clock, ClockFit, Line, Piece
from consilience.alignment.pulses import fit_pulses
from consilience.core.seeds import generator
from consilience.schema.params.alignment import AlignmentParams

Times = NDArray[np.float64]

PARAMS = AlignmentParams()
STRICT = AlignmentParams(match_tolerance_ms=40.0)
SESSIONS = 200
LENGTH_S = 180.0
DENSE_S, USUAL_S = (0.25, 0.5), (0.5, 1.0)  # range of the time between pulses
RESET_WITHIN_S = 1.0
RATES_HZ = {"eeg": 500.0, "audio": 16000.0, "video": 30.0}
JITTER_S = {"eeg": 3e-4, "audio": 1e-4, "video": 3e-3}
MAX_OFFSET_S, MAX_DRIFT_PPM = 5.0, 500.0
MISSING, SPURIOUS, DROPPED = 0.2, 0.2, 0.02  # shares of pulses, pulses and frames
RESETS, UNRELATED = 1 / 3, 0.05  # shares of sessions and of recordings


@dataclass(frozen=True)
class Simulated:
    """A simulated recording.

    Attributes
    ----------
    modality : str
    true : Clock
    pulses_s : ndarray of float64, shape (n_pulses,)
        Detected pulses in native time, with jitter, missing and spurious ones.
    scheduled_s : ndarray of float64, shape (n_scheduled,)
        Native times, without jitter, of the detected pulses that belong to the schedule.
    gaps_s : ndarray of float64, shape (n_gaps, 2)
        Native times of gaps between frames.
    span_s : tuple of 2 floats
    reset_s : tuple of 2 floats, or None
        Native times between which the clock was reset.
    unrelated : bool
        Whether the pulses belong to another schedule, so that alignment is impossible.
    """

    modality: str
    true: Clock
    pulses_s: Times
    scheduled_s: Times
    gaps_s: Times
    span_s: tuple[float, float]
    reset_s: tuple[float, float] | None
    unrelated: bool


def session(number: int, between_s: tuple[float, float]) -> tuple[Times, list[Simulated]]:
    """Simulate the pulse schedule of a session and its three recordings.

    Parameters
    ----------
    number : int
        Seed.
    between_s : tuple of 2 floats
        Range of the time between pulses.
    """
    rng = generator("clock benchmark", number)
    schedule = np.cumsum(rng.uniform(*between_s, round(LENGTH_S / np.mean(between_s))))
    resets = rng.choice(list(RATES_HZ)) if rng.random() < RESETS else None
    return schedule, [
        _recording(name, schedule, between_s, name == resets, rng) for name in RATES_HZ
    ]


def _recording(
    modality: str,
    schedule: Times,
    between_s: tuple[float, float],
    resets: bool,
    rng: np.random.Generator,
) -> Simulated:
    true = _clock(modality, resets, rng)
    unrelated = rng.random() < UNRELATED
    if unrelated:
        schedule = np.cumsum(rng.uniform(*between_s, len(schedule)))
    seen = true.to_native(schedule[rng.random(len(schedule)) >= MISSING])
    seen = seen[np.isfinite(seen)]
    end = true.to_native(LENGTH_S)
    spurious = rng.uniform(0, end, round(SPURIOUS * len(seen)))
    frames = _frames(modality, true, end, rng)
    pulses = np.concatenate([seen + rng.normal(0, JITTER_S[modality], len(seen)), spurious])
    if modality == "video":
        pulses = _flashes(pulses, frames)
    else:
        pulses = np.round(pulses * RATES_HZ[modality]) / RATES_HZ[modality]
    step = np.diff(frames)
    gaps = np.flatnonzero(step > 3 * np.median(step))
    reset = (true.pieces[0].until_native_s, true.pieces[1].from_native_s) if resets else None
    return Simulated(
        modality,
        true,
        pulses,
        seen,
        np.stack([frames[gaps], frames[gaps + 1]], axis=1),
        (0.0, end),
        reset,
        unrelated,
    )


def _clock(modality: str, resets: bool, rng: np.random.Generator) -> Clock:
    """Return a random clock; up to 2 s are lost at a reset.

    A device that counts samples continues its count. The time stamps of a camera jump, by a time
    that differs from the one that was lost.
    """
    line = Line(rng.uniform(-1, 1) * MAX_OFFSET_S, rng.uniform(-1, 1) * MAX_DRIFT_PPM)
    if not resets:
        return Clock((Piece(line),))
    lost_s = rng.uniform(0.05, 2)
    before = float(line.to_native(rng.uniform(0.1, 0.9) * LENGTH_S))
    jump_s = 0.0 if modality != "video" else rng.uniform(0.05, 2)
    offset_s = line.offset_s + lost_s - jump_s
    if abs(offset_s) > MAX_OFFSET_S - 0.1:
        return _clock(modality, resets, rng)
    after = Line(offset_s, line.drift_ppm)
    return Clock((Piece(line, -np.inf, before), Piece(after, before + jump_s + 1e-9)))


def _frames(modality: str, true: Clock, end_s: float, rng: np.random.Generator) -> Times:
    """Return frame times; a camera has a variable rate and drops some frames."""
    if modality != "video":
        return np.arange(0, end_s, 0.02)
    frames = np.cumsum(rng.uniform(0.8, 1.2, round(end_s * RATES_HZ[modality]) + 60))
    frames = frames / RATES_HZ[modality]
    frames = frames[(frames < end_s) & (rng.random(len(frames)) >= DROPPED)]
    recorded: Times = frames[np.isfinite(true.to_session(frames))]
    return recorded


def _flashes(flashes_s: Times, frames_s: Times) -> Times:
    """Return detected flashes: midway between two frames, unless a frame between was dropped."""
    after = np.searchsorted(frames_s, flashes_s)
    inside = after[(after > 0) & (after < len(frames_s))]
    step = frames_s[inside] - frames_s[inside - 1]
    near = inside[step <= 1.5 * np.median(np.diff(frames_s))]
    middles: Times = (frames_s[near - 1] + frames_s[near]) / 2
    return middles


def fitted(recording: Simulated, schedule: Times, params: AlignmentParams) -> ClockFit:
    """Fit the clock of a simulated recording."""
    return fit_pulses(
        recording.pulses_s,
        schedule,
        params,
        recording.span_s,
        RATES_HZ[recording.modality],
        recording.gaps_s,
    )


def errors_ms(recording: Simulated, fit: ClockFit) -> Times:
    """Return the absolute error every 0.1 s of the time at which the clock is valid."""
    assert fit.clock is not None
    native = np.arange(0, recording.span_s[1], 0.1)
    error: Times = 1e3 * np.abs(fit.clock.to_session(native) - recording.true.to_session(native))
    return error[np.isfinite(error)]


def valid_fraction(recording: Simulated, fit: ClockFit) -> float:
    """Return the fraction of a recording in which the fitted clock is valid."""
    assert fit.clock is not None
    native = np.arange(0, recording.span_s[1], 0.1)
    native = native[np.isfinite(recording.true.to_session(native))]
    return float(np.isfinite(fit.clock.to_session(native)).mean())


def reset_error_s(recording: Simulated, fit: ClockFit) -> float:
    """Return the distance of the estimated from the true reset.

    The estimate lies between the two neighbouring anchors whose offsets differ most.
    """
    assert fit.clock is not None
    assert recording.reset_s is not None
    if len(fit.clock.pieces) < 2:
        return np.inf
    border = fit.clock.pieces[0].until_native_s, fit.clock.pieces[1].from_native_s
    native = [t for t in fit.anchors_s[:, 0] if border[0] <= t <= border[1]]
    if len(native) > 1:
        offsets = dict(fit.anchors_s @ np.array([[1, -1], [0, 1]]))
        border = max(pairwise(native), key=lambda pair: abs(offsets[pair[1]] - offsets[pair[0]]))
    return abs(float(np.mean(border)) - float(np.mean(recording.reset_s)))


def ideal_observer(recording: Simulated, schedule: Times) -> tuple[float, float]:
    """Locate a reset by an ideal observer, as an upper bound for every estimator from pulses.

    The observer has both lines, the pulses that belong to the schedule, and the share of missing
    pulses. The likelihood of a moment between the last pulse on one line and the first pulse on
    the other one follows from the scheduled pulses that were not detected. The observer chooses
    the moment with the largest posterior probability within `RESET_WITHIN_S`.

    Returns
    -------
    error_s : float
        Distance from the true reset.
    probability : float
        Posterior probability of an error of at most `RESET_WITHIN_S`.
    """
    assert recording.reset_s is not None
    if recording.reset_s[1] - recording.reset_s[0] > 1 / RATES_HZ[recording.modality]:
        return 0.0, 1.0  # the time stamps jump at the reset
    reset_s = float(np.mean(recording.reset_s))
    last = float(recording.scheduled_s[recording.scheduled_s <= reset_s].max())
    first = float(recording.scheduled_s[recording.scheduled_s > reset_s].min())
    moments = np.linspace(last, first, 1 + round((first - last) / 0.01))
    before, after = (piece.line.to_native(schedule)[:, None] for piece in recording.true.pieces)
    n_missed = ((before > last + 1e-6) & (before < moments)).sum(axis=0)
    n_missed += ((after < first - 1e-6) & (after > moments)).sum(axis=0)
    probability = MISSING**n_missed / np.sum(MISSING**n_missed)
    near = np.abs(moments[:, None] - moments) <= RESET_WITHIN_S
    within = near @ probability
    middle = (first + last) / 2
    best = np.flatnonzero(within >= within.max() - 1e-9)
    estimate = moments[best[np.argmin(np.abs(moments[best] - middle))]]
    return abs(float(estimate) - reset_s), float(within.max())


def measure(
    n_sessions: int, between_s: tuple[float, float], params: AlignmentParams
) -> dict[str, float]:
    """Simulate sessions, align them and compare the clocks with the truth.

    Parameters
    ----------
    n_sessions : int
    between_s : tuple of 2 floats
        Range of the time between pulses.
    params : AlignmentParams

    Returns
    -------
    dict of str to float
        Figures by name.
    """
    runs = [_fit_session(number, between_s, params) for number in range(n_sessions)]
    pairs = [pair for run in runs for pair in run]
    alignable = [pair for pair in pairs if not pair.recording.unrelated]
    aligned = [pair for pair in alignable if pair.fit.status == "aligned"]
    wrong = [pair for pair in aligned if pair.error_ms.max() > params.tolerance_ms]
    wrong += [p for p in pairs if p.recording.unrelated and p.fit.status == "aligned"]
    between_ms = np.concatenate([np.empty(0), *(_between_ms(run) for run in runs)])
    of_video = [pair.error_ms for pair in aligned if pair.recording.modality == "video"]
    video_ms = np.concatenate([np.empty(0), *of_video])
    return {
        "recordings": len(alignable),
        "unrelated": len(pairs) - len(alignable),
        "aligned_fraction": len(aligned) / len(alignable),
        "wrongly_aligned": len(wrong),
        "valid_fraction": float(np.mean([valid_fraction(p.recording, p.fit) for p in aligned])),
        "eeg_audio_median_ms": float(np.median(between_ms)),
        "eeg_audio_p95_ms": float(np.percentile(between_ms, 95)),
        "eeg_audio_max_ms": float(between_ms.max()),
        "video_median_ms": float(np.median(video_ms)),
        "video_p95_ms": float(np.percentile(video_ms, 95)),
        **_resets([pair for pair in aligned if pair.recording.reset_s]),
    }


@dataclass(frozen=True)
class Pair:
    """A simulated recording, its session's schedule, and the fitted clock with its errors."""

    recording: Simulated
    schedule: Times
    fit: ClockFit
    error_ms: Times


def _fit_session(
    number: int, between_s: tuple[float, float], params: AlignmentParams
) -> list[Pair]:
    schedule, recordings = session(number, between_s)
    pairs = []
    for recording in recordings:
        fit = fitted(recording, schedule, params)
        error_ms = errors_ms(recording, fit) if fit.status == "aligned" else np.empty(0)
        pairs.append(Pair(recording, schedule, fit, error_ms))
    return pairs


def _between_ms(pairs: list[Pair]) -> Times:
    """Return the absolute misalignment of EEG and audio every 0.25 s of session time."""
    both = [pair for pair in pairs if pair.recording.modality in ("eeg", "audio")]
    if any(pair.fit.status != "aligned" or pair.recording.unrelated for pair in both):
        return np.empty(0)
    times = np.arange(0, LENGTH_S, 0.25)
    true = [
        pair.recording.true.to_session(pair.fit.clock.to_native(times))
        for pair in both
        if pair.fit.clock is not None
    ]
    apart: Times = 1e3 * np.abs(true[0] - true[1])
    return apart[np.isfinite(apart)]


def _resets(pairs: list[Pair]) -> dict[str, float]:
    """Return the accuracy of located resets, beside that of the ideal observer."""
    errors_s = np.array([reset_error_s(pair.recording, pair.fit) for pair in pairs])
    ideal = np.array([ideal_observer(pair.recording, pair.schedule) for pair in pairs])
    return {
        "resets": len(pairs),
        "resets_within_1_s": float(np.mean(errors_s <= RESET_WITHIN_S)),
        "ideal_within_1_s": float(np.mean(ideal[:, 0] <= RESET_WITHIN_S)),
        "ideal_expected_within_1_s": float(np.mean(ideal[:, 1])),
        "reset_median_s": float(np.median(errors_s)),
        "reset_max_s": float(np.max(errors_s)),
    }


def main(n_sessions: str = str(SESSIONS)) -> None:
    """Print the figures for dense and for usual pulses."""
    for title, between_s, params in (("dense", DENSE_S, STRICT), ("usual", USUAL_S, PARAMS)):
        print(f"{title}: pulses {between_s[0]} to {between_s[1]} s apart")
        for name, value in measure(int(n_sessions), between_s, params).items():
            print(f"  {name}: {value:.4g}")


if __name__ == "__main__":
    main(*sys.argv[1:])
