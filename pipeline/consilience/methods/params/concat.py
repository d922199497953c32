"""Parameters of concatenation."""

from __future__ import annotations

from consilience.schema.params.plugins import MethodParams


class Params(MethodParams):
    """Concatenation has no parameters."""
