"""Difficulty of the demonstration corpus: all its constants.

A modality expresses the subject's state with errors. In one trial, the expressed valence is
``expressiveness * (weight * valence + noise)``, with the noise drawn once per trial, and almost
zero if the trial is masked; arousal likewise. Each modality is therefore wrong in whole trials,
independently of the others, and only several modalities together approach the true state.
"""

from __future__ import annotations

from dataclasses import dataclass

CLASSES = ("happy", "angry", "sad", "calm")
QUADRANTS = {"happy": (1, 1), "angry": (-1, 1), "sad": (-1, -1), "calm": (1, -1)}
MAGNITUDE = (0.5, 1.0)  # of valence and arousal in a trial, uniform
WANDER = 0.15  # standard deviation of the slow change within a session


@dataclass(frozen=True)
class Share:
    """Relation between the state and its expression in one modality.

    Attributes
    ----------
    valence, arousal : float
        Weight of each dimension in the expression.
    noise : float
        Standard deviation of the expression's error, which is constant within a trial.
    masked : float
        Fraction of the trials with a suppressed expression.
    """

    valence: float
    arousal: float
    noise: float
    masked: float


SHARES = {
    "eeg": Share(valence=0.8, arousal=0.8, noise=0.4, masked=0.1),
    "audio": Share(valence=0.4, arousal=1.0, noise=0.33, masked=0.1),
    "video": Share(valence=1.0, arousal=0.4, noise=0.33, masked=0.1),
}
MASKED_REMAINDER = 0.15  # factor of the expression in a masked trial
EXPRESSIVENESS = (0.75, 1.25)  # factor by subject and modality, uniform


@dataclass(frozen=True)
class Rater:
    """A simulated annotator.

    Attributes
    ----------
    lag_s : float
        Delay of the continuous traces behind the state.
    bias : tuple of float
        Added to valence and to arousal.
    noise : float
        Standard deviation of the slow error of a trace, and of the perceived valence and
        arousal from which a trial's class follows.
    lapse : float
        Fraction of the trials with a random class.
    """

    lag_s: float
    bias: tuple[float, float]
    noise: float
    lapse: float


RATERS = {
    "rater-1": Rater(lag_s=1.6, bias=(0.10, -0.05), noise=0.30, lapse=0.06),
    "rater-2": Rater(lag_s=2.0, bias=(-0.05, 0.12), noise=0.35, lapse=0.10),
    "rater-3": Rater(lag_s=2.3, bias=(0.02, 0.08), noise=0.40, lapse=0.12),
    "rater-4": Rater(lag_s=2.8, bias=(-0.15, -0.12), noise=0.45, lapse=0.16),
    "self": Rater(lag_s=0.0, bias=(0.05, 0.0), noise=0.30, lapse=0.05),
}
SKIPPED = 0.05  # fraction of the trials that a rater does not label
