"""Checkpoints of a training: tensors with the runs along the first axis, in one file.

Each process holds every ``world_size``-th run. The file holds all runs in their order, so that a
training can be resumed on another number of devices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from consilience.core.files import intact, write_bytes


def write_checkpoint(path: Path, fabric: Any, share: Mapping[str, Tensor]) -> None:
    """Write the state of all processes' runs.

    Safetensors instead of pickle: loading a file cannot execute code.

    Parameters
    ----------
    path : Path
    fabric : Fabric
        Every process must call this function; the first one writes.
    share : mapping of str to Tensor, shape (R, ...)
        State of this process's runs.
    """
    local = {name: value.detach().cpu() for name, value in share.items()}
    ranks = range(fabric.world_size)
    shares = [fabric.broadcast(local, src=rank) for rank in ranks]
    n_runs = sum(len(of_rank["best_epoch"]) for of_rank in shares)
    whole = {name: value.new_empty(n_runs, *value.shape[1:]) for name, value in local.items()}
    for rank, of_rank in zip(ranks, shares, strict=True):
        for name, value in of_rank.items():
            whole[name][rank :: len(ranks)] = value
    if fabric.is_global_zero:
        write_bytes(path, save(whole, {"sha256": _hash(whole)}))


def read_checkpoint(path: Path, rank: int = 0, world_size: int = 1) -> dict[str, Tensor]:
    """Read the state of one process's runs; by default, of all runs.

    Parameters
    ----------
    path : Path
    rank, world_size : int
        Number of the process, and of processes.

    Returns
    -------
    dict of str to Tensor, shape (R, ...)

    Raises
    ------
    DamagedFileError
        If the file is missing, cut or changed.
    """
    tensors = intact(path, lambda: _verified(path))
    return {name: value[rank::world_size].clone() for name, value in tensors.items()}


def _verified(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        expected = (file.metadata() or {}).get("sha256")
    if expected != _hash(tensors):
        raise ValueError("the content does not match its hash")
    return tensors


def _hash(tensors: Mapping[str, Tensor]) -> str:
    """Return the hash of names, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}
