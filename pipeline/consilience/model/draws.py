"""Random draws of stacked runs on their device, one generator per run.

A generator's state follows from its seed alone, so a run draws the same numbers whatever runs share
its stack. On CUDA the generators are counter-based (Philox), and nothing is drawn on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from consilience.core.seeds import seed_from

RESOLUTION = 256  # a probability is a number of 256ths: one random byte per decision

Generators = Sequence[torch.Generator]


def generators(
    purpose: str, names: Sequence[tuple[object, ...]], device: torch.device | str
) -> list[torch.Generator]:
    """Return a generator for each run, seeded by a purpose and the run's names."""
    return [torch.Generator(device).manual_seed(seed_from(purpose, *name)) for name in names]


def normal(draw_from: Generators, shape: Sequence[int]) -> Tensor:
    """Draw standard normal numbers of a shape from every generator: (R, *shape), float32."""
    return _drawn(draw_from, shape, Tensor.normal_)


def uniform(draw_from: Generators, shape: Sequence[int]) -> Tensor:
    """Draw numbers from 0 to 1 of a shape from every generator: (R, *shape), float32."""
    return _drawn(draw_from, shape, Tensor.uniform_)


def _drawn(draw_from: Generators, shape: Sequence[int], fill: Callable[..., Tensor]) -> Tensor:
    values = torch.empty(len(draw_from), *shape, device=draw_from[0].device)
    for of_run, draw in zip(values, draw_from, strict=True):
        fill(of_run, generator=draw)
    return values


def kept(draw_from: Generators, shape: Sequence[int], dropped: float) -> Tensor:
    """Draw which of the values are kept: bool, shape (R, *shape).

    Parameters
    ----------
    draw_from : sequence of Generator
    shape : sequence of int
    dropped : float
        Probability that a value is dropped; see `dropped_share`.
    """
    n_values = torch.Size(shape).numel()
    # Whole words cost a sixth of as many single draws.
    words = torch.empty(
        len(draw_from), -(-n_values // 8), dtype=torch.int64, device=draw_from[0].device
    )
    for of_run, draw in zip(words, draw_from, strict=True):
        of_run.random_(-(2**63), None, generator=draw)
    chosen = words.view(torch.uint8)[:, :n_values]
    return chosen.reshape(len(draw_from), *shape) >= round(dropped * RESOLUTION)


def dropped_share(dropped: float) -> float:
    """Return the probability that `kept` drops a value: the nearest number of 256ths."""
    return round(dropped * RESOLUTION) / RESOLUTION
