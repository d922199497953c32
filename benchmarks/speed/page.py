"""Measure speed and memory, and write the results into ``docs/performance.md``: ``make bench``.

``python -m benchmarks.speed.page [NAME ...]`` runs the benchmarks of these names, by default all,
one after the other, and replaces what lies between their marks in the page.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from consilience.core.errors import ConsilienceError
from consilience.core.files import write_bytes

PAGE = Path(__file__).parents[2] / "docs/performance.md"

# Arguments of ``python -m benchmarks.speed`` by the name of the benchmark's mark.
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "start": ("start", "5"),
    "noop": ("noop", "5"),
    "ingest": ("ingest", "5"),
    "memory": ("memory",),
    "incremental": ("incremental", "1000"),
    "many": ("many",),
    "training": ("training",),
    "million": ("training", "million"),
    "latency": ("latency",),
    "growth": ("growth",),
    "gpu": ("gpu",),
}


def replaced(text: str, name: str, result: str) -> str:
    """Return a page with a result between the marks of a name.

    Raises
    ------
    ConsilienceError
        If the page has no such marks.
    """
    mark = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    if not mark.search(text):
        raise ConsilienceError(f"no marks of '{name}'", str(PAGE), "add a line for begin and end")
    return mark.sub(lambda match: f"{match[1]}{result.strip()}\n{match[2]}", text)


def main(names: Sequence[str] = ()) -> None:
    """Run benchmarks and update the page after each."""
    for name in names or BENCHMARKS:
        module, *arguments = BENCHMARKS[name]
        command = [sys.executable, "-m", f"benchmarks.speed.{module}", *arguments]
        print(f"bench: {name}", flush=True)
        result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        write_bytes(PAGE, replaced(PAGE.read_text(), name, result).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
