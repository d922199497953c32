"""Record of a stage's last run on this machine: when, how long, at what commit, with what hardware.

Two runs of the same inputs differ in these, so that they belong to no output. They are kept beside
the outputs, and `consilience open` adds them to the report.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from consilience.core.files import write_bytes

GIT_TIMEOUT_S = 10.0
_measures: dict[str, float] = {}  # of the stage that runs in this process


def note(measure: str, value: float) -> None:
    """Add a measure, with its unit in the name, to the record of the stage that runs."""
    _measures[measure] = value


@contextmanager
def recorded(root: Path, folder: Path, name: str) -> Iterator[None]:
    """Write ``<name>.json`` into `folder` after a stage that succeeds.

    Parameters
    ----------
    root : Path
        The study, whose commit is recorded.
    folder : Path
    name : str
        Of the stage, with its item: ``"train@concat"``.
    """
    start = time.perf_counter()
    _measures.clear()
    yield
    content: dict[str, Any] = {
        "stage": name,
        "finished": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "seconds": round(time.perf_counter() - start, 3),
        "peak_mb": round(peak_mb(), 1),
        "commit": commit(root),
        "machine": machine(),
    }
    if _measures:
        content["measures"] = {name: round(value, 4) for name, value in _measures.items()}
    write_bytes(folder / f"{name}.json", (json.dumps(content, indent=1) + "\n").encode())


def load(folder: Path) -> list[dict[str, Any]]:
    """Return the records in a folder by the time they were written, but for unreadable ones."""
    records = []
    for path in folder.glob("*.json"):
        try:
            records.append(dict(json.loads(path.read_text())))
        except (OSError, ValueError, TypeError):
            continue  # of a run that ended while it wrote, or another version's
    return sorted(records, key=lambda record: (record.get("finished", ""), record.get("stage", "")))


def peak_mb() -> float:
    """Return the largest memory of this process, or of the largest of its children, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return max(usage.ru_maxrss for usage in usages) * unit / 1e6


def commit(root: Path) -> str:
    """Return the commit of the study; empty without one, ``+`` after it if files have changed."""
    head = _git(root, "rev-parse", "--short=12", "HEAD")
    if not head:
        return ""
    return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")


def machine() -> dict[str, str]:
    """Return operating system, processor, its cores, memory and Python; no name of the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GB",
        "python": platform.python_version(),
    }


def _processor() -> str:
    """Return the processor's model, where the system states it, or its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _git(root: Path, *words: str) -> str:
    """Return what git prints; empty if it fails, is missing or hangs."""
    try:
        done = subprocess.run(
            ("git", *words),
            cwd=root,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
