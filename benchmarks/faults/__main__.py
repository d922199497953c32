"""Run the campaign: ``python -m benchmarks.faults [--minutes M] [--at-once N]``."""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.faults import project
from benchmarks.faults.faults import REPRO, Fault, all_faults
from benchmarks.faults.project import Sandbox
from benchmarks.new_project import ROOT

PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- begin of the table -->", "<!-- end of the table -->"
COLUMNS = (
    *("fault", "number", "runs that failed", "identical", "restarts"),
    *("orphans", "leftovers", "tracebacks"),
)
ORPHANS_S = 10.0
RUN_S = 240.0


@dataclass(frozen=True)
class Outcome:
    """Outcome of a fault.

    Attributes
    ----------
    kind, name : str
    status : int or None
        Exit status of the run under the fault; None if it was stopped after `RUN_S`.
    restarts : int
        Runs after it until the results were those of the undisturbed run, at most 1.
    identical : bool
    orphans : int
        Processes that still ran `ORPHANS_S` after the end of the run.
    leftovers : list of str
        Files in ``data/`` that the undisturbed run does not have.
    traceback : bool
    message : str
        Last line that the run printed, if it failed.
    """

    kind: str
    name: str
    status: int | None
    restarts: int
    identical: bool
    orphans: int
    leftovers: list[str]
    traceback: bool
    message: str


def apply_fault(fault: Fault, original: Sandbox, expected: dict[str, str], folder: Path) -> Outcome:
    """Apply one fault to a copy of a project, restart it, and compare the results."""
    name = re.sub(r"[^a-z0-9]+", "-", f"{fault.kind} {fault.name}".lower())
    sandbox = project.copy(original, folder / f"{name}{fault.suffix}", name)
    if fault.stage:
        sandbox.make_stale(fault.stage)
    fault.before(sandbox)
    sandbox.environment, sandbox.limits = dict(fault.environment), fault.limits
    with ThreadPoolExecutor(1) as aside:
        disturbing = aside.submit(fault.during, sandbox, random.Random(fault.kind + fault.name))
        first = sandbox.run(*fault.command, timeout_s=RUN_S)
        disturbing.result()
    orphans = _orphans(sandbox)
    sandbox.environment, sandbox.limits = {}, ""
    printed, restarts = first.printed, 0
    if first.status != 0 or not _same(sandbox, expected):
        fault.after(sandbox)
        restarts = 1
        printed += sandbox.run(*REPRO, timeout_s=RUN_S).printed
    outcome = Outcome(
        fault.kind,
        fault.name,
        first.status,
        restarts,
        _same(sandbox, expected),
        orphans,
        sorted(set(sandbox.results()) - expected.keys()),
        "Traceback (most recent call last)" in printed,
        _message(first) if first.status else "",
    )
    project.remove(sandbox)
    return outcome


def _same(sandbox: Sandbox, expected: dict[str, str]) -> bool:
    try:
        return sandbox.state() == expected
    except Exception:  # an unreadable lock file is a difference
        return False


def _orphans(sandbox: Sandbox) -> int:
    """Return how many processes of a run remain, and end them."""
    until_s = time.monotonic() + ORPHANS_S
    while time.monotonic() < until_s and sandbox.processes():
        time.sleep(0.2)
    remaining = sandbox.processes()
    for process in remaining:
        process.kill()
    return len(remaining)


def _message(done: project.Done) -> str:
    lines = [line.strip() for line in done.printed.splitlines() if "rror" in line]
    return lines[0][:200] if lines else ""


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as a Markdown table, one row per kind of fault."""
    rows = [
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    kinds = list(dict.fromkeys(outcome.kind for outcome in outcomes))
    for kind in kinds:
        of_kind = [outcome for outcome in outcomes if outcome.kind == kind]
        rows.append(_row(kind, of_kind))
    rows.append(_row("**all**", outcomes))
    return "\n".join(rows)


def _row(title: str, outcomes: Sequence[Outcome]) -> str:
    counts = (
        len(outcomes),
        sum(outcome.status != 0 for outcome in outcomes),
        sum(outcome.identical for outcome in outcomes),
        sum(outcome.restarts for outcome in outcomes),
        sum(outcome.orphans for outcome in outcomes),
        sum(len(outcome.leftovers) for outcome in outcomes),
        sum(outcome.traceback for outcome in outcomes),
    )
    return f"| {title} | " + " | ".join(map(str, counts)) + " |"


def main() -> None:
    """Run the campaign, write every outcome as JSON, and the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1e9, help="start no fault after this time")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--only", default="", help="part of the names of the faults to run")
    parser.add_argument("--original", type=Path, help="project of an earlier campaign, as it is")
    parser.add_argument("--json", type=Path, default=Path("faults.json"))
    options = parser.parse_args()
    until_s = time.monotonic() + 60 * options.minutes
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        original = _original(options.original, Path(folder) / "original")
        expected = original.state()

        def run_fault(fault: Fault) -> None:
            if time.monotonic() < until_s:
                outcomes.append(apply_fault(fault, original, expected, Path(folder)))
                print(outcomes[-1], flush=True)
                options.json.write_text(json.dumps([asdict(o) for o in outcomes], indent=1))

        chosen = [f for f in all_faults() if options.only in f"{f.kind} {f.name}"]
        with ThreadPoolExecutor(options.at_once) as pool:
            list(pool.map(run_fault, chosen))
    print(table(outcomes))
    if PAGE.is_file() and not options.only:
        text = PAGE.read_text()
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{table(outcomes)}\n{END}{after}")


def _original(earlier: Path | None, folder: Path) -> Sandbox:
    """Return the project that was never disturbed."""
    if earlier is not None:
        return Sandbox(earlier, earlier.name)
    folder.mkdir()
    original = project.create(folder)
    project.reproduce(original)
    return original


if __name__ == "__main__":
    main()
