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

    def prepare(self, windows: Tensor) -> Tensor:
        """Return bands over frames, shape (n_windows, n_bands, n_frames).

        Observed frames are moved together and repeated until the window is full, so that
        statistics over time depend on them alone. 0 where nothing was observed.
        """
        valid = windows.isfinite().all(2)
        # A stable sort moves observed frames to the front and keeps their order.
        first = (~valid).to(torch.uint8).argsort(dim=1, stable=True)
        turn = torch.arange(windows.shape[1]) % valid.sum(1, keepdim=True).clamp(min=1)
        order = first.gather(1, turn)[..., None].expand_as(windows)
        return windows.gather(1, order).nan_to_num(nan=0.0).transpose(1, 2).contiguous()

    def forward(self, prepared: Tensor) -> Tensor:
        """Encode prepared windows, shape (batch, n_bands, n_frames), as (batch, width)."""
        statistics = _moments(prepared)
        for layer in self.layers:
            prepared = layer(prepared)
            statistics += _moments(prepared)
        encoded: Tensor = self.output(self.drop(torch.cat(statistics, 1)))
        return encoded


def _moments(maps: Tensor) -> list[Tensor]:
    """Return mean and standard deviation over time, each of shape (batch, n_maps)."""
    variance = maps.var(-1, correction=0)
    return [maps.mean(-1), (variance + 1e-5).sqrt()]


encoder = SpectrogramEncoder
