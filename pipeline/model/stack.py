"""Many runs of one network as one: parameters stacked, folds and seeds trained together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, stack_module_state


class Stack(nn.Module):
    """Networks of equal shape, run side by side by `torch.vmap`.

    On a CPU this is several times faster than one after another: the matrix products are
    batched and the overhead of a step is paid once.

    Parameters
    ----------
    networks : sequence of Module
        One per run, all built alike; their parameters are copied.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        calls = [_Call(network) for network in networks]
        weights, self._buffers_stacked = stack_module_state(calls)
        self.weights = nn.ParameterDict(
            {
                name.replace(".", "/"): nn.Parameter(value.detach())
                for name, value in weights.items()
            }
        )
        self._call = (calls[0],)  # a tuple hides it: its own parameters are not trained

    def forward(self, function: str, stacked: Any, *shared: Any) -> Any:
        """Call a method of every network on its own slice of `stacked`.

        Parameters
        ----------
        function : str
            Name of the networks' method.
        stacked : pytree of Tensor
            Leading axis: runs.
        *shared : object
            Further arguments, the same for every run.

        Returns
        -------
        pytree of Tensor
            Leading axis: runs.
        """
        call = self._call[0].train(self.training)

        def one(weights: dict[str, Any], own: Any) -> Any:
            return functional_call(call, weights, (function, own, *shared))

        weights = {name.replace("/", "."): value for name, value in self.weights.items()}
        return torch.vmap(one, randomness="different")(weights, stacked)


class _Call(nn.Module):
    """Reaches any method of a network through `forward`, which is all functional calls know."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, function: str, *arguments: Any) -> Any:
        return getattr(self.network, function)(*arguments)
