"""The pages of evidence from the results: ``python -m benchmarks.evidence.stages.evidence``."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.evidence.stages.cost import OUTPUT as COST
from benchmarks.evidence.stages.experiment import PLAN, RESULTS, TUNING
from consilience.core.files import atomic_folder, write_bytes, write_json
from consilience.project import Project
from consilience.stages import run

README, TABLES, FIGURES = Path("README.md"), Path("tables"), Path("figures")


def main(_: Project) -> None:
    """Write ``README.md``, ``tables`` and ``figures``."""
    from benchmarks.evidence import claims, plan, plots, results, tables  # slow to import

    planned = plan.load(PLAN)
    found = results.load(planned, RESULTS)
    cost = json.loads(COST.read_text()) if COST.is_file() else {}
    reached = claims.lines(found, cost)
    pages = {name: tables.experiment_page(found, name) for name in found.outcomes}
    pages |= {"ablation": tables.ablation_page(found)}
    tried = {name: TUNING / f"{name}.json" for name in planned.tuned}
    tunings = {name: json.loads(path.read_text()) for name, path in tried.items() if path.is_file()}
    pages |= {"tuning": tables.tuning_page(tunings)}
    pages |= {"cost": tables.cost_page(found, cost)} if cost else {}
    with atomic_folder(TABLES) as folder:
        for name, text in pages.items():
            (folder / f"{name}.md").write_text(text)
        write_json(folder / "results.json", tables.summary(found, reached))
    with atomic_folder(FIGURES) as folder:
        drawn = plots.draw(found, folder)
    write_bytes(README, tables.readme(found, reached, cost, drawn).encode())
    for line in reached:
        print(f"{line.number} {line.title}: {line.verdict}")


if __name__ == "__main__":
    run(main)
