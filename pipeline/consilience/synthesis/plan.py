"""Plans of the sessions: trials, affective state, pulses, device clocks, and faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience.core.seeds import generator
from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis.difficulty import (
    CLASSES,
    EXPRESSIVENESS,
    MAGNITUDE,
    MASKED_REMAINDER,
    QUADRANTS,
    SHARES,
    WANDER,
)

Floats = NDArray[np.float64]

FILES = {"eeg": "eeg.edf", "audio": "voice.flac", "video": "face.mp4"}
RATES_HZ = {"eeg": 250.0, "audio": 16000.0, "video": 25.0}

REST_S = 0.9  # between trials, with two pulses
BURST = 4  # pulses before the first and after the last trial
RISE_S = 0.25  # time constant of the onset and the end of an emotion


@dataclass(frozen=True)
class Clock:
    """A device's clock: ``session_s = (1 + 1e-6 * drift_ppm) * native_s + offset_s``."""

    offset_s: float
    drift_ppm: float

    def session_s(self, native_s: Floats) -> Floats:
        """Convert device time to session time, in seconds."""
        return (1 + 1e-6 * self.drift_ppm) * native_s + self.offset_s

    def native_s(self, session_s: Floats) -> Floats:
        """Convert session time to device time, in seconds."""
        return (session_s - self.offset_s) / (1 + 1e-6 * self.drift_ppm)


@dataclass(frozen=True)
class Trial:
    """An emotional episode with its mean valence and arousal, both in ``[-1, 1]``."""

    name: str
    start_s: float
    end_s: float
    emotion: str
    valence: float
    arousal: float


@dataclass(frozen=True)
class Session:
    """Plan of a session, from which all its signals are simulated.

    Times are in seconds of the session clock.

    Attributes
    ----------
    subject, name : str
        Subject, and id of the session, unique over all subjects.
    trials : tuple of Trial
        In order of time, without overlap.
    pulses_s : ndarray of float64
        Synchronisation pulses, rounded to microseconds.
    end_s : float
        Every recording lasts at least until this time.
    clocks : dict of str to Clock
        One per modality.
    missing : str or None
        Modality without a recording.
    faulty : str or None
        Modality with a faulty recording: EEG has a flat channel, audio is clipped, video has
        dropped frames.
    """

    subject: str
    name: str
    trials: tuple[Trial, ...]
    pulses_s: Floats
    end_s: float
    clocks: dict[str, Clock]
    missing: str | None
    faulty: str | None

    @property
    def folder(self) -> str:
        """Folder of the session's files, relative to the corpus."""
        return self.name.replace("_", "/")

    def recording(self, modality: str) -> str:
        """Return the id of the recording of a modality."""
        return f"{self.name}_{modality}"

    def native_duration_s(self, modality: str) -> float:
        """Return the duration of a recording on its device's clock."""
        return float(self.clocks[modality].native_s(np.array(self.end_s)))

    def state(self, times_s: Floats) -> Floats:
        """Return valence and arousal at times of the session, shape (2, n_times)."""
        levels = [(trial.valence, trial.arousal) for trial in self.trials]
        return np.clip(self._course(levels, times_s) + self._wander(times_s), -1, 1)

    def expressed(self, modality: str, times_s: Floats) -> Floats:
        """Return valence and arousal as a modality expresses them.

        Parameters
        ----------
        modality : str
            A key of `difficulty.SHARES`.
        times_s : ndarray of float64, shape (n_times,)

        Returns
        -------
        ndarray of float64, shape (2, n_times)
            Within (-1.5, 1.5).
        """
        share, rng = SHARES[modality], generator("demo", self.name, "expressed", modality)
        factor = generator("demo", self.subject, "expressiveness", modality).uniform(
            *EXPRESSIVENESS
        )
        weights = np.array([share.valence, share.arousal])
        levels = []
        for trial in self.trials:
            # One error per trial, not per sample: averaging over a trial must not remove it, so
            # that a single modality stays wrong and only several together are right.
            level = weights * (trial.valence, trial.arousal) + rng.normal(0, share.noise, 2)
            is_masked = rng.random() < share.masked
            levels.append(factor * level * (MASKED_REMAINDER if is_masked else 1))
        course = self._course(levels, times_s) + weights[:, None] * self._wander(times_s)
        # Saturates: expressiveness and noise can exceed what a face or a voice can show.
        return 1.5 * np.tanh(course / 1.5)

    def activity(self, times_s: Floats) -> Floats:
        """Return 1 within trials and 0 between them, with smooth borders."""
        return self._course([(1.0, 1.0)] * len(self.trials), times_s)[0]

    def _course(self, levels: Iterable[tuple[float, float] | Floats], times_s: Floats) -> Floats:
        """Return each trial's level within it and 0 between trials, shape (2, n_times)."""
        course = np.zeros((2, len(times_s)))
        for trial, level in zip(self.trials, levels, strict=True):
            inside = smooth_step(times_s - trial.start_s) * smooth_step(trial.end_s - times_s)
            course += np.asarray(level)[:, None] * inside
        return course

    def _wander(self, times_s: Floats) -> Floats:
        """Return the slow change of valence and arousal within the session, shape (2, n_times)."""
        waves = (random_wave("demo", self.name, "wander", axis) for axis in ("valence", "arousal"))
        return WANDER * np.stack([wave(times_s) for wave in waves])


