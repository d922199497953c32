"""The faults of the campaign: each changes a project or stops one of its processes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import psutil

from benchmarks.faults.project import METHOD, Sandbox

FLOW = ("python", "-m", "flows.pipeline")
REPRO = ("dvc", "repro")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
START_S = 120.0  # to wait for a process to appear


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes
    ----------
    kind : str
        Row of the table.
    name : str
    stage : str
        The stage that runs anew under the fault; empty for none.
    before : callable
        Changes the project before the run.
    during : callable
        Called with the project and a random generator while it runs.
    after : callable
        What a person does before the restart.
    command : tuple of str
    environment : dict
    limits : str
    suffix : str
        End of the name of the project's folder.
    """

    kind: str
    name: str
    stage: str = ""
    before: Callable[[Sandbox], None] = lambda _: None
    during: Callable[[Sandbox, random.Random], None] = lambda *_: None
    after: Callable[[Sandbox], None] = lambda _: None
    command: tuple[str, ...] = REPRO
    environment: dict[str, str] = field(default_factory=dict)
    limits: str = ""
    suffix: str = ""


def all_faults() -> list[Fault]:
    """Return every fault, the cheap ones of each kind first."""
    return [
        *_stopped(),
        *_damaged(),
        *_recordings(),
        *_special_files(),
        *_limits(),
        *_environments(),
        *(_mounts() if os.geteuid() == 0 else ()),
    ]


# Stopped processes

STOPPED = (
    *(
        (stage, "stage", number)
        for stage in ("catalog", "align", "label", "window")
        for number in SIGNALS
    ),
    *(
        (stage, "stage", signal.SIGKILL)
        for stage in ("synthesize@demo", "ingest@eeg", "ingest@audio", "corrupt")
    ),
    *(
        (stage, "stage", signal.SIGKILL)
        for stage in (f"train@{METHOD}", "evaluate", "query", "score@demo", "report")
    ),
    ("ingest@audio", "stage", signal.SIGINT),
    ("report", "stage", signal.SIGTERM),
    ("score@demo", "stage", signal.SIGINT),
    *(
        (stage, "worker", signal.SIGKILL)
        for stage in ("catalog", "ingest@eeg", "ingest@audio", "align", "corrupt")
    ),
    ("ingest@eeg", "worker", signal.SIGTERM),
    *((stage, "dvc", signal.SIGKILL) for stage in ("catalog", "ingest@eeg", "label", "window")),
    ("ingest@audio", "dvc", signal.SIGTERM),
    ("align", "dvc", signal.SIGINT),
    *((stage, "flow", signal.SIGKILL) for stage in ("ingest@eeg", "label")),
    *((stage, "flow", signal.SIGTERM) for stage in ("catalog", "ingest@audio", "report")),
    *((stage, "flow", signal.SIGINT) for stage in ("ingest@eeg", "label", "window")),
)


def _stopped() -> Iterator[Fault]:
    for stage, target, number in STOPPED:
        yield Fault(
            f"{number.name} of a {target}" if target != "dvc" else f"{number.name} of dvc",
            f"{target} {stage}",
            stage,
            during=_stop(stage, target, number),
            command=FLOW if target == "flow" else REPRO,
        )


def _stop(
    stage: str, target: str, number: signal.Signals
) -> Callable[[Sandbox, random.Random], None]:
    def stop(sandbox: Sandbox, chance: random.Random) -> None:
        process = _wait_for(sandbox, lambda line: _runs(line, stage))
        if target == "worker" and process:
            process = _wait_for(
                sandbox,
                lambda line: (
                    any("spawn_main" in w or "loky" in w for w in line)
                    and "resource_tracker" not in " ".join(line)
                ),
            )
        elif target == "dvc":
            process = _wait_for(sandbox, lambda line: any(w.endswith("/dvc") for w in line[:2]))
        elif target == "flow":
            process = _wait_for(sandbox, lambda line: "flows.pipeline" in line)
        time.sleep(chance.uniform(0, 1.5))
        if process is not None:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    return stop


