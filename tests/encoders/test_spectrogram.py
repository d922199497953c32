import torch
from torch.testing import assert_close

from consilience.encoders.spectrogram import SpectrogramEncoder
from consilience.model.stack import Stack

BANDS, FRAMES = 4, 24


def encoder(layers: int = 2) -> SpectrogramEncoder:
    torch.manual_seed(0)
    return SpectrogramEncoder(BANDS, 6, 0.5, channels=8, layers=layers)


def spectrograms(n: int) -> torch.Tensor:
    return torch.randn(n, BANDS, FRAMES, generator=torch.Generator().manual_seed(2))


def test_runs_side_by_side_read_each_window_as_if_it_were_alone() -> None:
    networks = [encoder().eval(), encoder(2).eval()]
    inputs = torch.stack([spectrograms(5)] * 2)
    together = Stack(networks).eval()("forward", inputs)
    alone = torch.cat([networks[1](one[None]) for one in inputs[1]])
    assert_close(together[1], alone, atol=1e-5, rtol=1e-4)


def test_size_is_chosen_and_gradients_are_finite_where_nothing_moves() -> None:
    small, large = encoder(1), encoder(3)
    count = [sum(p.numel() for p in network.parameters()) for network in (small, large)]
    assert count[0] < count[1]
    stack = Stack([large, encoder(3)]).train()
    stack("forward", torch.ones(2, 3, BANDS, FRAMES)).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in stack.parameters() if p.grad is not None)
