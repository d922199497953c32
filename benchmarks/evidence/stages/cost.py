"""What every method of the experiments costs: ``python -m benchmarks.evidence.stages.cost``."""

from __future__ import annotations

from pathlib import Path

from benchmarks.evidence.stages.experiment import PLAN, STORE
from consilience.core.files import write_json
from consilience.project import Project
from consilience.stages import run

OUTPUT = Path("data/cost.json")


def main(_: Project) -> None:
    """Measure and write ``data/cost.json``."""
    from benchmarks.evidence import cost, plan  # slow to import

    write_json(OUTPUT, cost.measure(plan.load(PLAN), Path(), STORE))


if __name__ == "__main__":
    run(main)
