"""Parameters of late fusion."""

from __future__ import annotations

from consilience.schema.params.plugins import MethodParams


class Params(MethodParams):
    """Late fusion has no parameters."""
