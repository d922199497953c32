"""Training on one or several devices: one process each, with a share of the runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from consilience.core.errors import ConsilienceError
from consilience.core.workers import workers

VARIABLE = "CONSILIENCE_DEVICES"
TORCHRUN = "TORCHELASTIC_RUN_ID"  # set in the processes that torchrun starts

Result = TypeVar("Result")


class OneProcess:
    """Stand-in for Lightning Fabric where a single process trains on the CPU."""

    global_rank, world_size, is_global_zero = 0, 1, True

    def to_device(self, values: Tensor) -> Tensor:
        """Return the tensor itself."""
        return values

    def setup(
        self, module: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Return both as they are."""
        return module, optimizer

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients."""
        loss.backward()

    def all_reduce(self, values: Tensor, reduce_op: str) -> Tensor:
        """Return the values of the only process."""
        return values

    def broadcast(self, local: Any, src: int) -> Any:
        """Return the value of the only process."""
        return local


def use_cores(n_runs: int) -> None:
    """Let torch use the available cores for a stack, at most one for each run.

    Threads then share out whole runs, and the sums of a run are added in the same order whatever
    their number: it changes the speed, and no result. ``CONSILIENCE_WORKERS`` and
    ``OMP_NUM_THREADS`` limit it.
    """
    limit = os.environ.get("OMP_NUM_THREADS", "")
    cores = min(workers(), int(limit)) if limit.isdecimal() else workers()
    torch.set_num_threads(max(min(cores, n_runs), 1))


def launch(function: Callable[[Any], Result], n_runs: int) -> Result:
    """Call a function in one process a device.

    The environment variable ``CONSILIENCE_DEVICES`` sets their number; by default, all CUDA
    devices, or one on a CPU. There are never more than runs. The number changes the speed, and of
    a result at most the last bits, so it is not a parameter. With a single device no process is
    started. Lightning Fabric is imported only for CUDA or several processes.

    Under torchrun, the processes are those that it started, on one or several machines; all but the
    first end here.

    Parameters
    ----------
    function : callable
        At a module's top level, or a `functools.partial` of one. Each process takes the runs
        ``fabric.global_rank :: fabric.world_size``.
    n_runs : int

    Returns
    -------
    object
        What the function returned, in the first process.

    Raises
    ------
    ConsilienceError
        If the variable is not a number from 1 to the number of devices, or torchrun started more
        processes than there are runs.
    """
    cuda = torch.cuda.is_available()
    if TORCHRUN in os.environ:
        return _launched_by_torchrun(function, n_runs, cuda)
    n_devices = min(_wanted(torch.cuda.device_count() if cuda else None), n_runs)
    if not cuda and n_devices == 1:
        return function(OneProcess())
    from lightning_fabric import Fabric

    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=n_devices,
        strategy=_independent("spawn") if n_devices > 1 else "auto",
        precision=_precision(cuda),
    )
    result: Result = fabric.launch(function)
    return result


def _launched_by_torchrun(function: Callable[[Any], Result], n_runs: int, cuda: bool) -> Result:
    """Call a function in this process, one of those that torchrun started; go on in the first."""
    from lightning_fabric import Fabric

    n_processes = int(os.environ["WORLD_SIZE"])
    if n_processes > n_runs:
        remedy = f"start at most {n_runs}, one for each fold and seed"
        raise ConsilienceError(f"{n_processes} processes for {n_runs} runs", "torchrun", remedy)
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=int(os.environ["LOCAL_WORLD_SIZE"]),
        num_nodes=int(os.environ["GROUP_WORLD_SIZE"]),
        strategy=_independent("popen"),  # which starts no process under torchrun
        precision=_precision(cuda),
    )
    result: Result = fabric.launch(function)
    torch.distributed.destroy_process_group()
    if not fabric.is_global_zero:
        raise SystemExit(0)
    return result


def _independent(start_method: Literal["popen", "spawn"]) -> Any:
    """Return a strategy without gradient averaging: no two processes share a run."""
    from consilience.training.independent import Independent

    return Independent(start_method=start_method)


def _wanted(n_cuda: int | None) -> int:
    """Return the requested number of devices; `n_cuda` is None on a CPU, without a maximum."""
    text = os.environ.get(VARIABLE) or str(n_cuda or 1)
    if not text.isdecimal() or not 1 <= int(text) <= (n_cuda or int(text)):
        allowed = f"1 to {n_cuda}" if n_cuda else "1 or more"
        raise ConsilienceError(f"invalid device count: '{text}'", VARIABLE, f"use {allowed}")
    return int(text)


def _precision(cuda: bool) -> Any:
    if not cuda:
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
