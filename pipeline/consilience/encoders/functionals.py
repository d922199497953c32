"""Encoder of statistics over time by a small network; the default of modalities."""

from __future__ import annotations

from torch import Tensor, nn

from consilience.encoders.base import Encoder


class FunctionalsEncoder(Encoder):
    """A linear and a nonlinear path in parallel.

    The linear path alone is a regularised linear model, the best choice for few windows. The
    nonlinear path starts at 0, and contributes what the data supports.

    Parameters
    ----------
    n_features : int
        Features of a frame; the number of inputs is that of the first batch.
    width : int
        Numbers in the encoding.
    dropout : float
        Probability of dropping a hidden unit in training.
    """

    def __init__(self, n_features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.n_features = n_features
        self.linear = nn.LazyLinear(width)
        self.hidden = nn.LazyLinear(width)
        self.drop = nn.Dropout(dropout)
        self.output = nn.Linear(width, width)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode statistics, shape (batch, n_inputs), as (batch, width)."""
        hidden = self.drop(nn.functional.gelu(self.hidden(inputs)))
        return self.linear(inputs) + self.output(hidden)


encoder = FunctionalsEncoder
