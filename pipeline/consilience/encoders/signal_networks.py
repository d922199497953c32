"""Encoders of raw signals, channels over time: EEGNet, and larger networks from braindecode.

Folds and seeds are trained in parallel, and the encoding of a window must not depend on the other
windows of its batch. Batch normalisation violates both: it keeps running statistics and mixes the
windows of a batch. It is replaced by a normalisation of each window's maps together (Wu and He
2018, "Group normalization", with one group), which preserves their power relative to one another.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from consilience.core.errors import ConsilienceError
from consilience.encoders.base import Encoder

# Networks of braindecode, with the arguments that differ from its defaults.
LIBRARY: dict[str, dict[str, Any]] = {
    "ShallowFBCSPNet": {"final_conv_length": "auto"},
    "Deep4Net": {"final_conv_length": "auto"},
    "EEGConformer": {"final_fc_length": "auto"},
}
FILTERS, DEPTH = 8, 2  # F1 and D of Lawhern et al.: filters over time, and over space for each
POOLED = (4, 8)
SEPARABLE_S = 0.5


class SignalEncoder(Encoder):
    """A network over samples, built when the first window determines the number of samples.

    Parameters
    ----------
    n_features : int
        Channels.
    width : int
        Numbers in the encoding.
    dropout : float
        Probability of dropping a unit in training.
    network : str
        ``"EEGNet"`` or one of `LIBRARY`.
    rate_hz : float
        Samples a second.
    """

    def __init__(
        self, n_features: int, width: int, dropout: float, network: str, rate_hz: float
    ) -> None:
        super().__init__()
        self.n_channels = n_features
        self.width, self.dropout, self.name, self.rate_hz = width, dropout, network, rate_hz
        self.network: nn.Module | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode signals, shape (batch, n_channels, n_samples), as (batch, width).

        Raises
        ------
        ConsilienceError
            If the network is not installed, or windows are too short for it.
        """
        if self.network is None:
            n_channels, n_samples = self.n_channels, inputs.shape[-1]
            if self.name == "EEGNet":
                self.network = EegNet(n_channels, n_samples, self.width, self.dropout, self.rate_hz)
            else:
                self.network = from_braindecode(
                    self.name, n_channels, n_samples, self.width, self.dropout
                )
        encoded: Tensor = self.network(inputs)
        return encoded


class EegNet(nn.Module):
    """EEGNet (Lawhern et al. 2018), with its filters over space before those over time.

    Both are linear, so they commute, and the normalisation that follows removes any scale between
    them. In this order, 16 maps are filtered over time instead of 8 times the number of channels.

    Parameters
    ----------
    n_channels, n_samples : int
        Of a window.
    width : int
    dropout : float
    rate_hz : float

    Raises
    ------
    ConsilienceError
        If windows are too short.
    """

    def __init__(
        self, n_channels: int, n_samples: int, width: int, dropout: float, rate_hz: float
    ) -> None:
        super().__init__()
        first, second = POOLED
        if n_samples < first * second:
            raise _too_short("EEGNet", n_samples, f"it needs {first * second} samples")
        maps = FILTERS * DEPTH
        self.space = nn.Parameter(nn.init.xavier_uniform_(torch.empty(maps, n_channels)))
        self.time = Filters(FILTERS, round(rate_hz / 2))
        self.rest = nn.Sequential(
            nn.GroupNorm(1, maps),
            nn.ELU(),
            nn.AvgPool1d(first),
            nn.Dropout(dropout),
            Filters(maps, round(SEPARABLE_S * rate_hz / first)),
            nn.Conv1d(maps, maps, 1, bias=False),
            nn.GroupNorm(1, maps),
            nn.ELU(),
            nn.AvgPool1d(second),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.LazyLinear(width),
        )

    def forward(self, signal: Tensor) -> Tensor:
        """Encode signals, shape (batch, n_channels, n_samples), as (batch, width)."""
        length = self.space.norm(dim=1, keepdim=True)  # limited to 1, as in the paper
        maps = torch.einsum("bct,mc->bmt", signal, self.space / length.clamp(min=1.0))
        maps = self.time(maps.unflatten(1, (DEPTH, FILTERS))).flatten(1, 2)
        encoded: Tensor = self.rest(maps)
        return encoded


class Filters(nn.Module):
    """A filter over time for each map: a depthwise convolution that keeps the length.

    By Fourier transform: depthwise convolutions of many runs in parallel are ten times slower.

    Parameters
    ----------
    n_maps : int
    n_taps : int
        Length of the filters, in samples.
    """

    def __init__(self, n_maps: int, n_taps: int) -> None:
        super().__init__()
        bound = n_taps**-0.5
        self.taps = nn.Parameter(torch.empty(n_maps, n_taps).uniform_(-bound, bound))

    def forward(self, maps: Tensor) -> Tensor:
        """Filter maps, shape (..., n_maps, n_samples); samples beyond the ends are 0."""
        n_samples, n_taps = maps.shape[-1], self.taps.shape[-1]
        size = n_samples + n_taps - 1
        # Mixed precision passes half floats, which the transform does not support.
        spectrum = torch.fft.rfft(maps.float(), size) * torch.fft.rfft(self.taps.float(), size)
        start = (n_taps - 1) // 2  # centres the filter, so that it does not delay the signal
        return torch.fft.irfft(spectrum, size)[..., start : start + n_samples]


def from_braindecode(
    name: str, n_channels: int, n_samples: int, width: int, dropout: float
) -> nn.Module:
    """Return a network of `LIBRARY` that ends in `width` numbers, without batch normalisation.

    Raises
    ------
    ConsilienceError
        If braindecode is not installed, or windows are too short.
    """
    try:
        from braindecode import models
    except ImportError:
        raise ConsilienceError(
            f"{name} is a network of braindecode's, which is not installed",
            "params.yaml",
            "run 'pip install braindecode==0.8.1', or take network: EEGNet",
        ) from None
    try:
        network: nn.Module = getattr(models, name)(
            n_chans=n_channels,
            n_outputs=width,
            n_times=n_samples,
            drop_prob=dropout,
            add_log_softmax=False,
            **LIBRARY[name],
        )
    except (RuntimeError, ValueError):
        raise _too_short(name, n_samples, "or take network: EEGNet") from None
    _replace_batch_norm(network)
    return network


def _replace_batch_norm(network: nn.Module) -> None:
    for name, layer in network.named_children():
        if isinstance(layer, nn.BatchNorm2d):
            setattr(network, name, nn.GroupNorm(1, layer.num_features))
        else:
            _replace_batch_norm(layer)


def _too_short(name: str, n_samples: int, remedy: str) -> ConsilienceError:
    return ConsilienceError(
        f"windows of {n_samples} samples are too short for {name}",
        "params.yaml: windows.length_s",
        f"make them longer; {remedy}",
    )


encoder = SignalEncoder
