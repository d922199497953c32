"""Stage ``code``: ``python -m benchmarks.evidence.stages.code``; DVC runs it every time."""

from __future__ import annotations

from benchmarks.evidence import stages
from benchmarks.evidence.study import write_fingerprints

if __name__ == "__main__":
    stages.run(write_fingerprints)
