"""Stage ``synthesize``: ``python -m consilience.stages.synthesize CORPUS``."""

from __future__ import annotations

from consilience import stages
from consilience.synthesis.run import synthesize

if __name__ == "__main__":
    stages.run(synthesize)
