from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from consilience.core import registry
from consilience.encoders.functionals import FunctionalsEncoder
from consilience.methods.base import Method
from consilience.model.types import Batch

SENSORS = ("eeg", "audio", "video")
CLASSES, WIDTH, FEATURES, WINDOWS = 4, 8, 5, 12


def _build(name: str, seed: int = 0, dropout: float = 0.0, **settings: object) -> Method:
    torch.manual_seed(seed)
    kind = registry.get("methods", name)
    encoders = {sensor: FunctionalsEncoder(FEATURES, WIDTH, dropout) for sensor in SENSORS}
    for encoder in encoders.values():
        encoder(torch.zeros(1, FEATURES))
    network: Method = kind(encoders, CLASSES, WIDTH, dropout, kind.Params(**settings))
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return network.eval()


def _windows(seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(WINDOWS, FEATURES, generator=generator) for name in SENSORS}


def _masks() -> Tensor:
    rows = [[bool(n & 1), bool(n & 2), bool(n & 4)] for n in range(8)]
    return torch.tensor((rows * 2)[:WINDOWS]).float()


def _batch(seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    target = torch.eye(CLASSES)[torch.arange(WINDOWS) % CLASSES]
    target[3] = torch.nan
    available = _masks()
    clean, noise = _windows(seed), _windows(seed + 100)
    inputs = {
        name: torch.where(available[:, m, None] > 0, clean[name] + 0.3 * noise[name], 0.0)
        for m, name in enumerate(SENSORS)
    }
    return Batch(
        inputs=inputs,
        available=available,
        clean=clean,
        present=torch.ones(WINDOWS, 3),
        target=target,
        affect=torch.full((WINDOWS, 2), 0.5),
        consensus=torch.rand(WINDOWS, CLASSES, generator=generator).softmax(-1),
        label_estimate=torch.full((WINDOWS, CLASSES), 1 / CLASSES),
        sensor_weight=torch.ones(WINDOWS, 3),
        label_reliability=torch.tensor(1.0),
        disagreement=torch.tensor(0.0),
    )


@pytest.fixture
def build() -> Callable[..., Method]:
    """A method by name, over three sensors, with weights off their starting points."""
    return _build


@pytest.fixture
def windows() -> Callable[..., dict[str, Tensor]]:
    return _windows


@pytest.fixture
def masks() -> Tensor:
    """Every combination of the sensors, nothing included, and some of them again."""
    return _masks()


@pytest.fixture
def batch() -> Batch:
    """Windows with every combination of sensors left, of which one (3) has no label."""
    return _batch()
