"""Several networks of equal shape as one module: all folds and seeds trained together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.functional import dropout
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from consilience.model import draws

RANDOM = {"rand", "randn", "randint", "random", "uniform", "normal", "bernoulli", "multinomial"}


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
    generators : sequence of torch.Generator
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
        self.generators = draws.generators("dropout", [(n,) for n in range(len(networks))], "cpu")
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
        weights = {name.replace("/", "."): value for name, value in self.weights.items()}
        if len(self.generators) == 1 and not self.training:
            # Without vmap, whose overhead is three quarters of a prediction for one window.
            alone = tree_map(itemgetter(0), (weights, stacked))
            output = functional_call(call, alone[0], (function, alone[1], *shared))
            return tree_map(lambda value: value[None], output)

        def call_run(weights: dict[str, Any], run_inputs: Any, run: Tensor) -> Any:
            with _RunDropout(self.generators, run):
                return functional_call(call, weights, (function, run_inputs, *shared))

        runs = torch.arange(len(self.generators), device=next(iter(weights.values())).device)
        # "same" lets the replaced dropout draw for all runs at once; it rejects other draws.
        return torch.vmap(call_run, randomness="same")(weights, stacked, runs)

    @torch.no_grad()
    def network(self, run: int) -> nn.Module:
        """Return a copy of the network of one run, as a module of its own.

        Of a stack that has not been called yet: `functional_call` leaves tensors of its own in
        networks whose parts share parameters, which cannot be copied.
        """
        call = copy.deepcopy(self._call[0])
        # By parameter and not by state: parts of a network share some, which are listed once.
        for name, parameter in call.named_parameters():
            parameter.copy_(self.weights[name.replace(".", "/")][run])
        network: nn.Module = call.network.train(self.training)
        return network

    def keep(self, runs: Sequence[int]) -> None:
        """Remove all other runs in place; the weights remain the same parameters, for an optimiser.

        Parameters
        ----------
        runs : sequence of int
            Positions of the runs that remain.
        """
        for weight in self.weights.values():
            weight.data, weight.grad = weight.data[list(runs)], None
        self.generators = [self.generators[run] for run in runs]


class _RunDropout(TorchFunctionMode):
    """Draw the dropout of each run from that run's generator, independently of the other runs.

    Any other random function raises a RuntimeError.
    """

    def __init__(self, generators: Sequence[torch.Generator], run: Tensor) -> None:
        super().__init__()
        self._generators, self._run = generators, run

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is dropout:
            return self._dropout(*args, **(kwargs or {}))
        if getattr(function, "__name__", "").rstrip("_").removesuffix("_like") in RANDOM:
            raise RuntimeError(f"a network may use no randomness but dropout: {function}")
        return function(*args, **(kwargs or {}))

    def _dropout(
        self, values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or p == 0:
            return values
        # The shape of one run: this is called inside vmap.
        masks = draws.kept(self._generators, values.shape, p)
        factors = masks.to(values.dtype).mul_(1 / (1 - draws.dropped_share(p)))
        # Inside vmap the run's number is a batched tensor, so only tensor indexing selects by it.
        return values * factors.index_select(0, self._run[None])[0]


class _MethodCall(nn.Module):
    """Expose any method of a network as `forward`, the only one `functional_call` calls."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, function: str, *arguments: Any) -> Any:
        return getattr(self.network, function)(*arguments)
