"""Faults of clocks, disks, recordings, parameters, the watcher, and receivers of notifications."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.production.fault import (
    APPEAR_S,
    KILL,
    Fault,
    at_random,
    in_stage,
    until,
)
from benchmarks.production.site import Site
from consilience.core.special_files import file_states
from consilience.flows import watch
from consilience.project import Project

RECORDING = "sub-03/ses-1/voice.flac"
COPY_STEPS, COPY_STEP_S = 6, 3.0
BIG, KEPT = "8G", 8 * 1024  # size of a disk, and what is left of a full one in bytes


def surroundings() -> Iterator[Fault]:
    """Yield the faults of what surrounds a run."""
    yield from _clocks()
    if sys.platform == "linux" and os.geteuid() == 0:
        yield from _disks()
    yield from _files()
    yield from _watched()
    yield Fault(
        *("receiver of notifications away", "webhook away", "end of the run", ("COMPLETED",)),
        before=_create_webhook,
        stale=("label",),
        parameters={"notification_block": "webhook/away"},
    )


# Clocks: services and runs are shown another time of day, the machine keeps its own


def _clocks() -> Iterator[Fault]:
    if sys.platform != "linux" or shutil.which("cc") is None:
        return
    for name, offset_s in (("forward", 3600), ("back", -3600)):
        yield Fault(
            *(f"clock jumps {name} by 1 h", f"clock {name}", "random", ("COMPLETED",)),
            during=at_random(_jump(offset_s)),
            before=_fake_clock,
            finally_=_true_clock,
        )


def _clock_file(site: Site) -> Path:
    return site.folder / "clock"


def _fake_clock(site: Site) -> None:
    library = site.folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    _clock_file(site).write_bytes(bytes(8))
    _restart(site, {"LD_PRELOAD": str(library), "CONSILIENCE_CLOCK": str(_clock_file(site))})


def _true_clock(site: Site) -> None:
    _restart(site, {})


def _restart(site: Site, variables: dict[str, str]) -> None:
    for name in ("worker", "server"):
        site.disable(name)
        site.services[name].variables = variables
    site.ensure()


def _jump(offset_s: int) -> Callable[[Site, str, random.Random], None]:
    def apply(site: Site, _: str, __: random.Random) -> None:
        with _clock_file(site).open("r+b") as file:  # in place: it is mapped
            file.write(offset_s.to_bytes(8, sys.byteorder, signed=True))

    return apply


# Disks


def _disks() -> Iterator[Fault]:
    yield Fault(
        *("full disk", "full disk align", "in align", ("FAILED",)),
        during=in_stage("align", _fill, 1.0),
        before=_on_own_disk,
        after=_enlarge,
        finally_=_from_own_disk,
        parameters={"min_free_gib": 0.0},
    )
    yield Fault(
        *("full disk", "full disk before", "before the run", ("FAILED",)),
        before=_on_small_disk,
        after=_enlarge,
        finally_=_from_own_disk,
    )
    yield Fault(
        *("read-only cache", "read-only cache", "in align", ("FAILED",)),
        during=in_stage("align", _lock_cache),
        after=_unlock_cache,
        finally_=_unlock_cache,
    )


def _on_own_disk(site: Site) -> None:
    """Move the study to a disk of its own, as the worker's working directory too."""
    folder = site.study.folder
    site.disable("worker")
    _mount("-t", "tmpfs", "-o", f"size={BIG}", "tmpfs", str(folder))
    source = site.folder / "aside"
    _mount("--bind", str(site.folder), str(_emptied(source)))
    # The bind mount shows the folder below the new disk.
    subprocess.run(["cp", "-a", f"{source}/study/.", str(folder)], check=True)
    _unmount(source)
    site.ensure()


def _on_small_disk(site: Site) -> None:
    """Move the study to a disk that has less room than a run requires."""
    _on_own_disk(site)
    _resize(site, "1G")


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _from_own_disk(site: Site) -> None:
    site.disable("worker")
    _unmount(site.study.folder)
    site.ensure()


def _fill(site: Site, _: str, __: random.Random) -> None:
    used = shutil.disk_usage(site.study.folder).used
    _resize(site, str(used + KEPT))


def _enlarge(site: Site) -> None:
    _resize(site, BIG)


def _resize(site: Site, size: str) -> None:
    _mount("-o", f"remount,size={size}", str(site.study.folder))


def _lock_cache(site: Site, _: str, __: random.Random) -> None:
    cache = str(site.study.folder / ".dvc/cache")
    _mount("--bind", cache, cache)
    _mount("-o", "remount,ro,bind", cache)


def _unlock_cache(site: Site) -> None:
    _unmount(site.study.folder / ".dvc/cache")


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


# Files of the study, and recordings


