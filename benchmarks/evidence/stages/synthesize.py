"""Stage ``synthesize``: ``python -m benchmarks.evidence.stages.synthesize CORPUS``."""

from __future__ import annotations

from benchmarks.evidence import stages
from benchmarks.evidence.study import Study
from consilience.synthesis.run import synthesize


def main(study: Study, name: str) -> None:
    """Write the recordings and the ground truth of a synthetic corpus into its folder."""
    synthesize(study.corpus(name), name)


if __name__ == "__main__":
    stages.run(main)
