"""Concatenation: one head over all encodings side by side, zeros for the missing."""

from __future__ import annotations

from typing import Any

import torch

from consilience.methods.base import Method, plain_prediction
from consilience.methods.params.concat import Params as ConcatParams
from consilience.model.fusion import N_AFFECT, encode, split_affect
from consilience.model.types import Prediction, Windows


class Concat(Method):
    """A small network over the concatenated encodings and the availability flags."""

    Params = ConcatParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        n_inputs = (self.width + 1) * len(self.encoders)
        self.head = self.new_head(n_inputs, self.n_classes + 2 * N_AFFECT)

    def forward(self, windows: Windows) -> Prediction:
        """Compute the head's prediction."""
        inputs, available = windows
        encodings = encode(self.encoders, inputs, available)
        # The flags distinguish a missing modality from one whose encoding is near 0.
        output = self.head(torch.cat([*encodings, available], -1))
        logits, affect = output.tensor_split([self.n_classes], -1)
        return plain_prediction(logits, split_affect(affect), available)


method = Concat
