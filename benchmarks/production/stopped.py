"""Faults that stop processes, cancel runs, or start several at once."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator

import psutil

from benchmarks.production.fault import (
    KILL,
    STALE,
    TERM,
    During,
    Fault,
    at_random,
    cancel,
    in_stage,
    stage_process,
    until,
    wait_for_stage,
)
from benchmarks.production.site import RESTART_S, Site

WORDS = {
    "server": "prefect server",
    "worker": "consilience worker",
    "worker of Prefect": "prefect_worker worker start",
}
SERVER_TIMEOUT_S = 20.0
# Runs end some seconds after their worker, and may have done their last stage by then.
ENDED = ("CRASHED", "COMPLETED")
REGISTRY = ("data/registry", "data/registry.dvc", "data/gate.json")


def stopped() -> Iterator[Fault]:
    """Yield the faults that stop processes, the first of every kind first."""
    for number in (1, 2, 3):
        yield Fault(
            "kill -9 of the run", f"kill run {number}", "random", ("CRASHED",), killed("run")
        )
        yield Fault(
            "kill -9 of the worker",
            f"kill worker {number}",
            "random",
            ENDED,
            killed("worker"),
        )
        yield Fault(
            "kill -9 of the server",
            f"kill server {number}",
            "random",
            ("COMPLETED",),
            killed("server"),
        )
        yield Fault(
            "kill -9 of everything (machine)",
            f"kill machine {number}",
            "random",
            ("CRASHED",),
            killed("machine"),
        )
        stage = (*STALE, "evaluate")[number - 1]
        yield Fault(
            "kill -9 of a stage",
            f"kill stage {stage}",
            f"in {stage}",
            ("FAILED",),
            in_stage(stage, sent_to_stage(stage, KILL)),
            stale=(stage,),
        )
        if number == 1:
            yield from _once()


def _once() -> Iterator[Fault]:
    yield Fault(
        "kill -9 of Prefect's worker",
        "kill inner worker",
        "random",
        ("CRASHED",),
        killed("worker of Prefect"),
    )
    for stage in STALE:
        yield Fault(
            "kill -9 of DVC",
            f"kill dvc {stage}",
            f"commit of {stage}",
            ("FAILED",),
            kill_dvc_after(stage),
        )
    for target, states in (("run", ("CRASHED",)), ("worker", ENDED), ("server", ("COMPLETED",))):
        yield Fault(
            f"SIGTERM of the {target}",
            f"terminate {target}",
            "random",
            states,
            killed(target, TERM),
        )
    yield Fault(
        "SIGTERM of a stage",
        "terminate stage align",
        "in align",
        ("FAILED",),
        in_stage("align", sent_to_stage("align", TERM)),
    )
    yield Fault(
        "server gone for good",
        "server gone",
        "in label",
        # Completed if its stages end before the worker does: it then waits for the server.
        ("CRASHED", "COMPLETED"),
        in_stage("label", remove_server),
        before=lambda site: _with_timeout(site, SERVER_TIMEOUT_S),
        finally_=lambda site: _with_timeout(site, None),
    )
    yield Fault(
        "kill -9 of the run",
        "kill run in gate",
        "registration",
        ("CRASHED",),
        in_gate(killed_now("run")),
        before=_without_registry,
        stale=("label",),
        parameters={"gate": True},
        next_parameters={"gate": True},
        check=one_version,
    )


def killed(target: str, number: signal.Signals = KILL) -> During:
    """Return a fault that sends a signal to a process at a random moment of a run."""
    return at_random(killed_now(target, number))


def killed_now(target: str, number: signal.Signals = KILL) -> During:
    """Return a fault that sends a signal to a process at once."""

    def apply(site: Site, run_id: str, _: random.Random) -> None:
        processes = targets(site, run_id, target)
        print(f"{number.name}: {[process.pid for process in processes]}", flush=True)
        site.kill_all(processes, number)

    return apply


def targets(site: Site, run_id: str, target: str) -> list[psutil.Process]:
    """Return the processes that a signal is sent to."""
    if target == "run":
        process = site.process_of(site.run(run_id))
        return [process] if process is not None else []
    if target == "machine":
        return site.study.processes()
    return site.tree(WORDS[target])


def sent_to_stage(stage: str, number: signal.Signals) -> During:
    """Return a fault that sends a signal to the process of a stage."""

    def apply(site: Site, _: str, __: random.Random) -> None:
        process = stage_process(site, stage)
        site.kill_all([process] if process is not None else [], number)

    return apply


def kill_dvc_after(stage: str) -> During:
    """Return a fault that kills DVC as soon as its stage has ended, while it stores the results."""

    def apply(site: Site, _: str, chance: random.Random) -> None:
        wait_for_stage(site, stage)
        parents = site.tree(f"--single-item {stage}")
        until(lambda: stage_process(site, stage) is None, f"end of {stage}", 0.02)
        time.sleep(chance.uniform(0, 0.1))
        site.kill_all(parents, KILL)

    return apply


def remove_server(site: Site, _: str, __: random.Random) -> None:
    """Kill the server, wait until the worker has ended by itself, then start both again."""
    worker = site.services["worker"].process
    assert worker is not None
    site.services["server"].is_enabled = False
    site.kill_all(site.tree(WORDS["server"]), KILL)
    until(lambda: worker.poll() is not None, "end of the worker")
    time.sleep(RESTART_S)
    site.enable("server")


def _with_timeout(site: Site, seconds: float | None) -> None:
    service = site.services["worker"]
    options = () if seconds is None else ("--server-timeout", f"{seconds:g}")
    site.disable("worker")
    service.command = ("consilience", "worker", *options)
    site.ensure()


# The gate


def _without_registry(site: Site) -> None:
    site.remove(*REGISTRY)


def in_gate(apply: During) -> During:
    """Return a fault that waits for the decision of the gate, and a random time, first."""

    def waiting(site: Site, run_id: str, chance: random.Random) -> None:
        decision = site.study.folder / "data/gate.json"
        until(decision.is_file, "decision of the gate", 0.02)
        time.sleep(chance.uniform(0, 2))
        apply(site, run_id, chance)

    return waiting


def one_version(site: Site) -> str:
    """Return what is wrong with the registry: it must have one version, and be tracked."""
    file = site.study.folder / "data/registry/registry.json"
    versions = json.loads(file.read_text())["versions"] if file.is_file() else []
    if len(versions) != 1:
        return f"{len(versions)} versions are registered"
    if not (site.study.folder / "data/registry.dvc").is_file():
        return "the registry is not tracked"
    return ""


# Cancelled runs


def cancelled() -> Iterator[Fault]:
    """Yield the faults that cancel a run."""
    for stage in STALE:
        yield Fault(
            "cancel", f"cancel in {stage}", f"in {stage}", ("CANCELLED",), in_stage(stage, cancel)
        )
    yield Fault(
        "cancel",
        "cancel in gate",
        "registration",
        ("CANCELLED", "COMPLETED"),  # the last step may end before the signal
        in_gate(cancel),
        before=_without_registry,
        stale=("label",),
        parameters={"gate": True},
        next_parameters={"gate": True},
        check=one_version,
    )


# Several at once


def together() -> Iterator[Fault]:
    """Yield the faults in which two programs use the same study."""
    yield Fault(
        "a second run",
        "second nightly",
        "in align",
        ("COMPLETED",),
        in_stage("align", lambda site, *_: _start_other(site, "nightly")),
        others=("CANCELLED",),
    )
    yield Fault(
        "a run of another deployment",
        "second deployment",
        "in align",
        ("COMPLETED",),
        in_stage("align", lambda site, *_: _start_other(site, "on-new-recordings")),
        others=("COMPLETED",),
    )
    yield Fault(
        "'dvc repro' by hand",
        "repro beside",
        "in align",
        ("COMPLETED",),
        in_stage("align", lambda site, *_: repro(site)),
    )
    yield Fault(
        "'dvc repro' by hand",
        "repro before",
        "before the run",
        ("COMPLETED",),
        before=_start_repro,
    )
    yield Fault(
        "'dvc repro' by hand, killed; its lock remains",
        "repro killed",
        "before the run",
        ("COMPLETED",),
        before=kill_repro,
    )


def _start_other(site: Site, deployment: str) -> None:
    site.start_run(deployment)


def _start_repro(site: Site) -> None:
    site.start_repro()
    wait_for_stage(site, "align")


def repro(site: Site) -> None:
    """Run 'dvc repro' by hand to its end, whatever it is."""
    process = site.start_repro()
    print(f"dvc repro by hand: exit status {process.wait(600)}", flush=True)


def kill_repro(site: Site) -> None:
    """Kill 'dvc repro' and what it started while a stage runs."""
    process = site.start_repro()
    wait_for_stage(site, "align")
    time.sleep(2)
    family = psutil.Process(process.pid)
    site.kill_all([family, *family.children(recursive=True)], KILL)
    process.wait()
