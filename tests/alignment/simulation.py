"""Sessions whose clocks are known: time stamps only, no signals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.alignment.clock import Clock, ClockFit, Line, Piece
from pipeline.alignment.pulses import fit_pulses
from pipeline.params import AlignmentParams
from pipeline.seeds import generator

Times = NDArray[np.float64]

LENGTH_S = 180.0
BETWEEN_S = (0.5, 1.0)  # pulses
RATES_HZ = {"eeg": 500.0, "audio": 16000.0, "video": 30.0}
JITTER_S = {"eeg": 3e-4, "audio": 1e-4, "video": 3e-3}
MAX_OFFSET_S, MAX_DRIFT_PPM = 5.0, 500.0
MISSING, SPURIOUS, DROPPED = 0.2, 0.2, 0.02
RESETS, HOPELESS = 1 / 3, 0.05


@dataclass(frozen=True)
class Simulated:
    """A recording's true clock, what was seen in it, and whether it can be aligned at all."""

    modality: str
    true: Clock
    pulses_s: Times
    gaps_s: Times
    span_s: tuple[float, float]
    reset_s: tuple[float, float] | None  # native times between which nothing was recorded
    hopeless: bool


def session(number: int) -> tuple[Times, list[Simulated]]:
    """Return the pulses a session emitted and its three recordings."""
    rng = generator("clock benchmark", number)
    schedule = np.cumsum(rng.uniform(*BETWEEN_S, round(LENGTH_S / np.mean(BETWEEN_S))))
    resets = rng.choice(list(RATES_HZ)) if rng.random() < RESETS else None
    return schedule, [_recording(name, schedule, name == resets, rng) for name in RATES_HZ]


def _recording(modality: str, schedule: Times, resets: bool, rng: np.random.Generator) -> Simulated:
    true = _clock(modality, resets, rng)
    hopeless = rng.random() < HOPELESS
    if hopeless:  # pulses of something else
        schedule = np.cumsum(rng.uniform(*BETWEEN_S, len(schedule)))
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
        np.stack([frames[gaps], frames[gaps + 1]], axis=1),
        (0.0, end),
        reset,
        hopeless,
    )


def _clock(modality: str, resets: bool, rng: np.random.Generator) -> Clock:
    """Return a clock; at a reset, up to 2 s are lost.

    A device that counts samples goes on counting; the stamps of a camera leap, and not by the
    time that was lost.
    """
    line = Line(rng.uniform(-1, 1) * MAX_OFFSET_S, rng.uniform(-1, 1) * MAX_DRIFT_PPM)
    if not resets:
        return Clock((Piece(line),))
    lost_s = rng.uniform(0.05, 2)
    before = float(line.to_native(rng.uniform(0.1, 0.9) * LENGTH_S))
    leap_s = 0.0 if modality != "video" else rng.uniform(0.05, 2)
    offset_s = line.offset_s + lost_s - leap_s
    if abs(offset_s) > MAX_OFFSET_S - 0.1:
        return _clock(modality, resets, rng)
    after = Line(offset_s, line.drift_ppm)
    return Clock((Piece(line, -np.inf, before), Piece(after, before + leap_s + 1e-9)))


def _frames(modality: str, true: Clock, end_s: float, rng: np.random.Generator) -> Times:
    """Return when frames were taken: of a camera with a variable rate, some are dropped."""
    if modality != "video":
        return np.arange(0, end_s, 0.02)
    frames = np.cumsum(rng.uniform(0.8, 1.2, round(end_s * RATES_HZ[modality]) + 60))
    frames = frames / RATES_HZ[modality]
    frames = frames[(frames < end_s) & (rng.random(len(frames)) >= DROPPED)]
    kept: Times = frames[np.isfinite(true.to_session(frames))]
    return kept


def _flashes(flashes_s: Times, frames_s: Times) -> Times:
    """Return when flashes are seen: in the middle of two frames, unless one between is lost."""
    after = np.searchsorted(frames_s, flashes_s)
    inside = after[(after > 0) & (after < len(frames_s))]
    step = frames_s[inside] - frames_s[inside - 1]
    near = inside[step <= 1.5 * np.median(np.diff(frames_s))]
    middles: Times = (frames_s[near - 1] + frames_s[near]) / 2
    return middles


def fitted(one: Simulated, schedule: Times, params: AlignmentParams) -> ClockFit:
    """Align a simulated recording."""
    rate_hz = RATES_HZ[one.modality]
    return fit_pulses(one.pulses_s, schedule, params, one.span_s, rate_hz, one.gaps_s)
