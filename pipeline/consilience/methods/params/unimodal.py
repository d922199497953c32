"""Parameters of dedicated models."""

from __future__ import annotations

from consilience.schema.params.plugins import MethodParams


class Params(MethodParams):
    """Dedicated models have no parameters."""
