"""Recordings are reported once, when complete, over restarts and failures of the server."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from consilience.core.errors import ConsilienceError
from consilience.flows import watch
from consilience.flows.watch import Watcher, event_of, is_temporary, load_state, save_state
from consilience.project import Project

STABLE_S = 5.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    return folder


@pytest.fixture
def watcher(root: Path) -> Watcher:
    return Watcher(root, STABLE_S)


class Sent(list[dict[str, Any]]):
    """Events that a server received; it refuses those of the first `n_refused` attempts."""

    n_refused = 0

    def __call__(self, event: dict[str, Any]) -> str:
        if self.n_refused:
            self.n_refused -= 1
            return "the Prefect server does not answer"
        self.append(event)
        return ""


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    events = Sent()
    monkeypatch.setattr(watch, "send", events)
    return events


def test_a_file_is_complete_when_it_has_not_changed_for_a_while(
    root: Path, watcher: Watcher
) -> None:
    path = root / "a.edf"
    with path.open("wb") as file:
        for now_s in range(0, 20, 3):  # a slow copy
            file.write(b"x" * 100)
            file.flush()
            assert watcher.look(float(now_s)) == {}
    assert watcher.look(18.0 + STABLE_S - 0.1) == {}
    assert watcher.look(18.0 + STABLE_S).keys() == {"a.edf"}


def test_a_file_whose_time_alone_changes_is_not_complete(root: Path, watcher: Watcher) -> None:
    path = root / "a.edf"
    path.write_bytes(b"x" * 100)  # its final size, as programs that copy into a reserved space
    watcher.look(0.0)
    os.utime(path, ns=(1, 10**9))
    assert watcher.look(STABLE_S) == {}
    assert watcher.look(2 * STABLE_S).keys() == {"a.edf"}


def test_nothing_is_reported_while_another_file_is_copied(root: Path, watcher: Watcher) -> None:
    (root / "header.vhdr").write_text("complete")
    watcher.look(0.0)
    (root / "header.eeg").write_text("half")
    assert watcher.look(STABLE_S) == {}
    assert watcher.changing(STABLE_S) == ["header.eeg"]
    assert watcher.look(2 * STABLE_S).keys() == {"header.vhdr", "header.eeg"}


def test_a_changed_file_is_reported_again_and_a_removed_one_is_forgotten(
    root: Path, watcher: Watcher
) -> None:
    path = root / "a.edf"
    path.write_text("first")
    watcher.look(0.0)
    watcher.confirm(watcher.look(STABLE_S))
    assert watcher.look(100.0) == {}
    path.write_text("second version")
    watcher.look(101.0)
    files = watcher.look(101.0 + STABLE_S)
    assert files.keys() == {"a.edf"}
    watcher.confirm(files)
    path.unlink()
    assert watcher.look(200.0) == {}
    assert not watcher.reported


@pytest.mark.parametrize(
    "name", [".a.edf.Xy12Zz", "a.edf.part", "a.edf.filepart", "~$notes.csv", "a.edf~", "a.TMP"]
)
def test_names_of_unfinished_copies_are_not_reported(
    root: Path, watcher: Watcher, name: str
) -> None:
    assert is_temporary(f"sub/{name}")
    (root / name).write_text("half")
    assert watcher.look(0.0) == {}
    assert watcher.look(10 * STABLE_S) == {}


@pytest.mark.parametrize("name", ["a.edf", "parts/a.wav", "temporal.csv", "x.part.edf"])
def test_ordinary_names_are_not_those_of_copies(name: str) -> None:
    assert not is_temporary(name)


def test_a_rename_at_the_end_of_a_copy_is_a_new_file(root: Path, watcher: Watcher) -> None:
    (root / ".a.edf.Xy12Zz").write_text("whole")
    watcher.look(0.0)
    (root / ".a.edf.Xy12Zz").rename(root / "a.edf")
    assert watcher.look(STABLE_S) == {}
    assert watcher.look(2 * STABLE_S).keys() == {"a.edf"}


def test_the_same_files_have_the_same_event(root: Path, tmp_path: Path) -> None:
    project = Project(tmp_path)
    files = {"b.edf": (3, 4), "a.edf": (1, 2)}
    events = [
        event_of(project, root, files),
        event_of(project, root, dict(reversed(files.items()))),
    ]
    assert events[0]["id"] == events[1]["id"]
    assert events[0]["id"] != event_of(project, root, {**files, "a.edf": (1, 3)})["id"]
    assert events[0]["payload"]["summary"] == "2 complete files: a.edf, b.edf"
    assert events[0]["resource"]["consilience.folder"] == str(tmp_path.resolve())


def test_an_event_has_a_bounded_size(root: Path, tmp_path: Path) -> None:
    files = {f"{number:05}-{'x' * 100}.edf": (1, 2) for number in range(10_000)}
    event = event_of(Project(tmp_path), root, files)
    assert len(json.dumps(event)) < 100_000
    assert event["payload"]["n_files"] == 10_000


def test_a_restart_reports_only_what_is_new(root: Path, tmp_path: Path, sent: Sent) -> None:
    (root / "a.edf").write_text("first")
    run_once(tmp_path, root)
    (root / "b.edf").write_text("second")  # while no watcher runs
    run_once(tmp_path, root)
    assert [event["payload"]["files"] for event in sent] == [["a.edf"], ["b.edf"]]


def test_an_event_that_the_server_has_not_received_is_sent_again(
    root: Path, tmp_path: Path, sent: Sent
) -> None:
    sent.n_refused = 3
    (root / "a.edf").write_text("first")
    lines = run_once(tmp_path, root)
    assert len(sent) == 1
    refusals = [line for line in lines if "does not answer" in line]
    assert len(refusals) == 1
    assert refusals[0].endswith("1 complete files: a.edf will be reported when it answers")


def test_a_damaged_or_foreign_state_reports_everything(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "reported.json"
    save_state(file, Watcher(root, 1.0, {"a.edf": (1, 2)}))
    assert load_state(file, root) == {"a.edf": (1, 2)}
    assert load_state(file, tmp_path) == {}
    file.write_text(file.read_text()[:20])
    assert load_state(file, root) == {}


def test_a_drive_that_is_away_for_a_while_reports_nothing(
    root: Path, watcher: Watcher, tmp_path: Path
) -> None:
    (root / "a.edf").write_text("first")
    watcher.look(0.0)
    watcher.confirm(watcher.look(STABLE_S))
    shutil.move(root, tmp_path / "away")
    lines: list[str] = []
    assert watch._looked(watcher, 20.0, lines.append) == {}
    shutil.move(tmp_path / "away", root)
    assert watch._looked(watcher, 40.0, lines.append) == {}
    assert watcher.look(60.0) == {}
    assert not lines


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="not a directory"):
        watch.watch(Project(tmp_path), tmp_path / "absent", print)


def run_once(folder: Path, root: Path) -> list[str]:
    """Watch until an event is received; return the printed lines."""
    lines: list[str] = []
    watch.watch(Project(folder), root, lines.append, stable_s=0.05, poll_s=0.02, once=True)
    return lines
