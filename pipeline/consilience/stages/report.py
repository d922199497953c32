"""Stage ``report``: ``python -m consilience.stages.report``."""

from __future__ import annotations

from pathlib import Path

from consilience import params, stages
from consilience.core.files import write_bytes

DATA = Path("data")
OUTPUT = Path("data/report/report.html")


def main() -> None:
    """Write the page from all that the other stages have written."""
    from consilience.reporting.page import render
    from consilience.reporting.results import load_results

    settings = params.load()
    results = load_results(DATA, settings.dataset.synthetic)
    write_bytes(OUTPUT, render(results).encode())
    print(f"report: open {OUTPUT.resolve()}")


if __name__ == "__main__":
    stages.run(main)
