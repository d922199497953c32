import torch
from torch.testing import assert_close

from consilience.encoders.spectrogram import SpectrogramEncoder
from consilience.model.stack import Stack

BANDS, FRAMES = 4, 24


def encoder(layers: int = 2) -> SpectrogramEncoder:
    torch.manual_seed(0)
    return SpectrogramEncoder(BANDS, 6, 0.5, channels=8, layers=layers)


def windows(n: int, n_frames: int = FRAMES) -> torch.Tensor:
    return torch.randn(n, n_frames, BANDS, generator=torch.Generator().manual_seed(2))


def test_frames_that_were_observed_fill_the_window() -> None:
    given = windows(1, 6)
    given[0, [0, 3]] = torch.nan
    prepared = encoder().prepare(given)[0].T
    assert_close(prepared, given[0, [1, 2, 4, 5, 1, 2]])


def test_padding_changes_neither_mean_nor_deviation() -> None:
    short = windows(3, 12)
    padded = torch.cat([short, torch.full_like(short, torch.nan)], 1)
    repeated, expected = encoder().prepare(padded), short.transpose(1, 2)
    assert_close(repeated.mean(-1), expected.mean(-1))
    assert_close(repeated.std(-1, correction=0), expected.std(-1, correction=0))


def test_a_window_in_which_nothing_was_observed_is_zero() -> None:
    assert (encoder().prepare(torch.full((2, FRAMES, BANDS), torch.nan)) == 0).all()


def test_runs_side_by_side_read_each_window_as_if_it_were_alone() -> None:
    networks = [encoder().eval(), encoder(2).eval()]
    prepared = torch.stack([networks[0].prepare(windows(5))] * 2)
    together = Stack(networks).eval()("forward", prepared)
    alone = torch.cat([networks[1](window[None]) for window in prepared[1]])
    assert_close(together[1], alone, atol=1e-5, rtol=1e-4)


def test_size_is_chosen_and_gradients_are_finite_where_nothing_moves() -> None:
    small, large = encoder(1), encoder(3)
    count = [sum(p.numel() for p in network.parameters()) for network in (small, large)]
    assert count[0] < count[1]
    stack = Stack([large, encoder(3)]).train()
    stack("forward", torch.ones(2, 3, BANDS, FRAMES)).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in stack.parameters() if p.grad is not None)
