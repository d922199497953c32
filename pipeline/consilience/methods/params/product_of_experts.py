"""Parameters of the product of experts."""

from __future__ import annotations

from consilience.schema.params.plugins import MethodParams


class Params(MethodParams):
    """The product of experts has no parameters."""
