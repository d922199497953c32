"""Tune an experiment's entries: ``python -m benchmarks.evidence.stages.tune NAME``."""

from __future__ import annotations

from pathlib import Path

from benchmarks.evidence.stages.experiment import PLAN, STORE, TUNING
from consilience.core.errors import ConsilienceError
from consilience.core.files import write_json
from consilience.project import Project
from consilience.stages import run


def main(_: Project, name: str) -> None:
    """Try every entry of an experiment with all its settings; write ``data/tuning/NAME.json``."""
    from benchmarks.evidence import plan, tuning  # slow to import

    planned = plan.load(PLAN)
    if name not in planned.tuned:
        known = ", ".join(planned.tuned)
        raise ConsilienceError(f"'{name}' is not tuned", str(PLAN), f"tuned: {known}")
    write_json(TUNING / f"{name}.json", tuning.tune(planned, name, Path(), STORE))


if __name__ == "__main__":
    run(main)
