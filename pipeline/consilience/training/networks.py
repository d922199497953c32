"""Untrained networks: encoders, and the stack of a method's runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from consilience.core import registry
from consilience.core.seeds import seed_from
from consilience.encoders.base import Encoder
from consilience.model.stack import Stack
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Run
from consilience.windows.store import Corpus

_DRAWING = Lock()


def encoders_for(
    features: Mapping[str, Sequence[str]],
    encodings: Mapping[str, Mapping[str, Any]],
    width: int,
    dropout: float,
) -> dict[str, Encoder]:
    """Return a new encoder for every modality, in the order of `features`.

    Parameters
    ----------
    features : mapping of str to sequence of str
        Names of the features by modality.
    encodings : mapping of str to mapping
        Further arguments of `Modality.encoder` by modality.
    width : int
        Numbers in an encoding.
    dropout : float
    """
    return {
        name: _modality(name).encoder(len(names), width, dropout, **encodings.get(name, {}))
        for name, names in features.items()
    }


@lru_cache
def _modality(name: str) -> Any:
    """Return a modality from the registry, looked up once for all runs of a stack."""
    return registry.get("modalities", name)


def build_stack(
    method: str,
    params: Any,
    training: TrainingParams,
    runs: list[Run],
    features: Mapping[str, Sequence[str]],
    encodings: Mapping[str, Mapping[str, Any]],
    n_classes: int,
    example: Mapping[str, Tensor],
) -> Stack:
    """Return the untrained stack of a method.

    Parameters
    ----------
    method : str
    params : MethodParams
    training : TrainingParams
    runs : list of Run
        Fold and seed determine a run's initial weights, independently of the other runs.
    features, encodings
        As in `encoders_for`.
    n_classes : int
    example : mapping of str to Tensor, shape (1, ...)
        A prepared window of each modality, which determines the width of lazy layers.
    """
    kind = registry.get("methods", method)
    networks = []
    available = torch.ones(1, len(features))
    hidden = training.head == "hidden"
    for run in runs:
        # Torch draws weights from one generator for the whole process: one thread at a time.
        with _DRAWING:
            torch.manual_seed(seed_from("weights", *run))
            encoders = encoders_for(features, encodings, training.width, training.dropout)
            # Lazy layers draw their weights at the first call: encoders first.
            for name, encoder in encoders.items():
                encoder(example[name])
            network = kind(encoders, n_classes, training.width, training.dropout, params, hidden)
            network.predict((dict(example), available))
        networks.append(network)
    return Stack(networks)


def untrained_stack(
    method: str, params: Any, training: TrainingParams, corpus: Corpus, runs: list[Run]
) -> Stack:
    """Return the untrained stack of a method for a corpus; see `build_stack`."""
    encoders = encoders_for(corpus.features, corpus.encodings, training.width, training.dropout)
    example = {
        name: encoder.prepare(torch.from_numpy(np.array(corpus.windows(name)[:1]))).nan_to_num()
        for name, encoder in encoders.items()
    }
    return build_stack(
        method,
        params,
        training,
        runs,
        corpus.features,
        corpus.encodings,
        len(corpus.classes),
        example,
    )
