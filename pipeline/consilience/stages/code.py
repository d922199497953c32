"""Stage ``code``: ``python -m consilience.stages.code``; DVC runs it every time."""

from __future__ import annotations

from consilience import stages
from consilience.stage_code import write_fingerprints

if __name__ == "__main__":
    stages.run(write_fingerprints)
