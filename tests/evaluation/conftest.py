"""A small corpus of three sensors in memory, whose windows are identified by their number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from consilience.model.types import Prediction
from consilience.schema.tables import Labels, Splits, frame_of
from consilience.training.augmentation import Run
from consilience.training.data import Scaler
from consilience.windows.store import Corpus

CLASSES = ("calm", "angry", "happy")
SENSORS = ("eeg", "audio", "video")
VARIANTS = {
    "eeg": ("noise_1", "noise_3", "noise_5", "hum_1", "hum_5", "desync_2"),
    "audio": ("noise_1", "noise_5", "babble_5"),
    "video": ("noise_1", "noise_5"),
}
ROLES = ["test", "test", "validation", "validation", "train", "train"]


def build_corpus(
    sensors: tuple[str, ...] = SENSORS, per_subject: int = 12, roles: list[str] = ROLES
) -> Corpus:
    n_subjects = len(roles)
    n = n_subjects * per_subject
    truth = np.arange(n) % len(CLASSES)
    available = np.ones((n, len(sensors)), bool)
    available[::7, 0] = False
    available[3::7, -1] = False
    rows: list[dict[str, object]] = [
        {
            "window": f"w{i}",
            "session": f"s{i // per_subject}",
            "subject": f"p{i // per_subject}",
            "trial": f"t{i}",
            "start_s": float(i),
            "end_s": i + 1.0,
            "class_probability": np.eye(len(CLASSES))[truth[i]].tolist(),
            "valence": truth[i] - 1.0,
            "arousal": None,
            "agreement": None,
            "n_annotators": 1,
        }
        for i in range(n)
    ]
    # Every subject is tested once: the roles rotate.
    n_test = roles.count("test")
    splits: list[dict[str, object]] = [
        {"fold": fold, "subject": f"p{(s + n_test * fold) % n_subjects}", "role": role}
        for fold in range(n_subjects // n_test)
        for s, role in enumerate(roles)
    ]
    affect = np.stack([truth - 1.0, np.full(n, np.nan)], 1)
    return Corpus(
        folder=Path("nowhere"),
        corrupted=Path("nowhere"),
        modalities=sensors,
        classes=CLASSES,
        dataset="small",
        features={name: ["number"] for name in sensors},
        variants={name: VARIANTS[name] for name in sensors},
        index=frame_of(rows, Labels),
        splits=frame_of(splits, Splits),
        available=available,
        target=np.eye(len(CLASSES), dtype=np.float32)[truth],
        affect=affect.astype(np.float32),
    )


def numbered(corpus: Corpus) -> dict[str, dict[str, torch.Tensor]]:
    """Return prepared windows of two numbers: the window's own and its variant's."""
    n = len(corpus.index)
    return {
        name: {
            variant: torch.stack([torch.arange(n), torch.full((n,), place)], 1).float()
            for place, variant in enumerate(("clean", *corpus.variants[name]))
        }
        for name in corpus.modalities
    }


def plain_scaler(corpus: Corpus, n_runs: int) -> Scaler:
    """Return a scaler that leaves the first thousand windows' numbers apart within its clip."""
    zero = {name: torch.zeros(n_runs, 1, 2) for name in corpus.modalities}
    large = {name: torch.full((n_runs, 1, 2), 1000.0) for name in corpus.modalities}
    return Scaler(zero, large, torch.zeros(n_runs, 1, 2), torch.ones(n_runs, 1, 2))


class Oracle:
    """Reads a window's class from the number the sensors show, each sensor with one vote."""

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes

    def __call__(self, function: str, given: Any) -> Any:
        if function == "thresholds":
            return torch.tensor([0.0, 1.5, 2.0]).expand(*given.shape[:-1], -1)
        inputs, available = given
        shown = torch.stack([values[..., 0] for values in inputs.values()], -1) * 1000
        votes = torch.nn.functional.one_hot(
            (shown.round().long() % self.n_classes), self.n_classes
        ).float()
        votes = votes * available[..., None]
        agree = (votes[..., None, :] * votes[..., None, :, :]).sum(-1)
        others = agree.sum(-1) - available
        partners = (available.sum(-1, keepdim=True) - available).clamp(min=1)
        share = votes.sum(-2) / available.sum(-1, keepdim=True).clamp(min=1)
        corrupted = torch.stack([values[..., 1] for values in inputs.values()], -1).amax(-1)
        return Prediction(
            logits=4 * share,
            affect_mean=torch.zeros(*share.shape[:-1], 2),
            affect_log_variance=torch.zeros(*share.shape[:-1], 2),
            vacuity=torch.sigmoid(corrupted),
            reliability=others / partners,
            coherence=share.amax(-1),
            available=available,
            input_energy=torch.zeros_like(available),
        )


RUNS = [Run(fold, seed) for fold in range(3) for seed in (0, 1)]