def smooth_step(times_s: Floats) -> Floats:
    """Return a step from 0 to 1 whose middle is ``2 * RISE_S`` after time zero."""
    # The delay keeps the step within the trial: at its border, the step is at 2 % only.
    return 0.5 + 0.5 * np.tanh((times_s - 2 * RISE_S) / RISE_S)


def random_wave(
    *names: object, low_hz: float = 0.05, high_hz: float = 0.4
) -> Callable[[Floats], Floats]:
    """Return a smooth random function of time with unit variance.

    Parameters
    ----------
    *names : object
        Seed; the same names give the same function.
    low_hz, high_hz : float
        Range of its frequencies.

    Returns
    -------
    callable
        Maps times in seconds to values, element by element.
    """
    rng = generator(*names)
    n_waves = 8
    frequencies = rng.uniform(low_hz, high_hz, n_waves)
    phases = rng.uniform(0, 2 * np.pi, n_waves)

    def wave(times_s: Floats) -> Floats:
        total = np.zeros(np.shape(times_s))
        for frequency, phase in zip(frequencies, phases, strict=True):
            total += np.sin(2 * np.pi * frequency * times_s + phase)
        # A sine has variance 1/2, and the variances of independent sines add up.
        return total * np.sqrt(2 / n_waves)

    return wave


def sessions(params: SynthesisParams) -> list[Session]:
    """Plan every session of the corpus.

    The names of a session are the seed of its random numbers, so that more subjects or sessions
    leave the existing ones unchanged.
    """
    return [
        _session(f"sub-{subject:02}", number, params)
        for subject in range(1, params.subjects + 1)
        for number in range(1, params.sessions + 1)
    ]


def _session(subject: str, number: int, params: SynthesisParams) -> Session:
    name = f"{subject}_ses-{number}"
    rng = generator("demo", name, "plan")
    clocks = _clocks(rng, params)
    # The latest device starts max_offset_s into the session and would miss an earlier pulse.
    opening, start_s = _burst(rng, params.max_offset_s + 0.2)
    emotions = _emotions(subject, number, params)
    trials, between, time_s = _trials(rng, name, emotions, start_s, params.trial_s)
    closing, end_s = _burst(rng, time_s + 0.1)
    missing, faulty = _failures(name, params)
    return Session(
        subject=subject,
        name=name,
        trials=trials,
        pulses_s=np.round([*opening, *between, *closing], 6),
        end_s=end_s,
        clocks=clocks,
        missing=missing,
        faulty=faulty,
    )


def _clocks(rng: np.random.Generator, params: SynthesisParams) -> dict[str, Clock]:
    return {
        modality: Clock(
            offset_s=round(rng.uniform(-1, 1) * params.max_offset_s, 6),
            drift_ppm=round(rng.uniform(-1, 1) * params.max_drift_ppm, 3),
        )
        for modality in FILES
    }


def _trials(
    rng: np.random.Generator, session: str, emotions: list[str], time_s: float, trial_s: float
) -> tuple[tuple[Trial, ...], list[float], float]:
    """Return trials from `time_s` on, the pulses between them, and the time of their end."""
    trials: list[Trial] = []
    pulses_s: list[float] = []
    for index, emotion in enumerate(emotions, start=1):
        if trials:
            # At irregular intervals: a regular pulse train would also match itself when shifted
            # by a period, and the offset between two clocks would be ambiguous.
            pulses_s += [time_s + rng.uniform(0.1, 0.35), time_s + rng.uniform(0.55, 0.85)]
            time_s += REST_S
        magnitude = rng.uniform(*MAGNITUDE, 2)
        valence, arousal = magnitude * QUADRANTS[emotion]
        end_s = round(time_s + trial_s, 6)
        trials.append(Trial(f"{session}_t{index:02}", time_s, end_s, emotion, valence, arousal))
        time_s = end_s
    return tuple(trials), pulses_s, time_s


def _burst(rng: np.random.Generator, start_s: float) -> tuple[Floats, float]:
    """Return irregular pulses after `start_s`, and the time of their end."""
    pulses_s = start_s + np.cumsum(rng.uniform(0.25, 0.6, BURST))
    return pulses_s, round(float(pulses_s[-1]) + 0.3, 6)


def _emotions(subject: str, number: int, params: SynthesisParams) -> list[str]:
    """Draw a session's classes from shuffled blocks, balanced within a subject.

    The blocks run on over the sessions: a session takes its section of the subject's sequence.
    """
    first, last = (number - 1) * params.trials, number * params.trials
    sequence: list[str] = []
    while len(sequence) < last:
        rng = generator("demo", subject, "emotions", len(sequence))
        sequence += [CLASSES[index] for index in rng.permutation(len(CLASSES))]
    return sequence[first:last]


def _failures(name: str, params: SynthesisParams) -> tuple[str | None, str | None]:
    """Draw at most one missing modality and at most one other, faulty modality."""
    rng = generator("demo", name, "failures")
    first, second = rng.permutation(list(FILES))[:2]
    # The parameters are fractions of recordings; at most one per session fails in either way, so
    # its probability is the fraction times the number of recordings.
    per_session = len(FILES) * np.array([params.missing_fraction, params.faulty_fraction])
    missing, faulty = rng.random(2) < per_session
    return (str(first) if missing else None), (str(second) if faulty else None)
