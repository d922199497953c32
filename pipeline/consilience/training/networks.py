"""Untrained networks: encoders, and the stack of a method's runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

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


@dataclass(frozen=True)
class Architecture:
    """All that determines the shape of a method's networks.

    Attributes
    ----------
    method : str
    params : MethodParams
    training : TrainingParams
    features, encodings : mapping
        As in `encoders_for`.
    n_classes : int
    example : mapping of str to Tensor, shape (1, ...)
        A prepared window of each modality, which determines the width of lazy layers.
    """

    method: str
    params: Any
    training: TrainingParams
    features: Mapping[str, Sequence[str]]
    encodings: Mapping[str, Mapping[str, Any]]
    n_classes: int
    example: Mapping[str, Tensor]

    def untrained(self, runs: Sequence[Run]) -> Stack:
        """Return a stack of initial weights; fold and seed determine those of a run."""
        return Stack([self._network(run) for run in runs])

    def trained(self, weights: Mapping[str, Tensor], n_runs: int) -> Stack:
        """Return a stack for predictions with given weights, in evaluation mode.

        Parts of the network that only the training uses are left out.

        Parameters
        ----------
        weights : mapping of str to Tensor, shape (R, ...)
            May hold other tensors too.
        n_runs : int
        """
        network = self._network(Run(0, 0))
        for attribute in network.TRAINING_ONLY:
            if hasattr(network, attribute):
                delattr(network, attribute)
        stack = Stack([network] * n_runs)
        stack.load_state_dict({name: weights[name] for name in stack.state_dict()})
        return stack.eval()

    @torch.no_grad()
    def _network(self, run: Run) -> Any:
        """Return the network of a run, independently of the other runs."""
        training = self.training
        # Torch draws weights from one generator for the whole process: one thread at a time.
        with _DRAWING:
            torch.manual_seed(seed_from("weights", *run))
            encoders = encoders_for(self.features, self.encodings, training.width, training.dropout)
            # Lazy layers draw their weights at the first call: encoders first.
            for name, encoder in encoders.items():
                encoder(self.example[name])
            network = registry.get("methods", self.method)(
                encoders,
                self.n_classes,
                training.width,
                training.dropout,
                self.params,
                training.head == "hidden",
            )
            network.predict((dict(self.example), torch.ones(1, len(self.features))))
        return network


def architecture(
    method: str, params: Any, training: TrainingParams, corpus: Corpus
) -> Architecture:
    """Return the architecture of a method for the windows of a corpus."""
    example = {name: torch.from_numpy(corpus.windows(name)[:1]) for name in corpus.modalities}
    return Architecture(
        method,
        params,
        training,
        corpus.features,
        corpus.encodings,
        len(corpus.classes),
        example,
    )