def _runs(line: list[str], stage: str) -> bool:
    """Return whether a command line is that of a stage: ``… stage ingest --modality eeg``."""
    name = stage.partition("@")[0]
    return any(words == ("stage", name) for words in pairwise(line))


def _wait_for(sandbox: Sandbox, fits: Callable[[list[str]], bool]) -> psutil.Process | None:
    """Return the first process of a project whose command line fits; None after a time."""
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        candidates = sandbox.processes()
        if not candidates and time.monotonic() > until_s - START_S + 10:
            return None  # the run has ended
        for candidate in candidates:
            try:
                if fits(candidate.cmdline()):
                    return candidate
            except psutil.Error:
                continue
        time.sleep(0.05)
    return None


# Damaged files

DAMAGED = (
    ("a cache object", "label", ".dvc/cache/files/md5/*/*"),
    ("a data file", "window", "data/windows/*.parquet"),
    ("a data file", "report", "data/signals/eeg.frames/*.npz"),
    ("a data file", "evaluate", "data/models/*/model.safetensors"),
    ("a store entry", "ingest@eeg", "data/.store/eeg/*.npz"),
    ("a store entry", "ingest@audio", "data/.store/audio/*.json"),
)


def _damaged() -> Iterator[Fault]:
    for what, stage, pattern in DAMAGED:
        for how, damage in DAMAGES.items():
            yield Fault(f"{how} {what}", f"{how} {pattern}", "", _on(pattern, damage, stage))
    damages = {("deleted", 0.0): _delete}
    damages |= {(how, share): DAMAGES[how] for how in ("cut", "flipped") for share in LOCK_SHARES}
    for (how, share), damage in damages.items():
        yield Fault(
            f"{how} dvc.lock",
            f"{how} dvc.lock at {share:.0%}",
            before=_on("dvc.lock", partial(damage, share=share), ""),
            after=_check_out_lock,
        )


def _check_out_lock(sandbox: Sandbox) -> None:
    subprocess.run(["git", "checkout", "-q", "dvc.lock"], cwd=sandbox.folder, check=True)


def _cut(path: Path, share: float = 0.5) -> None:
    content = path.read_bytes()
    _write(path, content[: int(len(content) * share)])


