"""Parameters of the hybrid with an energy gate."""

from __future__ import annotations

from consilience.methods.params import hybrid


class Params(hybrid.Params):
    """Those of the hybrid: the gate is fitted after the training and has no parameter."""
