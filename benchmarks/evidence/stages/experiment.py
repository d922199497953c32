"""Stage ``experiment``: ``python -m benchmarks.evidence.stages.experiment EXPERIMENT``."""

from __future__ import annotations

from benchmarks.evidence import plan, runner, stages, tuning
from benchmarks.evidence.study import Study
from consilience.core.errors import ConsilienceError


def main(study: Study, name: str) -> None:
    """Train and test every entry of an experiment; write ``data/results/NAME``."""
    planned = plan.load(study.plan_file)
    if name not in planned.experiments:
        names = ", ".join(planned.experiments)
        raise ConsilienceError(
            f"unknown experiment {name}", str(study.plan_file), f"use one of {names}"
        )
    tuned = planned.experiments[name].chosen_on
    chosen = tuning.load(study.tuning(tuned)) if tuned else None
    runner.run(planned, name, study.root, study.store, study.results / name, chosen)


if __name__ == "__main__":
    stages.run(main)