def _files() -> Iterator[Fault]:
    yield Fault(
        *("recording deleted", "recording deleted", "in ingest@audio", ("FAILED", "COMPLETED")),
        during=in_stage("ingest", _take_away, 8.0),
        after=_put_back,
        finally_=_put_back,
        stale=("ingest@audio",),
    )
    yield Fault(
        *("parameters changed", "parameters changed", "in evaluate", ("FAILED", "COMPLETED")),
        during=in_stage("evaluate", _set_bootstrap(100), 10.0),
        before=_set_bootstrap(150),
        stale=("evaluate",),
    )
    yield Fault(
        *("object of the cache damaged", "cache damaged", "before the run", ("COMPLETED",)),
        before=_damage_cache,
        stale=(),
    )


def _take_away(site: Site, *_: object) -> None:
    aside = site.folder / "aside.flac"
    (site.recordings / RECORDING).replace(aside)


def _put_back(site: Site) -> None:
    with suppress(FileNotFoundError):
        (site.folder / "aside.flac").replace(site.recordings / RECORDING)


def _set_bootstrap(number: int) -> Callable[..., None]:
    """Return a fault that changes a parameter of stage 'evaluate'; 100 is that of the study."""

    def apply(site: Site, *_: object) -> None:
        file = site.study.folder / "params.yaml"
        lines = file.read_text().splitlines()
        changed = [f"  bootstrap: {number}" if "  bootstrap:" in row else row for row in lines]
        file.write_text("\n".join(changed) + "\n")

    return apply


def _damage_cache(site: Site) -> None:
    """Remove the evaluation, and change a file of it in the cache."""
    metrics = site.study.folder / "data/evaluation/metrics.json"
    content = metrics.read_bytes()
    for path in site.study.folder.glob(".dvc/cache/files/md5/*/*"):
        if path.read_bytes() == content:
            path.chmod(0o644)
            path.write_bytes(content[: len(content) // 2])
    site.remove("data/evaluation")


# The watcher


def _watched() -> Iterator[Fault]:
    yield Fault(
        *("recording half copied", "half copied", "before the run", ("COMPLETED",)),
        before=_watch,
        start=lambda site, _: _arrival(site, lambda: None),
        finally_=_unwatch,
        deployment="on-new-recordings",
        stale=("report",),
    )
    yield Fault(
        *("kill -9 of the watcher", "watcher killed", "during a copy", ("COMPLETED",)),
        before=_watch,
        start=lambda site, _: _arrival(site, lambda: site.kill_all(_watchers(site), KILL)),
        finally_=_unwatch,
        deployment="on-new-recordings",
        stale=("report",),
    )


def _watchers(site: Site) -> list[psutil.Process]:
    return site.tree("consilience watch")


def _watch(site: Site) -> None:
    """Start the watcher of a study without one of its recordings, the others being reported."""
    _take_away(site)
    root = site.recordings.resolve()
    states = {str(path.relative_to(root)): state for path, state in file_states(root).items()}
    watcher = watch.Watcher(root, watch.STABLE_S, states)
    watch.save_state(watch.state_file(Project(site.study.folder)), watcher)
    site.enable("watcher")
    until(lambda: _watchers(site), "the watcher")


def _unwatch(site: Site) -> None:
    site.disable("watcher")
    with suppress(FileNotFoundError):
        (site.folder / "aside.flac").unlink()


def _arrival(site: Site, disturb: Callable[[], None]) -> str:
    """Copy the recording slowly, disturb meanwhile; return the id of the run that follows."""
    former = {run["id"] for run in site.runs(set())}
    content = (site.folder / "aside.flac").read_bytes()
    offset = site.offsets()["watcher"]
    with (site.recordings / RECORDING).open("wb") as file:
        for step in range(COPY_STEPS):
            size = len(content) // COPY_STEPS
            end = len(content) if step == COPY_STEPS - 1 else (step + 1) * size
            file.write(content[step * size : end])
            file.flush()
            if step == COPY_STEPS // 2:
                disturb()
            time.sleep(COPY_STEP_S)
            printed = site.log("watcher").read_text()[offset:]
            assert "voice.flac" not in printed or step == COPY_STEPS - 1, printed
    end_s = time.monotonic() + APPEAR_S
    while time.monotonic() < end_s:
        for run in site.runs(former):
            if "voice.flac" in str(run["parameters"].get("reason")):
                return str(run["id"])
        time.sleep(1)
    raise AssertionError("the arrival of a recording started no run")


# Notifications


def _create_webhook(site: Site) -> None:
    code = (
        "from prefect.blocks.webhook import Webhook; "
        "Webhook(url='http://127.0.0.1:9/').save('away', overwrite=True)"
    )
    site.call("python", "-c", code)
