"""Encoder of functionals of square roots, for intensities."""

from __future__ import annotations

from torch import Tensor

from consilience.encoders.functionals import FunctionalsEncoder


class RootEncoder(FunctionalsEncoder):
    """Functionals encoder over square roots, which make intensities from 0 on less skewed."""

    def prepare(self, windows: Tensor) -> Tensor:
        """Summarise the square roots of non-negative windows."""
        return super().prepare(windows.clamp(min=0).sqrt())


encoder = RootEncoder
