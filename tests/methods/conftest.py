from collections.abc import Callable

import pytest
from torch import Tensor

from consilience.core import registry
from consilience.methods.base import Method
from consilience.model.types import Batch
from consilience.testing import method


def _build(name: str, seed: int = 0, dropout: float = 0.0, **settings: object) -> Method:
    case = method.MethodCase(registry.get("methods", name), settings)
    return case.network(seed, dropout)


@pytest.fixture
def build() -> Callable[..., Method]:
    """A method by name, over three sensors, with weights off their starting points."""
    return _build


@pytest.fixture
def windows() -> Callable[..., dict[str, Tensor]]:
    return method.windows


@pytest.fixture
def masks() -> Tensor:
    """Every combination of the sensors, nothing included, and some of them again."""
    return method.masks()


@pytest.fixture
def batch() -> Batch:
    """Windows with every combination of sensors left, of which one (3) has no label."""
    return method.batch()
