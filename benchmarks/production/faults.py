"""All faults of a production campaign, the first one of every kind first."""

from __future__ import annotations

from benchmarks.production.fault import Fault
from benchmarks.production.remotes import remotes
from benchmarks.production.stopped import cancelled, stopped, together
from benchmarks.production.surroundings import surroundings


def all_faults() -> list[Fault]:
    """Return every fault; further ones of a kind come after the first ones of all kinds."""
    faults = [
        Fault("nothing", "undisturbed", "", ("COMPLETED",), parameters={"gate": True}),
        *stopped(),
        *cancelled(),
        *together(),
        *surroundings(),
        *remotes(),
    ]
    seen: dict[str, int] = {}
    numbers = {}
    for fault in faults:
        seen[fault.kind] = numbers[fault.name] = seen.get(fault.kind, 0) + 1
    return sorted(faults, key=lambda fault: numbers[fault.name])
