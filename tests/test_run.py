"""Progress over the graph, and the stages that a run concerns."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from consilience import params
from consilience.core.dvc import ENVIRONMENT
from consilience.core.errors import ConsilienceError
from consilience.project import Project
from consilience.run import Progress, run, upstream

GRAPH: dict[str, list[str]] = {"a": [], "b@x": ["a"], "b@y": ["a"], "c": ["b@x"], "d": []}
STEPS = """
stages:
  first:
    cmd: echo printed && head -1 first.txt > first.out
    deps: [first.txt]
    outs: [first.out]
  second:
    cmd: test ! -f broken || (echo no sound >&2 && exit 3) && cp first.out second.out
    deps: [first.out]
    outs: [second.out]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    (tmp_path / "params.yaml").write_text(params.document(params.defaults("demo")))
    (tmp_path / "dvc.yaml").write_text(STEPS)
    (tmp_path / "first.txt").write_text("one\ntwo\n")
    init = [ENVIRONMENT / "dvc", "init", "--no-scm", "--quiet"]
    subprocess.run(init, cwd=tmp_path, check=True)
    return Project(tmp_path)


def test_a_target_brings_all_that_it_depends_on() -> None:
    assert set(upstream(GRAPH, [])) == set(GRAPH)
    assert set(upstream(GRAPH, ["c"])) == {"a", "b@x", "c"}
    assert set(upstream(GRAPH, ["b", "d"])) == {"a", "b@x", "b@y", "d"}
    with pytest.raises(ConsilienceError, match=r"TARGETS: unknown stage 'e' .known: a, b@x"):
        upstream(GRAPH, ["e"])


def test_stages_are_numbered_as_dvc_begins_or_skips_them() -> None:
    lines: list[str] = []
    progress = Progress(3, lines.append)
    for line in (
        "Stage 'a' didn't change, skipping",
        "Running stage 'b@x':",
        "> consilience stage b --item x",
        "  8 of 9 usable",
        "Stage 'c' is cached - skipping run, checking out outputs",
    ):
        progress.report(line)
    assert lines == [
        "[1/3] a: up to date",
        "[2/3] b@x",
        "  8 of 9 usable",
        "[3/3] c: from the cache",
    ]
    assert progress.stage == "b@x"


@pytest.mark.slow
def test_stages_run_are_skipped_and_fail_with_one_line(project: Project) -> None:
    lines: list[str] = []
    run(project, [], lines.append)
    assert lines == ["[1/2] first", "printed", "[2/2] second"]
    lines.clear()
    run(project, ["first"], lines.append)
    assert lines == ["[1/1] first: up to date", "Data and pipelines are up to date."]
    (project.root / "first.txt").write_text("three\n")
    (project.root / "broken").touch()
    with pytest.raises(ConsilienceError, match=r"second: no sound \(exited with 3\)"):
        run(project, [], lines.append)
    (project.root / "params.yaml").write_text("modalities: {'x; touch owned': {}}\n")
    with pytest.raises(ConsilienceError, match="invalid name"):
        run(project, [], lines.append)


def test_a_folder_without_a_study_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(params.document(params.defaults("demo")))
    with pytest.raises(ConsilienceError, match="consilience init"):
        run(Project(tmp_path), [], print)
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
