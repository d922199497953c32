"""Simulated annotators, each with its own delay, bias and error."""

from __future__ import annotations

import numpy as np

from consilience.core.seeds import generator
from consilience.synthesis.difficulty import CLASSES, QUADRANTS, RATERS, SKIPPED, Rater
from consilience.synthesis.plan import Floats, Session, random_wave

TRACE_RATE_HZ = 4.0
Row = dict[str, object]


def annotation_rows(session: Session) -> list[Row]:
    """Return the rows of table `Annotations` for one session.

    Observers name a class per trial and rate valence and arousal continuously throughout the
    session; the subject (``self``) reports all three once per trial.
    """
    rows = []
    for name, rater in RATERS.items():
        rows += _per_trial(session, name, rater)
        if name != "self":
            rows += _traces(session, name, rater)
    return rows


def _per_trial(session: Session, name: str, rater: Rater) -> list[Row]:
    """Return the class of every trial, and valence and arousal of a self-report."""
    rng = generator("demo", session.name, "rater", name)
    rows = []
    for trial in session.trials:
        # Every trial takes the same draws, also a skipped one: `SKIPPED` must not change what
        # the rater perceives in later trials.
        is_skipped = rng.random() < SKIPPED
        state = np.array([trial.valence, trial.arousal])
        perceived = np.clip(state + rater.bias + rng.normal(0, rater.noise, 2), -1, 1)
        label = _quadrant(perceived)
        if rng.random() < rater.lapse:
            label = str(rng.choice(CLASSES))
        if is_skipped:
            continue
        span = (trial.start_s, trial.end_s)
        rows.append(_row(session, name, "emotion", *span, label=label))
        if name == "self":
            rows.append(_row(session, name, "valence", *span, value=perceived[0]))
            rows.append(_row(session, name, "arousal", *span, value=perceived[1]))
    return rows


def _traces(session: Session, name: str, rater: Rater) -> list[Row]:
    """Return the continuous ratings of valence and arousal."""
    times_s = np.arange(0, session.end_s, 1 / TRACE_RATE_HZ)
    perceived = session.state(times_s - rater.lag_s)
    rows = []
    for axis, target in enumerate(("valence", "arousal")):
        # The error is slow, as a rater's is: averaging neighbouring samples does not remove it.
        error = random_wave("demo", session.name, "rater", name, target)(times_s)
        values = np.clip(perceived[axis] + rater.bias[axis] + rater.noise * error, -1, 1)
        for time_s, value in zip(times_s, values, strict=True):
            rows.append(
                _row(session, name, target, time_s, time_s + 1 / TRACE_RATE_HZ, value=value)
            )
    return rows


def _quadrant(perceived: Floats) -> str:
    """Return the class whose signs of valence and arousal are the perceived ones."""
    signs = np.where(perceived >= 0, 1, -1)
    return next(name for name, quadrant in QUADRANTS.items() if (signs == quadrant).all())


def _row(
    session: Session,
    name: str,
    target: str,
    start_s: float,
    end_s: float,
    *,
    label: str | None = None,
    value: float | None = None,
) -> Row:
    return {
        "session": session.name,
        "annotator": name,
        "target": target,
        "start_s": float(start_s),
        "end_s": float(end_s),
        "label": label,
        "value": None if value is None else round(float(value), 4),
    }
