"""A project's paths and parameters, and several projects in one process."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consilience import params
from consilience.core.errors import ConsilienceError
from consilience.preparation import recordings_to_windows
from consilience.project import Project
from consilience.schema.params.alignment import AlignmentParams
from consilience.schema.params.dataset import DatasetParams
from consilience.synthesis.run import synthesize


def write_params(root: Path, seconds: float, **sections: dict[str, object]) -> Project:
    """Write parameters of a demonstration corpus whose trials last so long."""
    content = params.defaults("demo", modalities=["eeg", "audio"])
    content["synthesis"] |= {
        "subjects": 3,
        "sessions": 1,
        "trials": 2,
        "trial_s": seconds,
        "missing_fraction": 0.0,
        "faulty_fraction": 0.0,
    }
    content["splits"] |= {"folds": 3, "validation_subjects": 1}
    for name, values in sections.items():
        content[name] |= values
    root.mkdir(parents=True)
    (root / "params.yaml").write_text(params.document(content))
    return Project(root)


def test_every_path_lies_below_the_root(tmp_path: Path) -> None:
    project = write_params(tmp_path / "p", 6)
    paths = [
        project.params_file,
        project.dataset_root,
        project.raw("demo"),
        project.truth("demo"),
        project.code,
        project.catalog,
        project.recordings_table("eeg"),
        project.signals("eeg"),
        project.store("eeg"),
        project.alignment,
        project.labels,
        project.windows,
        project.model("hybrid"),
        project.checkpoints("hybrid"),
        project.evaluation,
        project.score("demo"),
        project.report,
        project.external("key").root,
    ]
    assert all(path.is_relative_to(tmp_path / "p") for path in paths)
    assert len(set(paths)) == len(paths) - 1  # the demonstration corpus is the dataset


def test_a_relative_root_is_bound_when_the_project_is_made() -> None:
    assert Project("some/where").root == Path.cwd() / "some/where"


def test_a_section_is_read_and_checked_alone(tmp_path: Path) -> None:
    project = write_params(tmp_path / "p", 6)
    assert project.section(AlignmentParams) == AlignmentParams()
    text = project.params_file.read_text().replace("tolerance_ms: 20.0", "tolerance_ms: -1.0")
    project.params_file.write_text(text)
    other = Project(project.root)
    assert other.section(DatasetParams).name == "demo"
    with pytest.raises(ConsilienceError, match=r"alignment\.tolerance_ms = -1\.0"):
        other.section(AlignmentParams)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset: {}", "section alignment is missing"),
        ("alignment: {max_offset_s: 5.0}", r"parameter alignment\.max_drift_ppm is missing"),
        ("alignment: {max_ofset_s: 5.0}", "did you mean 'max_offset_s'"),
        ("[1, 2]", "not a mapping of sections"),
        ("a: [", "not valid YAML"),
    ],
)
def test_an_invalid_file_is_one_clear_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConsilienceError, match=message) as raised:
        Project(tmp_path).section(AlignmentParams)
    assert "\n" not in str(raised.value)
    assert str(tmp_path / "params.yaml") in str(raised.value)


def test_a_missing_file_names_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="consilience init"):
        Project(tmp_path).section(AlignmentParams)


def contents(project: Project) -> dict[str, bytes]:
    files = (path for path in sorted(project.windows.rglob("*")) if path.is_file())
    return {path.relative_to(project.windows).as_posix(): path.read_bytes() for path in files}


@pytest.mark.slow
def test_two_projects_run_at_once_in_threads_of_one_process(tmp_path: Path) -> None:
    def run(project: Project) -> list[str]:
        lines: list[str] = []
        recordings_to_windows(project, lines.append)
        return lines

    fast = {"eeg": {"corruptions": {}}, "audio": {"corruptions": {}}}
    alone = [write_params(tmp_path / f"alone_{s}", s, modalities=fast) for s in (5, 6)]
    together = [write_params(tmp_path / f"together_{s}", s, modalities=fast) for s in (5, 6)]
    for one, other in zip(alone, together, strict=True):
        synthesize(one, "demo")
        shutil.copytree(one.raw("demo"), other.raw("demo"))
        run(one)
    with ThreadPoolExecutor(2) as threads:
        summaries = list(threads.map(run, together))
    for one, other in zip(alone, together, strict=True):
        assert contents(one) == contents(other)
    assert contents(together[0]) != contents(together[1])
    assert all(any(line.startswith("window: ") for line in lines) for lines in summaries)
    run(together[0])  # a second time in the same process
    assert contents(together[0]) == contents(alone[0])


@pytest.mark.parametrize(
    ("root", "valid"),
    [
        ("data/raw/mine", True),
        ("../elsewhere", True),
        (".", False),
        ("data", False),
        ("data/raw", False),
        ("..", False),
        ("data/signals", False),
        ("data/raw/../windows", False),
    ],
)
def test_the_recordings_lie_apart_from_the_results(tmp_path: Path, root: str, valid: bool) -> None:
    project = write_params(tmp_path / "p", 6, dataset={"root": root})
    if valid:
        assert project.dataset_root == project.root / root
    else:
        with pytest.raises(ConsilienceError, match=r"dataset\.root .*the results"):
            _ = project.dataset_root
