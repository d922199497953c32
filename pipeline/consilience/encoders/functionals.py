"""Encoder of functionals: statistics over time, and a small network; the default of modalities."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from consilience.encoders.base import Encoder

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FUNCTIONALS = ("mean", "std", *(f"q{int(100 * q):02d}" for q in QUANTILES), "slope", "mean_step")
_CHUNK = 256  # windows summarised at a time: bounds memory


class FunctionalsEncoder(Encoder):
    """Statistics over time, then a linear and a nonlinear path in parallel.

    The linear path alone is a regularised linear model, the best choice for few windows. The
    nonlinear path starts at 0, and contributes what the data supports.

    Parameters
    ----------
    n_features : int
        Features of a frame; the input width of the learned step is that of the first batch.
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

    def prepare(self, windows: Tensor) -> Tensor:
        """Summarise each feature over the valid frames of a window.

        Parameters
        ----------
        windows : Tensor of float32, shape (n_windows, n_frames, n_features)
            NaN where nothing was observed.

        Returns
        -------
        Tensor of float32, shape (n_windows, n_functionals * n_features)
            The functionals in the order of ``FUNCTIONALS``, features varying fastest; the
            values themselves, (n_windows, n_features), if windows have one frame. Finite
            everywhere: 0 where nothing was observed.
        """
        if windows.shape[1] == 1:
            return torch.nan_to_num(windows[:, 0], nan=0.0, posinf=0.0, neginf=0.0)
        return torch.cat([functionals(chunk) for chunk in windows.split(_CHUNK)])

    def forward(self, prepared: Tensor) -> Tensor:
        """Encode prepared windows, shape (batch, n_inputs), as (batch, width)."""
        hidden = self.drop(nn.functional.gelu(self.hidden(prepared)))
        return self.linear(prepared) + self.output(hidden)


def functionals(windows: Tensor) -> Tensor:
    """Summarise windows over time, ignoring values that are not finite.

    Parameters
    ----------
    windows : Tensor of float32, shape (n_windows, n_frames, n_features)

    Returns
    -------
    Tensor of float32, shape (n_windows, n_functionals * n_features)
        Slopes are per window length, steps between neighbouring valid frames are absolute.
    """
    valid = windows.isfinite()
    values = torch.where(valid, windows, 0.0)
    count = valid.sum(1)
    n = count.clamp(min=1)
    mean = values.sum(1) / n
    centred = torch.where(valid, windows - mean[:, None], 0.0)
    std = (centred.square().sum(1) / n).sqrt()

    # The slope of a least-squares line, over the valid frames of each feature.
    time = torch.linspace(-0.5, 0.5, windows.shape[1])[None, :, None] * valid
    time = torch.where(valid, time - (time.sum(1) / n)[:, None], 0.0)
    slope = (time * centred).sum(1) / time.square().sum(1).clamp(min=1e-12)

    # A step needs two neighbouring valid frames; a step across a gap would be larger.
    both = valid[:, 1:] & valid[:, :-1]
    step = torch.where(both, values.diff(dim=1).abs(), 0.0).sum(1) / both.sum(1).clamp(min=1)
    return torch.cat([mean, std, *_quantiles(windows, valid, count), slope, step], dim=1)


def _quantiles(windows: Tensor, valid: Tensor, count: Tensor) -> list[Tensor]:
    """Return each of `QUANTILES` of the valid frames, with linear interpolation; 0 if none is."""
    # Infinity sorts missing frames behind the `count` valid ones.
    ordered = torch.where(valid, windows, torch.inf).sort(dim=1).values
    last = (count - 1).clamp(min=0)
    result = []
    for quantile in QUANTILES:
        position = quantile * last
        low = position.floor().long()
        high = torch.minimum(low + 1, last)
        below = ordered.gather(1, low[:, None])[:, 0]
        above = ordered.gather(1, high[:, None])[:, 0]
        value = below + (position - low) * (above - below)
        result.append(torch.where(count > 0, value, 0.0))
    return result


encoder = FunctionalsEncoder
