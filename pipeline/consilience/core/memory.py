"""Memory that this process and its workers may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

PROC = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")
# Limit and use of a control group, in version 2 and version 1 of its interface.
FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))


def available_bytes() -> int:
    """Return what the system can give without swapping, within the limits of the control groups."""
    return min([psutil.virtual_memory().available, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """Yield what is left in each control group of this process, from its own to the outermost."""
    lines = PROC.read_text().splitlines() if PROC.is_file() else []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        group = Path(name.lstrip("/"))
        for folder in (group, *group.parents):
            for limit, used in FILES:
                # Absent, or "max" without a limit.
                with suppress(OSError, ValueError):
                    base = CGROUPS / controllers / folder
                    allowed = int((base / limit).read_text())
                    yield max(0, allowed - int((base / used).read_text()))
