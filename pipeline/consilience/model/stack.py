"""Several networks of equal shape as one module: all folds and seeds trained together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.functional import dropout
from torch.overrides import TorchFunctionMode

from consilience.core.seeds import generator


class Stack(nn.Module):
    """Networks of equal shape, evaluated side by side by `torch.vmap`.

    On a CPU this is several times faster than one after another: the matrix products are
    batched and the overhead of a step is paid once.

    Parameters
    ----------
    networks : sequence of Module
        One per run, all of the same architecture; their parameters are copied.

    Attributes
    ----------
    generators : sequence of numpy.random.Generator
        One per run, from which its dropout is drawn; the trainer replaces them every epoch.
        Networks may use no other randomness.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        calls = [_MethodCall(network) for network in networks]
        weights, self._buffers_stacked = stack_module_state(calls)
        # ParameterDict does not accept dots in names.
        self.weights = nn.ParameterDict(
            {
                name.replace(".", "/"): nn.Parameter(value.detach())
                for name, value in weights.items()
            }
        )
        self.generators = [generator("dropout", run) for run in range(len(networks))]
        # In a tuple, so that Module does not register the first network's own parameters.
        self._call = (calls[0],)

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

        def call_run(weights: dict[str, Any], run_inputs: Any, run: Tensor) -> Any:
            with _RunDropout(self.generators, run):
                return functional_call(call, weights, (function, run_inputs, *shared))

        weights = {name.replace("/", "."): value for name, value in self.weights.items()}
        runs = torch.arange(len(self.generators), device=next(iter(weights.values())).device)
        # Any random function but dropout, which is replaced below, raises an error.
        return torch.vmap(call_run, randomness="error")(weights, stacked, runs)


class _RunDropout(TorchFunctionMode):
    """Draw the dropout of each run from that run's generator.

    The masks then depend neither on the other runs of the stack nor on the device.
    """

    def __init__(self, generators: Sequence[np.random.Generator], run: Tensor) -> None:
        super().__init__()
        self._generators, self._run = generators, run

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        called = self._dropout if function is dropout else function
        return called(*args, **(kwargs or {}))

    def _dropout(
        self, values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or p == 0:
            return values
        shape = tuple(values.shape)  # of one run: this is called inside vmap
        masks = np.stack([draw.random(shape, np.float32) >= p for draw in self._generators])
        # Inside vmap the run's number is a batched tensor, so only tensor indexing selects by it.
        mask = torch.from_numpy(masks).to(values.device).index_select(0, self._run[None])[0]
        return torch.where(mask, values / (1 - p), 0.0)


class _MethodCall(nn.Module):
    """Expose any method of a network as `forward`, the only one `functional_call` calls."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, function: str, *arguments: Any) -> Any:
        return getattr(self.network, function)(*arguments)
