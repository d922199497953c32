import importlib.util

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from consilience.core.errors import ConsilienceError
from consilience.encoders.signal_networks import (
    DEPTH,
    FILTERS,
    LIBRARY,
    EegNet,
    Filters,
    SignalEncoder,
)
from consilience.model.stack import Stack

CHANNELS, SAMPLES, RATE_HZ = 5, 96, 32.0


def signals(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def encoder(network: str = "EEGNet", dropout: float = 0.5) -> SignalEncoder:
    torch.manual_seed(0)
    made = SignalEncoder(CHANNELS, 6, dropout, network, RATE_HZ)
    made(torch.zeros(1, CHANNELS, SAMPLES))
    return made


def test_a_filter_is_a_depthwise_convolution_that_keeps_the_length() -> None:
    filters, maps = Filters(3, 7), signals(2, 3, 20)
    expected = nn.functional.conv1d(maps, filters.taps.flip(1)[:, None], padding=3, groups=3)
    assert_close(filters(maps), expected)


def test_space_before_time_is_time_before_space() -> None:
    """Lawhern et al. filter every channel over time, then weigh the channels, filter by filter."""
    network, values = EegNet(CHANNELS, SAMPLES, 6, 0.0, RATE_HZ), signals(2, CHANNELS, SAMPLES)
    space = network.space.detach() * 0.1  # short enough to be left as it is
    network.space = nn.Parameter(space)
    seen: list[torch.Tensor] = []
    network.rest[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(values)

    filtered = torch.stack([network.time(row.expand(FILTERS, -1)) for row in values.flatten(0, 1)])
    filtered = filtered.reshape(2, CHANNELS, FILTERS, SAMPLES)
    weights = space.reshape(DEPTH, FILTERS, CHANNELS)
    expected = torch.einsum("bcft,dfc->bdft", filtered, weights).flatten(1, 2)
    assert_close(seen[0], expected, atol=1e-5, rtol=1e-4)


def test_weights_over_space_are_at_most_of_length_one() -> None:
    network, values = EegNet(CHANNELS, SAMPLES, 6, 0.0, RATE_HZ), signals(2, CHANNELS, SAMPLES)
    network.space = nn.Parameter(10 * network.space.detach())
    before = network(values)
    network.space = nn.Parameter(10 * network.space.detach())
    assert_close(network(values), before)


def test_runs_side_by_side_read_each_window_as_if_it_were_alone() -> None:
    networks = [encoder().eval(), encoder().eval()]
    stack, values = Stack(networks).eval(), signals(2, 4, CHANNELS, SAMPLES)
    together = stack("forward", values)
    for run, network in enumerate(networks):
        alone = torch.cat([network(window[None]) for window in values[run]])
        assert_close(together[run], alone, atol=1e-5, rtol=1e-4)


def test_dropout_is_drawn_by_the_stack_and_gradients_reach_all_weights() -> None:
    stack, values = Stack([encoder(), encoder()]).train(), signals(1, 4, CHANNELS, SAMPLES)
    first, second = stack("forward", values.expand(2, -1, -1, -1))
    assert not torch.equal(first, second)
    stack("forward", values.expand(2, -1, -1, -1)).square().sum().backward()
    for name, weight in stack.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert (weight.grad != 0).any(), name


def test_it_takes_mixed_precision() -> None:
    network, values = encoder(dropout=0.0), signals(2, CHANNELS, SAMPLES)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(values)
    assert_close(mixed.float(), network(values), atol=0.1, rtol=0.1)


def test_a_window_too_short_is_refused() -> None:
    with pytest.raises(ConsilienceError, match="too short for EEGNet"):
        SignalEncoder(CHANNELS, 6, 0.5, "EEGNet", RATE_HZ)(torch.zeros(1, CHANNELS, 20))


@pytest.mark.skipif(importlib.util.find_spec("braindecode") is None, reason="no braindecode")
@pytest.mark.parametrize("network", LIBRARY)
def test_networks_of_braindecode_are_trained_side_by_side(network: str) -> None:
    made = SignalEncoder(CHANNELS, 6, 0.5, network, 128.0)
    values = signals(2, 2, CHANNELS, 512)
    made(values[0, :1])
    stack = Stack([made, made])
    stack.train()("forward", values).square().sum().backward()
    assert all((weight.grad != 0).any() for weight in stack.parameters() if weight.grad is not None)
    together = stack.eval()("forward", values)
    assert together.shape == (2, 2, 6)
    assert_close(together[:, :1], stack("forward", values[:, :1]), atol=1e-4, rtol=1e-3)


@pytest.mark.skipif(importlib.util.find_spec("braindecode") is not None, reason="it is there")
def test_a_network_that_is_not_installed_is_named_with_the_remedy() -> None:
    with pytest.raises(ConsilienceError, match=r"braindecode.*pip install"):
        SignalEncoder(CHANNELS, 6, 0.5, "Deep4Net", 128.0)(torch.zeros(1, CHANNELS, 512))
