"""Distributed processes without gradient averaging: no two of them share a run.

In a module of its own, because Lightning Fabric is imported only where several processes train, and
the processes that it starts must find the class by its name.
"""

from __future__ import annotations

from typing import Any

from lightning_fabric.strategies import DDPStrategy
from torch import nn


class Independent(DDPStrategy):
    """Strategy of Lightning Fabric that leaves the module as it is."""

    def setup_module(self, module: nn.Module) -> Any:
        """Return the module itself: its gradients are not averaged."""
        return module
