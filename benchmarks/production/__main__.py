"""Run the campaign: ``python -m benchmarks.production --folder F [--only NAME] [--page]``.

The folder keeps the site and every outcome: a campaign that was stopped continues with the faults
that have no outcome yet, and ``--again`` repeats those whose names contain a text.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.new_project import ROOT
from benchmarks.production.fault import Fault
from benchmarks.production.faults import all_faults
from benchmarks.production.site import FINAL, POLL_S, START_S, NoAnswerError, Site

PAGE = ROOT / "docs/production_faults.md"
BEGIN, END = "<!-- begin of the table -->", "<!-- end of the table -->"
COLUMNS = (
    *("fault", "moment", "state", "slot free after", "orphans", "tracebacks"),
    *("next run", "outputs identical"),
)
RUN_S = 1500.0
SLOT_LIMIT_S = 120.0
ORPHANS_S = 30.0


@dataclass(frozen=True)
class Outcome:
    """Outcome of a fault.

    Attributes
    ----------
    kind, name, moment : str
    state : str
        Last state of the run in Prefect.
    is_true : bool
        Whether the states of all runs are those that the fault leads to.
    slot_s : float or None
        From the end of the run's process until no slot was taken; None if one still was.
    orphans : int
        Processes that still ran `ORPHANS_S` after the end of the run.
    tracebacks : dict
        Number by log: server, worker, watcher, run.
    next_state : str
        Last state of the next run; empty if none was needed.
    identical : bool
        Whether all results are those of the undisturbed run.
    problem : str
        What else is wrong in the end; empty for nothing.
    run_s, seconds : float
        From the begin of the run until its slot was free; of the whole fault.
    message : str
        Of the run's last state.
    """

    kind: str
    name: str
    moment: str
    state: str
    is_true: bool
    slot_s: float | None
    orphans: int
    tracebacks: dict[str, int]
    next_state: str
    identical: bool
    problem: str
    run_s: float
    seconds: float
    message: str

    @property
    def own_tracebacks(self) -> dict[str, int]:
        """Without those of Prefect's server, see docs/production_faults.md."""
        return {log: number for log, number in self.tracebacks.items() if log != "server"}

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return (
            self.is_true
            and self.identical
            and not self.orphans
            and not self.own_tracebacks
            and not self.problem
            and self.slot_s is not None
            and self.slot_s <= SLOT_LIMIT_S
        )


def apply_fault(fault: Fault, site: Site, expected: dict[str, str]) -> Outcome:
    """Apply one fault to the site, start the next run if needed, and compare the results."""
    began_s = time.monotonic()
    site.restore()
    for stage in fault.stale:
        site.study.make_stale(stage)
    site.ensure()
    former = {run["id"] for run in site.runs(set())}
    offsets = site.offsets()
    try:
        fault.before(site)
        run_id = fault.start(site, fault)
        site.until(lambda: has_begun(site, run_id), START_S, "the run does not begin")
        begun_s = time.monotonic()
        fault.during(site, run_id, random.Random(fault.name))
        slot_s = followed(site, run_id)
        run_s = time.monotonic() - begun_s
        orphans = remaining(site)
        run, next_state = site.run(run_id), ""
        if run["state_type"] != "COMPLETED" or not is_same(site, expected):
            fault.after(site)
            next_id = site.start_run(**{"gate": False, **fault.next_parameters})
            followed(site, next_id)
            next_state = site.run(next_id)["state_type"]
        problem = fault.check(site)
        identical = is_same(site, expected)
    finally:
        fault.finally_(site)
    runs = site.runs(former)
    others = [row["state_type"] for row in runs if row["id"] not in (run_id,)]
    if next_state:
        others.remove(next_state)
    return Outcome(
        fault.kind,
        fault.name,
        fault.moment,
        run["state_type"],
        run["state_type"] in fault.states
        and next_state in ("", "COMPLETED")
        and tuple(others) == fault.others,
        slot_s,
        orphans,
        site.tracebacks(offsets, [row["id"] for row in runs]),
        next_state,
        identical,
        problem,
        round(run_s, 1),
        round(time.monotonic() - began_s, 1),
        str((run["state"] or {}).get("message") or "")[:300],
    )


def has_begun(site: Site, run_id: str) -> bool:
    """Return whether a run has stated its process, or has ended already."""
    run = site.run(run_id)
    return run["state_type"] in FINAL or site.process_of(run) is not None


def followed(site: Site, run_id: str) -> float | None:
    """Wait until a run has ended and no slot is taken; return the time between both in s.

    None if a slot was still taken, or the run had no final state, after `RUN_S`.
    """
    end_s, ended_s = time.monotonic() + RUN_S, None
    while time.monotonic() < end_s:
        now_s = time.monotonic()
        try:
            run = site.api(f"flow_runs/{run_id}", method="GET")
            is_final, slots = run["state_type"] in FINAL, site.slots()
        except NoAnswerError:
            time.sleep(POLL_S)
            continue
        has_process = site.process_of(run) is not None
        if has_process or run["state_type"] in ("SCHEDULED", "PENDING"):
            ended_s = None
        elif ended_s is None:
            ended_s = now_s
        if is_final and not slots and ended_s is not None:
            return round(now_s - ended_s, 1)
        time.sleep(POLL_S)
    return None


