"""Stage ``tune``: ``python -m benchmarks.evidence.stages.tune EXPERIMENT``."""

from __future__ import annotations

from benchmarks.evidence import plan, stages, tuning
from benchmarks.evidence.study import Study
from consilience.core.errors import ConsilienceError
from consilience.core.files import write_json


def main(study: Study, name: str) -> None:
    """Train every entry of an experiment with every setting; write ``data/tuning/NAME.json``."""
    planned = plan.load(study.plan_file)
    if name not in planned.tuned:
        names = ", ".join(planned.tuned)
        raise ConsilienceError(f"not tuned: {name}", str(study.plan_file), f"use one of {names}")
    write_json(study.tuning(name), tuning.tune(planned, name, study.root, study.store))


if __name__ == "__main__":
    stages.run(main)
