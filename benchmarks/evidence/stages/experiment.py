"""Run one experiment: ``python -m benchmarks.evidence.stages.experiment NAME``."""

from __future__ import annotations

from pathlib import Path

from consilience.core.errors import ConsilienceError
from consilience.project import Project
from consilience.stages import run

PLAN = Path("experiments.yaml")
STORE = Path("data/.store/experiments")
TUNING = Path("data/tuning")
RESULTS = Path("data/results")


def main(_: Project, name: str) -> None:
    """Train and test every entry of an experiment; write ``data/results/NAME``."""
    from benchmarks.evidence import plan, runner, tuning  # slow to import

    planned = plan.load(PLAN)
    if name not in planned.experiments:
        known = ", ".join(planned.experiments)
        raise ConsilienceError(f"there is no experiment '{name}'", str(PLAN), f"known: {known}")
    tuned = planned.experiments[name].chosen_on
    chosen = tuning.load(TUNING / f"{tuned}.json") if tuned else None
    runner.run(planned, name, Path(), STORE, RESULTS / name, chosen)


if __name__ == "__main__":
    run(main)