def _flip(path: Path, share: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 0x20
    _write(path, bytes(content))


def _delete(path: Path, share: float = 0.0) -> None:
    path.unlink()


def _write(path: Path, content: bytes) -> None:
    """Write in place: hard links of the file are damaged with it."""
    path.chmod(0o644)
    path.write_bytes(content)


DAMAGES: dict[str, Callable[..., None]] = {"cut": _cut, "flipped": _flip, "deleted": _delete}
LOCK_SHARES = (0.1, 0.3, 0.5, 0.6, 0.77)  # DVC reads some damaged files, and refuses others


def _on(pattern: str, damage: Callable[[Path], None], stage: str) -> Callable[[Sandbox], None]:
    def apply(sandbox: Sandbox) -> None:
        if stage.startswith("ingest"):  # the store is read when the stage runs again
            kept = sandbox.folder / "kept"
            store = sandbox.folder / f"data/.store/{stage.partition('@')[2]}"
            shutil.copytree(store, kept)
            sandbox.make_stale(stage)
            shutil.copytree(kept, store)
            shutil.rmtree(kept)
        paths = sorted(path for path in sandbox.folder.glob(pattern) if path.is_file())
        damage(paths[len(paths) // 2])

    return apply


# Recordings that change during a run


def _recordings() -> Iterator[Fault]:
    for stage in ("catalog", "ingest@audio"):
        for how, change in (("replaced", _replace), ("deleted", _delete), ("growing", _grow)):
            yield Fault(
                f"recording {how} during a run",
                f"{how} {stage}",
                stage,
                during=_during(stage, change),
            )


def _during(stage: str, change: Callable[[Path], None]) -> Callable[[Sandbox, random.Random], None]:
    def apply(sandbox: Sandbox, chance: random.Random) -> None:
        _wait_for(sandbox, lambda line: _runs(line, stage))
        time.sleep(chance.uniform(0, 2))
        change(sorted((sandbox.folder / "data/raw/demo").rglob("*.flac"))[1])

    return apply


def _replace(path: Path) -> None:
    root = next(folder for folder in path.parents if folder.name == "demo")
    content = sorted(root.rglob("*.flac"))[0].read_bytes()
    path.unlink()
    path.write_bytes(content)


def _grow(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    for sixteenths in range(1, 9):
        path.write_bytes(content[: len(content) * sixteenths // 16])
        time.sleep(0.2)


# Files that are none


def _placing(create: Callable[[Path], object]) -> Callable[[Sandbox], None]:
    def place(sandbox: Sandbox) -> None:
        create(_odd(sandbox))

    return place


def _special_files() -> Iterator[Fault]:
    kinds: dict[str, Callable[[Path], object]] = {
        "pipe": os.mkfifo,
        "link to a device": lambda path: path.symlink_to("/dev/zero"),
        "broken link": lambda path: path.symlink_to("absent"),
        "link to itself": lambda path: path.symlink_to(path.name),
        "socket": _socket,
    }
    for kind, create in kinds.items():
        yield Fault(
            f"{kind} among the recordings",
            kind,
            before=_placing(create),
            after=lambda sandbox: _odd(sandbox).unlink(),
        )


def _odd(sandbox: Sandbox) -> Path:
    return sandbox.folder / "data/raw/demo/x"


def _socket(path: Path) -> None:
    short = Path("/tmp") / f"s{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short))
        short.rename(path)


# What the system refuses, and other surroundings


def _limits() -> Iterator[Fault]:
    for name, limits, stage in (
        ("few open files", "ulimit -n 24", "ingest@eeg"),
        ("small files only", "ulimit -f 8", "label"),
        ("small files only", "ulimit -f 8", "ingest@eeg"),
        ("little memory", "ulimit -v 700000", "label"),
    ):
        yield Fault(f"limit: {name}", f"{name} {stage}", stage, limits=limits)


def _environments() -> Iterator[Fault]:
    for name, environment in (
        ("LC_ALL=C", {"LC_ALL": "C"}),
        ("TZ", {"TZ": "Pacific/Kiritimati"}),
        ("PYTHONHASHSEED", {"PYTHONHASHSEED": "7"}),
        ("no HOME", {"HOME": "/nonexistent"}),
    ):
        for stage in ("catalog", "label"):
            yield Fault(f"environment: {name}", f"{name} {stage}", stage, environment=environment)
    for stage in ("catalog", "label"):
        yield Fault("environment: path with space and é", f"path {stage}", stage, suffix=" é x")


def _mounts() -> Iterator[Fault]:
    for stage in ("ingest@eeg", "label", "window"):
        yield Fault("full disk", f"full disk {stage}", stage, _fill, after=_enlarge)
    for stage in ("catalog", "label"):
        yield Fault("read-only disk", f"read-only {stage}", stage, _lock, after=_unlock)


def _fill(sandbox: Sandbox) -> None:
    """Move the project to a disk of its own that has no room for results."""
    folder = sandbox.folder
    aside = folder.with_name("aside-" + folder.name)
    folder.rename(aside)
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", "size=2G", "tmpfs", str(folder))
    subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
    shutil.rmtree(aside)
    used = shutil.disk_usage(folder).used
    _mount("-o", f"remount,size={used + 16 * 1024}", str(folder))


def _enlarge(sandbox: Sandbox) -> None:
    _mount("-o", "remount,size=2G", str(sandbox.folder))


def _lock(sandbox: Sandbox) -> None:
    _mount("--bind", str(sandbox.folder), str(sandbox.folder))
    _mount("-o", "remount,ro,bind", str(sandbox.folder))


def _unlock(sandbox: Sandbox) -> None:
    _mount("-o", "remount,rw,bind", str(sandbox.folder))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