def remaining(site: Site) -> int:
    """Return how many processes of runs and stages remain, and end them."""
    until_s = time.monotonic() + ORPHANS_S
    while time.monotonic() < until_s and site.work():
        time.sleep(0.5)
    processes = site.work()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            print(f"orphan: {process.pid} {process.cmdline()}", flush=True)
            process.kill()
    return len(processes)


def is_same(site: Site, expected: dict[str, str]) -> bool:
    """Return whether the study has the results of the undisturbed run; print what differs."""
    try:
        outputs = site.outputs()
    except Exception as error:  # an unreadable lock file is a difference
        print(f"not comparable: {error}", flush=True)
        return False
    paths = outputs.keys() | expected.keys()
    differing = sorted(p for p in paths if outputs.get(p) != expected.get(p))
    if differing:
        print(f"{len(differing)} differ: {', '.join(differing[:5])}", flush=True)
    return not differing


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as a Markdown table, one row per fault, and their number."""
    rows = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for outcome in outcomes:
        cells = (
            outcome.kind,
            outcome.moment,
            outcome.state.capitalize() + ("" if outcome.is_true else " (not true)"),
            "taken" if outcome.slot_s is None else f"{outcome.slot_s:.0f} s",
            str(outcome.orphans),
            ", ".join(f"{name} {n}" for name, n in outcome.own_tracebacks.items()) or "0",
            outcome.next_state.capitalize() or "not needed",
            ("yes" if outcome.identical else "**no**") + f" {outcome.problem}".rstrip(),
        )
        rows.append(f"| {' | '.join(cells)} |")
    faults = [outcome for outcome in outcomes if outcome.kind != "nothing"]
    good = sum(outcome.is_good for outcome in faults)
    rows += ["", f"{good} of {len(faults)} faults end as they should."]
    return "\n".join(rows)


def main() -> None:
    """Run the faults that have no outcome yet, and optionally write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="of the site and the outcomes")
    parser.add_argument("--only", nargs="*", help="parts of the names of the faults to run")
    parser.add_argument("--again", action="store_true", help="also those that have an outcome")
    parser.add_argument("--minutes", type=float, default=1e9, help="start no fault after this time")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="outcomes.json of others")
    parser.add_argument("--page", action="store_true", help="write the table into the page")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and end the site
    options.folder.mkdir(parents=True, exist_ok=True)
    file = options.folder / "outcomes.json"
    outcomes: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    faults = all_faults()
    parts = options.only if options.only is not None else [""]
    chosen = [f for f in faults if any(phrase in f.name for phrase in parts)]
    chosen = [f for f in chosen if options.again or f.name not in outcomes]
    if chosen:
        until_s = time.monotonic() + 60 * options.minutes
        run_faults(options.folder, chosen, outcomes, file, until_s)
    for other in options.also:
        outcomes |= json.loads(other.read_text())
    done = [Outcome(**outcomes[fault.name]) for fault in faults if fault.name in outcomes]
    print(table(done))
    if options.page:
        text = PAGE.read_text()
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{table(done)}\n{END}{after}")


def run_faults(
    folder: Path, faults: Sequence[Fault], outcomes: dict[str, Any], file: Path, until_s: float
) -> None:
    """Start the site, apply faults one after the other, and write each outcome at once."""
    site = Site(folder.resolve())
    try:
        expected = prepared(site)
        for fault in faults:
            if time.monotonic() > until_s:
                break
            try:
                outcome = apply_fault(fault, site, expected)
            except AssertionError as error:  # of the campaign, or a site that does not recover
                print(f"{fault.name}: {error}", flush=True)
                continue
            print(f"{'good' if outcome.is_good else 'BAD '} {outcome}", flush=True)
            outcomes[fault.name] = asdict(outcome)
            file.write_text(json.dumps(outcomes, indent=1))
    finally:
        site.end()


def prepared(site: Site) -> dict[str, str]:
    """Start the site, with the study of its first run; return what the undisturbed run wrote."""
    is_new = not (site.folder / "original/recordings").is_dir()
    if not is_new:
        site.restore()
    elif not (site.study.folder / "prefect.yaml").is_file():
        site.create()
    site.start()
    if is_new:
        run_id = site.start_run()
        site.until(lambda: has_begun(site, run_id), START_S, "the run does not begin")
        followed(site, run_id)
        run = site.run(run_id)
        assert run["state_type"] == "COMPLETED", run["state"]["message"]
        site.save()
    return site.outputs()


if __name__ == "__main__":
    main()
