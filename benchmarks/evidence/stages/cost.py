"""Stage ``cost``: ``python -m benchmarks.evidence.stages.cost``."""

from __future__ import annotations

from benchmarks.evidence import cost, plan, stages
from benchmarks.evidence.study import Study
from consilience.core.files import write_json


def main(study: Study) -> None:
    """Measure what every method costs; write ``data/cost.json``."""
    write_json(study.cost, cost.measure(plan.load(study.plan_file), study.root, study.store))


if __name__ == "__main__":
    stages.run(main)
