"""What every method of the experiments costs: ``python -m pipeline.stages.cost``."""

from __future__ import annotations

from pathlib import Path

from pipeline.files import write_json
from pipeline.stages import run
from pipeline.stages.experiment import PLAN, STORE

OUTPUT = Path("data/cost.json")


def main() -> None:
    """Measure and write ``data/cost.json``."""
    from pipeline.experiments import cost, plan  # slow to import

    write_json(OUTPUT, cost.measure(plan.load(PLAN), Path(), STORE))


if __name__ == "__main__":
    run(main)
