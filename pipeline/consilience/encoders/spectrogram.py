"""Encoder of spectrograms: convolutions over time, summarised by mean and deviation."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from consilience.encoders.base import Encoder

TAPS, STRIDE = 5, 2


class SpectrogramEncoder(Encoder):
    """A time-delay network with statistics pooling (Snyder et al. 2018, "X-vectors").

    Every layer, the spectrogram itself included, is summarised by its mean and standard deviation
    over time, and the encoding is linear in all of these. The part that is linear in the
    spectrogram needs no convolution, and is what few windows can support.

    Parameters
    ----------
    n_features : int
        Bands of the spectrogram.
    width : int
        Numbers in the encoding.
    dropout : float
        Probability of dropping a statistic in training.
    channels : int
        Maps of a layer.
    layers : int
        Convolutions, each of which halves the rate.
    """

    def __init__(
        self, n_features: int, width: int, dropout: float, channels: int, layers: int
    ) -> None:
        super().__init__()
        sizes = [n_features, *[channels] * layers]
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(before, after, TAPS, STRIDE, padding=TAPS // 2),
                nn.GroupNorm(1, after),
                nn.GELU(),
            )
            for before, after in pairwise(sizes)
        )
        self.drop = nn.Dropout(dropout)
        self.output = nn.Linear(2 * sum(sizes), width)

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode spectrograms, shape (batch, n_bands, n_frames), as (batch, width)."""
        maps, statistics = inputs, _moments(inputs)
        for layer in self.layers:
            maps = layer(maps)
            statistics += _moments(maps)
        encoded: Tensor = self.output(self.drop(torch.cat(statistics, 1)))
        return encoded


def _moments(maps: Tensor) -> list[Tensor]:
    """Return mean and standard deviation over time, each of shape (batch, n_maps)."""
    variance = maps.var(-1, correction=0)
    return [maps.mean(-1), (variance + 1e-5).sqrt()]


encoder = SpectrogramEncoder
