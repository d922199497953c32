"""The base class of encoders: they map the model input of a window to a vector."""

from __future__ import annotations

from torch import Tensor, nn


class Encoder(nn.Module):
    """Encodes windows of one modality as vectors.

    A class derives from this one in a file of its own, as the module-level ``encoder``. It is
    constructed with ``n_features``, ``width`` and ``dropout``, as `FunctionalsEncoder`, and the
    options in `ModalityParams.encoding` as keywords. It reads what the function
    `ModalityParams.INPUTS` computes once per dataset; see `consilience.inputs`.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode model inputs, shape (batch, ...), as (batch, width)."""
        raise NotImplementedError
