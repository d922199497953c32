"""Stage ``pages``: ``python -m benchmarks.evidence.stages.pages``."""

from __future__ import annotations

import json

from benchmarks.evidence import pages, plan, results, stages
from benchmarks.evidence.study import Study


def main(study: Study) -> None:
    """Write ``data/pages``: README, tables and figures; print every claim's verdict."""
    planned = plan.load(study.plan_file)
    tuning = {
        name: json.loads(study.tuning(name).read_text())
        for name in planned.tuned
        if study.tuning(name).is_file()
    }
    cost = json.loads(study.cost.read_text()) if study.cost.is_file() else {}
    outcomes = results.load(planned, study.results)
    for claim in pages.write(study.pages, outcomes, tuning, cost):
        print(f"{claim.number} {claim.title}: {claim.verdict}")


if __name__ == "__main__":
    stages.run(main)
