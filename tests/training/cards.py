"""Cards of models in tests."""

from __future__ import annotations

from typing import Any

from consilience.schema.params.training import TrainingParams
from consilience.training.fit import Fitted
from consilience.windows.store import Corpus


def card_of(fitted: Fitted, corpus: Corpus, training: TrainingParams) -> dict[str, Any]:
    """Return the card of a model that a test trained."""
    return {
        "data_sha256": "0" * 64,
        "method": "hybrid",
        "classes": corpus.classes,
        "features": corpus.features,
        "inputs": {name: corpus.input_shape(name) for name in corpus.modalities},
        "params": {"unimodal": 1.0},
        "training": training.model_dump(),
        "runs": [run._asdict() for run in fitted.runs],
        "dataset": corpus.dataset,
        "people": [],
        "recipe": {"modalities": {"eeg": {}}, "alignment": {}, "annotation": {}, "windows": {}},
        "intended_use": "tests",
        "limits": [],
        "licence": "none",
        "libraries": {},
    }
