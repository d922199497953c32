"""One device or several: Lightning Fabric's processes, each with some of the runs."""

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

    All CUDA devices, or one on a CPU, unless ``CONSILIENCE_DEVICES`` says how many; never more
    than there are runs. The number changes the speed and no result beyond its last bits, and so
    is no parameter. With a single device no process is started.

    Parameters
    ----------
    function : callable
        Of a module's top level, or a `functools.partial` of one. Each process takes the runs that
        ``fabric.global_rank`` and ``fabric.world_size`` say.
    n_runs : int

    Raises
    ------
    ConsilienceError
        If the variable is no number of devices this machine has.
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
    """Its processes and their messages, without averaged gradients: no two share a run."""

    def setup_module(self, module: nn.Module) -> Any:
        return module


def _wanted(n_cuda: int | None) -> int:
    """Return the number of devices asked for; `n_cuda` is None on a CPU, where any will do."""
    text = os.environ.get(VARIABLE) or str(n_cuda or 1)
    if not text.isdecimal() or not 1 <= int(text) <= (n_cuda or int(text)):
        known = f"1 to {n_cuda}" if n_cuda else "1 or more"
        raise ConsilienceError(f"'{text}' is no number of devices", VARIABLE, f"use {known}")
    return int(text)


def _precision(cuda: bool) -> Any:
    if not cuda:
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
