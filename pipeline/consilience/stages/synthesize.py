"""Stage ``synthesize``: the demonstration corpus."""

from __future__ import annotations

from consilience.synthesis.run import synthesize

stage = synthesize
