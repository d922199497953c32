"""Checks that temporary files and blocks change no result of a sensor."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest


def check_blocks_change_nothing(
    compute: Callable[[], list[np.ndarray]],
    sizes: list[tuple[ModuleType, str, int]],
    monkeypatch: pytest.MonkeyPatch,
    atol: float,
) -> None:
    """Compare results with those of other block sizes, given by module and name."""
    at_once = [values.copy() for values in compute()]
    for module, name, size in sizes:
        monkeypatch.setattr(module, name, size)
    for one, other in zip(at_once, compute(), strict=True):
        assert np.allclose(one, other, atol=atol, equal_nan=True)
