"""Training on one or several devices: one process each, with a share of the runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import nn

from consilience.core.errors import ConsilienceError

VARIABLE = "CONSILIENCE_DEVICES"


def launch(function: Callable[[Fabric], None], n_runs: int) -> None:
    """Call a function in one process a device.

    The environment variable ``CONSILIENCE_DEVICES`` sets their number; by default, all CUDA
    devices, or one on a CPU. There are never more than runs. The number changes the speed, and of
    a result at most the last bits, so it is not a parameter. With a single device no process is
    started.

    Parameters
    ----------
    function : callable
        At a module's top level, or a `functools.partial` of one. Each process takes the runs
        ``fabric.global_rank :: fabric.world_size``.
    n_runs : int

    Raises
    ------
    ConsilienceError
        If the variable is not a number from 1 to the number of devices.
    """
    cuda = torch.cuda.is_available()
    n_devices = min(_wanted(torch.cuda.device_count() if cuda else None), n_runs)
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=n_devices,
        strategy=_Independent(start_method="spawn") if n_devices > 1 else "auto",
        precision=_precision(cuda),
    )
    fabric.launch(function)


class _Independent(DDPStrategy):
    """Distributed processes without gradient averaging: no two of them share a run."""

    def setup_module(self, module: nn.Module) -> Any:
        return module


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
