"""Service that reports new recordings to a Prefect server, once they are complete.

The folder is read at an interval: notifications of the system do not cross network drives, where
recordings often arrive, and a service that was stopped has missed those of the meantime. A look at
a local folder of 10,000 files took 0.3 s.

A file is complete when its size and its time have not changed for a while. Nothing is reported
while any file still changes, because a run reads the whole folder. What has been reported is kept
in a file, written after the server has confirmed the event: an event may arrive twice, with the
same id, and is never lost.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from consilience.core.errors import ConsilienceError, one_line
from consilience.core.files import read_json, text_hash, write_json
from consilience.core.special_files import file_states
from consilience.project import Project

EVENT = "consilience.recordings.complete"
RESOURCE = "consilience.study"
POLL_S = 10.0
STABLE_S = 60.0
REPORT_S = 600.0  # interval at which it prints that files still change
MAX_NAMES = 200  # in an event, whose size the server limits
# Names that programs give to a file while they copy it: rsync, cp of file managers, browsers,
# FileZilla, WinSCP, Syncthing, editors.
TEMPORARY = re.compile(
    r"(^\.)|(^~)|(~$)|\.(part|partial|tmp|temp|crdownload|download|filepart|swp|incomplete)$",
    re.IGNORECASE,
)

FileState = tuple[int, int]  # size in bytes, time of the last change in ns


@dataclass
class Watcher:
    """State of the service between two looks at the folder.

    Attributes
    ----------
    root : Path
        Folder of the recordings.
    stable_s : float
        How long size and time of a file must not change in s.
    reported : dict of str to (int, int)
        States that were reported, by path in the folder.
    seen : dict of str to ((int, int), float)
        State of every other file, and since when in s of the monotonic clock.
    """

    root: Path
    stable_s: float
    reported: dict[str, FileState] = field(default_factory=dict)
    seen: dict[str, tuple[FileState, float]] = field(default_factory=dict)

    def look(self, now_s: float) -> dict[str, FileState]:
        """Read the folder; return the new and changed files if all are complete, else none."""
        states = {str(path.relative_to(self.root)): s for path, s in file_states(self.root).items()}
        self.reported = {path: s for path, s in self.reported.items() if path in states}
        open_files = {path: s for path, s in states.items() if self.reported.get(path) != s}
        self.seen = {
            path: self.seen[path]
            if path in self.seen and self.seen[path][0] == state
            else (state, now_s)
            for path, state in open_files.items()
        }
        if self.changing(now_s):
            return {}
        return {path: s for path, s in open_files.items() if not is_temporary(path)}

    def changing(self, now_s: float) -> list[str]:
        """Return the files that have changed within the last `stable_s`, copies included."""
        return [path for path, (_, since) in self.seen.items() if now_s - since < self.stable_s]

    def confirm(self, files: Mapping[str, FileState]) -> None:
        """Take files for reported."""
        self.reported |= files
        self.seen = {path: entry for path, entry in self.seen.items() if path not in files}


def is_temporary(path: str) -> bool:
    """Return whether a file has the name of an unfinished copy."""
    return bool(TEMPORARY.search(path.rpartition("/")[2]))


def watch(
    project: Project,
    root: Path | None,
    emit: Callable[[str], None],
    stable_s: float = STABLE_S,
    poll_s: float = POLL_S,
    once: bool = False,
) -> None:
    """Report complete recordings until a signal ends the process.

    Parameters
    ----------
    project : Project
    root : Path or None
        Folder of the recordings; None for the study's own.
    emit : callable
        Called with every line to print.
    stable_s, poll_s : float
        See `Watcher`; interval of the looks in s.
    once : bool
        Whether it ends after the first event that the server has confirmed.

    Raises
    ------
    ConsilienceError
        If the folder does not exist at the start.
    """
    root = (root or project.dataset_root).resolve()
    if not root.is_dir():
        raise ConsilienceError("not a directory", str(root), "name the folder of the recordings")
    file = state_file(project)
    watcher = Watcher(root, stable_s, load_state(file, root))
    emit(f"watching {root}: {len(watcher.reported)} files were reported before")
    unreachable, printed_s = "", time.monotonic()
    while True:
        now_s = time.monotonic()
        files = _looked(watcher, now_s, emit)
        if files:
            failure = send(event_of(project, root, files))
            if not failure:
                watcher.confirm(files)
                save_state(file, watcher)
                emit(f"reported {described(files)}")
                unreachable = ""
                if once:
                    return
            elif failure != unreachable:
                emit(f"{failure}; {described(files)} will be reported when it answers")
                unreachable = failure
        elif (changing := watcher.changing(now_s)) and now_s - printed_s > REPORT_S:
            emit(f"waiting: {len(changing)} files still change, such as {one_line(changing[0])}")
            printed_s = now_s
        time.sleep(poll_s)


def _looked(watcher: Watcher, now_s: float, emit: Callable[[str], None]) -> dict[str, FileState]:
    """Read the folder; while a network drive is away, nothing has changed."""
    if not watcher.root.is_dir():
        return {}
    try:
        return watcher.look(now_s)
    except OSError as error:
        emit(f"{watcher.root} cannot be read: {error.strerror}; it will be tried again")
        return {}


def described(files: Mapping[str, FileState]) -> str:
    """Return the number of files and the first names, in one line."""
    names = sorted(map(one_line, files))
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} complete files: {', '.join(names[:3])}{rest}"


def event_of(project: Project, root: Path, files: Mapping[str, FileState]) -> dict[str, Any]:
    """Return the event about files; the same files in the same state have the same id."""
    listed = sorted((path, *state) for path, state in files.items())
    key = text_hash(str(root), *(f"{path} {size} {when}" for path, size, when in listed))
    names = sorted(map(one_line, files))
    return {
        "id": str(uuid5(NAMESPACE_URL, f"{EVENT}/{key}")),
        "event": EVENT,
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {
            "prefect.resource.id": f"{RESOURCE}.{project.root.name}",
            "prefect.resource.name": project.root.name,
            "consilience.folder": str(project.root.resolve()),
        },
        "payload": {
            "root": str(root),
            "summary": described(files),
            "files": names[:MAX_NAMES],
            "n_files": len(names),
        },
    }


def send(event: Mapping[str, Any]) -> str:
    """Send an event to the Prefect server; return one line if it has not confirmed it.

    `prefect.events.emit_event` puts an event into a queue and reports no failure.
    """
    from prefect import get_client  # slow to import
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        raise ConsilienceError(
            "the address of the Prefect server is not set", "PREFECT_API_URL", "export it first"
        )
    try:
        with get_client(sync_client=True) as client:
            client.request("POST", "/events", json=[dict(event)]).raise_for_status()
    except Exception as error:  # of the network, of the client, or an answer of the server
        return f"the Prefect server {url} does not answer: {type(error).__name__}"
    return ""


def state_file(project: Project) -> Path:
    """Return the file of what was reported; git and DVC ignore it."""
    return project.store("watch") / "reported.json"


def load_state(file: Path, root: Path) -> dict[str, FileState]:
    """Return what was reported; nothing if the file is absent, damaged, or of another folder."""
    if not file.is_file():
        return {}
    try:
        content = read_json(file)
        if content["root"] != str(root):
            return {}
        return {path: (int(size), int(when)) for path, (size, when) in content["files"].items()}
    except (ConsilienceError, KeyError, TypeError, ValueError):
        return {}  # everything is reported again, and a run without changes does nothing


def save_state(file: Path, watcher: Watcher) -> None:
    """Write what was reported, atomically."""
    write_json(file, {"root": str(watcher.root), "files": watcher.reported})
