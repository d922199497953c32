"""Stage ``unpack``: ``python -m benchmarks.evidence.stages.unpack CORPUS``."""

from __future__ import annotations

from benchmarks.evidence import plan, stages
from benchmarks.evidence.study import Study
from benchmarks.evidence.unpack import unpack
from consilience.core.errors import ConsilienceError


def main(study: Study, name: str) -> None:
    """Unpack the archive of a corpus into the root that its ``params.yaml`` names."""
    source = plan.load(study.plan_file).corpora[name]
    if source.archive is None:
        raise ConsilienceError(f"{name} has no archive", str(study.plan_file))
    folder = study.root / name
    unpack(folder / source.archive, folder / source.root)


if __name__ == "__main__":
    stages.run(main)
