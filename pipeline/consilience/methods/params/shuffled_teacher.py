"""Parameters of the shuffled-teacher control."""

from __future__ import annotations

from consilience.methods.params import coherence_transfer


class Params(coherence_transfer.Params):
    """Those of coherence transfer."""
