"""How far found clocks are from true ones, where the truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from consilience.alignment.clock import Clock, Line

Floats = NDArray[np.float64]

POINTS = 101


@dataclass(frozen=True)
class ClockPair:
    """A recording's found and true clock, and its length on its own clock."""

    session: str
    modality: str
    found: Clock
    true: Line
    duration_s: float

    def error_ms(self) -> Floats:
        """Return the found minus the true session time, evenly over the recording, in ms.

        Where the found clock does not tell the time, there is no error.
        """
        native = np.linspace(0, self.duration_s, POINTS)
        errors = 1e3 * (self.found.to_session(native) - self.true.to_session(native))
        return errors[np.isfinite(errors)]

    def true_s(self, session_s: Floats) -> Floats:
        """Return when what is taken for these session times really happened."""
        return self.true.to_session(self.found.to_native(session_s))


def between_ms(pairs: list[ClockPair], one: str, other: str) -> Floats:
    """Return by how much two modalities of a session are out of step.

    Parameters
    ----------
    pairs : list of ClockPair
        Of any sessions; those with only one of the modalities do not count.
    one, other : str
        Modalities.

    Returns
    -------
    ndarray of float64
        Milliseconds between what both show as the same instant, evenly over the stretch
        that both cover, over all sessions.
    """
    first = {pair.session: pair for pair in pairs if pair.modality == one}
    second = {pair.session: pair for pair in pairs if pair.modality == other}
    errors = [np.empty(0)]
    for session in sorted(first.keys() & second.keys()):
        a, b = first[session], second[session]
        spans = [pair.found.session_span_s(0, pair.duration_s) for pair in (a, b)]
        times = np.linspace(max(span[0] for span in spans), min(span[1] for span in spans), POINTS)
        apart = 1e3 * (a.true_s(times) - b.true_s(times))
        errors.append(apart[np.isfinite(apart)])
    return np.concatenate(errors)


def summarise(errors: Floats) -> dict[str, float | None]:
    """Return the median, 95th percentile and maximum of the errors' magnitudes."""
    if not len(errors):
        return {"median": None, "p95": None, "max": None}
    values = np.percentile(np.abs(errors), [50, 95, 100])
    return {
        name: round(float(v), 4) for name, v in zip(("median", "p95", "max"), values, strict=True)
    }


def score_clocks(pairs: list[ClockPair], rates_hz: dict[str, float]) -> dict[str, object]:
    """Summarise clock errors per modality, in milliseconds and samples, and between modalities.

    Parameters
    ----------
    pairs : list of ClockPair
        Aligned recordings.
    rates_hz : dict of str to float
        Samples (frames of a video) a second of each modality.
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
            f"{one}-{other}": summarise(between_ms(pairs, one, other))
            for one, other in combinations(modalities, 2)
        },
    }
