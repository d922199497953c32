"""Errors of estimated clocks against true clocks, for corpora whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from consilience.alignment.clock import Clock, Line

Floats = NDArray[np.float64]

POINTS = 101  # times per recording at which a clock is compared


@dataclass(frozen=True)
class ClockPair:
    """Estimated and true clock of a recording.

    Attributes
    ----------
    session, modality : str
    estimated : Clock
    true : Line
    duration_s : float
        Length of the recording in native time.
    """

    session: str
    modality: str
    estimated: Clock
    true: Line
    duration_s: float

    def error_ms(self) -> Floats:
        """Return the error of the session time at `POINTS` evenly spaced native times.

        Returns
        -------
        ndarray of float64, shape (n,)
            Estimated minus true session time in ms, without the times at which the estimated
            clock is undefined.
        """
        native = np.linspace(0, self.duration_s, POINTS)
        errors = 1e3 * (self.estimated.to_session(native) - self.true.to_session(native))
        return errors[np.isfinite(errors)]

    def true_s(self, session_s: Floats) -> Floats:
        """Return the true session times of samples that are assigned to estimated times."""
        return self.true.to_session(self.estimated.to_native(session_s))


def between_ms(pairs: list[ClockPair], first: str, second: str) -> Floats:
    """Compute the misalignment between two modalities of the same sessions.

    Parameters
    ----------
    pairs : list of ClockPair
        Of any sessions; sessions with only one of the modalities are ignored.
    first, second : str
        Modalities.

    Returns
    -------
    ndarray of float64, shape (n,)
        True time of `first` minus true time of `second`, in ms, of samples that are assigned to
        the same session time; at `POINTS` evenly spaced times of each session's overlap.
    """
    of_first = {pair.session: pair for pair in pairs if pair.modality == first}
    of_second = {pair.session: pair for pair in pairs if pair.modality == second}
    errors = [np.empty(0)]
    for session in sorted(of_first.keys() & of_second.keys()):
        a, b = of_first[session], of_second[session]
        spans = [pair.estimated.session_span_s(0, pair.duration_s) for pair in (a, b)]
        times = np.linspace(max(span[0] for span in spans), min(span[1] for span in spans), POINTS)
        difference = 1e3 * (a.true_s(times) - b.true_s(times))
        errors.append(difference[np.isfinite(difference)])
    return np.concatenate(errors)


def summarise(errors: Floats) -> dict[str, float | None]:
    """Return the median, 95th percentile and maximum of the absolute errors."""
    if not len(errors):
        return {"median": None, "p95": None, "max": None}
    values = np.percentile(np.abs(errors), [50, 95, 100])
    return {
        name: round(float(v), 4) for name, v in zip(("median", "p95", "max"), values, strict=True)
    }


def score_clocks(pairs: list[ClockPair], rates_hz: dict[str, float]) -> dict[str, object]:
    """Summarise clock errors per modality and between modalities.

    Parameters
    ----------
    pairs : list of ClockPair
        Aligned recordings.
    rates_hz : dict of str to float
        Sampling rate of each modality; of video, frames per second.

    Returns
    -------
    dict
        ``error_ms`` and ``error_samples`` by modality and ``between_ms`` by pair of modalities,
        each as returned by `summarise`.
    """
    modalities = list(dict.fromkeys(pair.modality for pair in pairs))
    errors = {
        name: np.concatenate([pair.error_ms() for pair in pairs if pair.modality == name])
        for name in modalities
    }
    return {
        "error_ms": {name: summarise(errors[name]) for name in modalities},
        "error_samples": {
            name: summarise(errors[name] * 1e-3 * rates_hz[name])
            for name in modalities
            if name in rates_hz
        },
        "between_ms": {
            f"{first}-{second}": summarise(between_ms(pairs, first, second))
            for first, second in combinations(modalities, 2)
        },
    }
