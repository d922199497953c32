"""Parameters of dynamic modality selection."""

from __future__ import annotations

from consilience.methods.params import hybrid


class Params(hybrid.Params):
    """Those of the hybrid: the selection is made at prediction and has no parameter."""
