"""Content of a fault, and the moments at which it is applied."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

from benchmarks.faults.faults import _runs
from benchmarks.production.site import NoAnswerError, Site

KILL, TERM = signal.SIGKILL, signal.SIGTERM
APPEAR_S = 240.0  # for a process or a line of a log to appear
STALE = ("align", "label")  # of two fast stages, so that a fault takes a minute
STAGE_S = 0.8  # of the 1.2 s that each of them takes on a quiet machine
LONGEST_S = {"begin": 4.0, "status": 2.0, **dict.fromkeys(STALE, STAGE_S)}  # until a fault

During = Callable[[Site, str, random.Random], None]


def _nothing(*_: Any) -> None:
    """Do nothing."""


def _start(site: Site, fault: Fault) -> str:
    only = {"only": list(fault.stale)} if fault.stale else {}
    return site.start_run(fault.deployment, **{"gate": False, **only, **fault.parameters})


def _no_problem(_: Site) -> str:
    return ""


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes
    ----------
    kind : str
        What happens.
    name : str
        Of the fault among all; also the seed of its random numbers.
    moment : str
        When it happens.
    states : tuple of str
        States of the run that are true for what happens.
    during : callable
        Applies it; called with the site, the id of the run and a random generator.
    before, after, finally_ : callable
        Prepares the site; what a person does after the fault; takes back what remains.
    start : callable
        Starts the run, and returns its id.
    check : callable
        Returns what else is wrong in the end; empty for nothing.
    stale : tuple of str
        Stages that run anew, and no others in this run.
    parameters, next_parameters : dict
        Of the run, and of the next one.
    deployment : str
        That is started.
    others : tuple of str
        States of further runs that the fault starts.
    """

    kind: str
    name: str
    moment: str
    states: tuple[str, ...]
    during: During = _nothing
    before: Callable[[Site], None] = _nothing
    after: Callable[[Site], None] = _nothing
    finally_: Callable[[Site], None] = _nothing
    start: Callable[[Site, Fault], str] = _start
    check: Callable[[Site], str] = _no_problem
    stale: tuple[str, ...] = STALE
    parameters: dict[str, Any] = field(default_factory=dict)
    next_parameters: dict[str, Any] = field(default_factory=dict)
    deployment: str = "nightly"
    others: tuple[str, ...] = ()


def until(check: Callable[[], Any], what: str, poll_s: float = 0.2) -> Any:
    """Return the first true result of a function, or raise that it did not appear."""
    end_s = time.monotonic() + APPEAR_S
    while time.monotonic() < end_s:
        if result := check():
            return result
        time.sleep(poll_s)
    raise AssertionError(f"{what}: not within {APPEAR_S:g} s")


def stage_process(site: Site, stage: str) -> psutil.Process | None:
    """Return the process of a stage, if it runs."""
    for process in site.study.processes():
        with suppress(psutil.Error):
            if _runs(process.cmdline(), stage):
                return process
    return None


def wait_for_stage(site: Site, stage: str) -> psutil.Process:
    """Return the process of a stage as soon as it runs."""
    process: psutil.Process = until(lambda: stage_process(site, stage), f"stage {stage}", 0.05)
    return process


def in_stage(stage: str, apply: During, up_to_s: float = STAGE_S) -> During:
    """Return a fault that waits for a stage, and a random time of it, first."""

    def waiting(site: Site, run_id: str, chance: random.Random) -> None:
        wait_for_stage(site, stage)
        time.sleep(chance.uniform(0, up_to_s))
        apply(site, run_id, chance)

    return waiting


def at_random(apply: During) -> During:
    """Return a fault that waits for a random moment of a run first.

    It is some time after the begin of the run, of ``dvc status``, or of one of the two stages: a
    busy machine needs several times as long as a quiet one, and a time alone would miss the run.
    """

    def waiting(site: Site, run_id: str, chance: random.Random) -> None:
        phase = chance.choice(tuple(LONGEST_S))
        if phase == "status":
            until(lambda: site.tree("status --json"), phase, 0.05)
        elif phase in STALE:
            wait_for_stage(site, phase)
        delay_s = chance.uniform(0, LONGEST_S[phase])
        print(f"{delay_s:.1f} s after {phase}", flush=True)
        time.sleep(delay_s)
        apply(site, run_id, chance)

    return waiting


def cancel(site: Site, run_id: str, _: random.Random) -> None:
    """Request what 'prefect flow-run cancel' requests."""
    content = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    while True:
        with suppress(NoAnswerError):
            site.api(f"flow_runs/{run_id}/set_state", content)
            return
        time.sleep(0.5)
