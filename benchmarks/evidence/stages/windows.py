"""Stage ``windows``: ``python -m benchmarks.evidence.stages.windows CORPUS``."""

from __future__ import annotations

from benchmarks.evidence import stages
from benchmarks.evidence.study import Study
from consilience.preparation import recordings_to_windows


def main(study: Study, name: str) -> None:
    """Process the recordings of a corpus up to its windows, corrupted ones included."""
    recordings_to_windows(study.corpus(name))


if __name__ == "__main__":
    stages.run(main)
