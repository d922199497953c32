import asyncio
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from consilience.core import dvc
from consilience.core.dvc import (
    ALWAYS,
    ENVIRONMENT,
    Outcome,
    _reason,
    add,
    lock_holders,
    parse_graph,
    reproduce,
    stage_changes,
    stage_graph,
)
from consilience.core.errors import ConsilienceError

Project = Callable[[float], Path]


def test_graph_lists_upstream_stages_before_the_stages_that_need_them() -> None:
    dot = 'strict digraph  {\n"c";\n"a@x";\n"b";\n"b" -> "c";\n"a@x" -> "c";\n"a@x" -> "b";\n}\n'
    graph = parse_graph(dot)
    assert graph == {"a@x": [], "b": ["a@x"], "c": ["b", "a@x"]}
    assert list(graph) == ["a@x", "b", "c"]


def test_graph_equals_that_of_dvc_dag(project: Project) -> None:
    graph = asyncio.run(stage_graph(project(0)))
    assert set(graph.pop("align")) == {"ingest@audio", "ingest@face_au", "ingest@eeg"}
    assert graph == {"ingest@audio": [], "ingest@face_au": [], "ingest@eeg": []}


def test_a_folder_without_project_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="not inside of a DVC repository") as caught:
        asyncio.run(stage_graph(tmp_path))
    assert "\n" not in str(caught.value)


def test_changes_are_those_of_stages_that_dvc_would_run(project: Project) -> None:
    folder = project(0)
    asyncio.run(reproduce(folder, "ingest@eeg", 1, None, lambda line: None))
    path = folder / "dvc.yaml"
    path.write_text(path.read_text() + "  code:\n    cmd: 'true'\n    always_changed: true\n")
    asyncio.run(reproduce(folder, "code", 1, None, lambda line: None))
    changes = asyncio.run(stage_changes(folder))
    assert changes.keys() == {"code", "ingest@audio", "ingest@face_au", "align"}
    assert changes["code"] == [ALWAYS]
    assert changes["align"] != [ALWAYS]


def test_what_dvc_cannot_read_is_one_line(project: Project) -> None:
    folder = project(0)
    (folder / "dvc.lock").write_text("schema: '2.0'\nstages: 3\n")
    with pytest.raises(ConsilienceError, match=r"dvc\.lock") as caught:
        asyncio.run(stage_changes(folder))
    assert "\n" not in str(caught.value)


def test_an_added_folder_is_tracked_and_an_output_of_a_stage_is_refused(project: Project) -> None:
    folder = project(0)
    (folder / "kept").mkdir()
    (folder / "kept/one").write_text("1")
    asyncio.run(add(folder, folder / "kept"))
    assert "nfiles: 1" in (folder / "kept.dvc").read_text()
    (folder / "kept/two").write_text("2")
    asyncio.run(add(folder, folder / "kept"))
    assert "nfiles: 2" in (folder / "kept.dvc").read_text()
    with pytest.raises(ConsilienceError, match="'dvc add absent'") as caught:
        asyncio.run(add(folder, folder / "absent"))
    assert "\n" not in str(caught.value)


def test_lines_are_reported_while_the_stage_runs(project: Project) -> None:
    folder = project(2)
    seen: dict[str, float] = {}
    outcome = asyncio.run(
        reproduce(folder, "ingest@eeg", 3, None, lambda line: seen.update({line: time.monotonic()}))
    )
    assert outcome == Outcome("ran")
    assert time.monotonic() - seen["eeg may use 3 workers"] > 2


def test_a_stage_waits_for_a_reproduction_by_hand(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvc, "BUSY_S", 0.5)
    folder = project(8)
    lines: list[str] = []
    by_hand = subprocess.Popen([ENVIRONMENT / "dvc", "repro", "ingest@eeg"], cwd=folder)
    try:
        while not (folder / "eeg.pid").exists():
            time.sleep(0.05)
        assert any("repro ingest@eeg" in holder for holder in lock_holders(folder))
        outcome = asyncio.run(reproduce(folder, "ingest@eeg", 1, None, lines.append))
    finally:
        by_hand.wait()
    assert outcome == Outcome("cached")
    assert "ingest@eeg waits for another DVC process" in lines
    assert lock_holders(folder) == []


def test_a_forced_stage_runs_although_it_is_up_to_date(project: Project) -> None:
    folder = project(0)
    for force, state in ((False, "ran"), (False, "cached"), (True, "ran")):
        work = reproduce(folder, "ingest@eeg", 1, None, lambda line: None, force=force)
        assert asyncio.run(work) == Outcome(state)


def test_a_failed_stage_returns_its_last_line(project: Project) -> None:
    folder = project(0)
    (folder / "eeg.fails").touch()
    outcome = asyncio.run(reproduce(folder, "ingest@eeg", 1, None, lambda line: None))
    assert outcome == Outcome("failed", "eeg: the microphone is off (switch it on) (exited with 1)")


def test_lines_after_the_end_of_a_killed_stage_are_not_its_reason() -> None:
    lines = ["Running stage 'ingest':", "> consilience stage ingest", "7 of 9 recordings"]
    end = "ERROR: failed to reproduce 'ingest': failed to run: consilience, exited with -9"
    warning = "  warnings.warn('resource_tracker: There appear to be %d '"
    assert _reason([*lines, end, warning]) == "7 of 9 recordings (exited with -9)"
    assert _reason([*lines[:2], end, warning]) == end.removeprefix("ERROR: ")
    assert _reason([*lines, "ERROR: 'dvc.yaml' is invalid."]) == "'dvc.yaml' is invalid."


def test_the_reason_of_a_named_error_lacks_the_word_and_the_exit_status() -> None:
    end = "ERROR: failed to reproduce 'align': failed to run: align, exited with 1"
    lines = [
        "Running stage 'align':",
        "> consilience stage align",
        "error: modality eeg: flat",
        end,
    ]
    assert _reason(lines) == "modality eeg: flat"


def test_an_unknown_stage_returns_the_reason_of_dvc(project: Project) -> None:
    outcome = asyncio.run(reproduce(project(0), "ingest@smell", 1, None, lambda line: None))
    assert outcome.state == "failed"
    assert "ingest@smell" in outcome.reason


def test_a_stage_that_exceeds_its_time_limit_fails(project: Project) -> None:
    outcome = asyncio.run(reproduce(project(60), "ingest@eeg", 1, 0.2, lambda line: None))
    assert outcome == Outcome("failed", "took longer than 0.2 s")


def test_no_process_outlives_a_cancelled_stage(
    project: Project, is_running: Callable[[int], bool]
) -> None:
    folder = project(60)
    pid_file = folder / "eeg.pid"

    async def cancel() -> None:
        stage = reproduce(folder, "ingest@eeg", 1, None, lambda line: None)
        running = asyncio.create_task(stage)
        while not (pid_file.exists() and pid_file.read_text()):
            await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancel())
    pid = int(pid_file.read_text())
    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(pid)
