import json
from collections.abc import Callable
from pathlib import Path

import pytest

from consilience.core import circumstances
from consilience.core.errors import ConsilienceError
from consilience.project import Project
from consilience.reporting import provenance
from consilience.reporting.figure import Listing
from consilience.reporting.results import load_results
from consilience.reporting.run import write_report

Run = Callable[..., Project]


def listings(project: Project) -> dict[str, list[tuple[str, ...]]]:
    section = provenance.provenance(project, load_results(project))
    blocks = [block for block in section.blocks if isinstance(block, Listing)]
    return {block.caption: [tuple(row) for row in block.rows] for block in blocks}


def test_inputs_of_the_page_are_listed(run_of_sensors: Run) -> None:
    listed = listings(run_of_sensors())
    inputs = dict(listed["Inputs"])
    assert inputs["data"].startswith("demo: simulated by this package; 36 recordings, ")
    assert inputs["consilience"] == "1.2.3"
    assert inputs["seeds of training"] == "0, 7"
    assert inputs["folds"] == "3"
    assert listed["Parameters that differ from the package's defaults"] == [
        ("windows.hop_s", "1.0", "2.0", "params.yaml"),
        ("training.baseline", "recording", "none", "preset"),
        ("modalities.eeg.aliases.T3", "T7", "–", "preset"),
    ]
    assert listed["Code of each stage"] == [("align", "a" * 12), ("report", "b" * 12)]
    assert listed["Libraries"] == [("absent", "not installed"), ("numpy", "2.4.6")]


def test_real_recordings_are_not_simulated(run_of_sensors: Run) -> None:
    project = run_of_sensors(2)
    assert not provenance.is_simulated(project)
    assert "simulated" not in dict(listings(project)["Inputs"])["data"]


def test_changed_code_of_any_stage_changes_the_digest(run_of_sensors: Run) -> None:
    project = run_of_sensors()
    before = provenance.code_digest(provenance.fingerprints(project))
    (project.code / "align.json").write_text('{"digest": "c", "libraries": {}}')
    assert provenance.code_digest(provenance.fingerprints(project)) != before


def test_settings_of_an_earlier_version_are_missing(run_of_sensors: Run) -> None:
    project = run_of_sensors()
    (project.code / "settings.json").unlink()
    with pytest.raises(ConsilienceError, match=r"settings\.json: the results are missing"):
        provenance.provenance(project, load_results(project))


def test_copy_has_the_circumstances_of_the_run_and_the_page_has_not(run_of_sensors: Run) -> None:
    project = run_of_sensors()
    write_report(project, lambda _: None)
    before = project.report.read_bytes()
    for name in ("train@concat", "report"):
        with circumstances.recorded(project.root, project.runs, name):
            pass
    path = Path(provenance.stamped(project))
    copy = path.read_text()
    assert path == project.stamped_report
    assert ">train@concat</td>" in copy
    assert f"Python {circumstances.machine()['python']}" in copy
    assert project.report.read_bytes() == before
    assert b"train@concat" not in before
    # The copy lies one folder higher than the pages of people.
    links = before.decode().replace('href="people/', 'href="report/people/')
    head, _, tail = links.partition(provenance.PLACE)
    assert copy.startswith(head)
    assert copy.endswith(tail)


def test_results_from_a_cache_have_no_circumstances(run_of_sensors: Run) -> None:
    project = run_of_sensors()
    write_report(project, lambda _: None)
    assert "come from a cache" in Path(provenance.stamped(project)).read_text()


def test_damaged_records_are_left_out(tmp_path: Path) -> None:
    with circumstances.recorded(tmp_path, tmp_path / "runs", "align"):
        pass
    (tmp_path / "runs/label.json").write_text('{"stage": ')
    (tmp_path / "runs/window.json").write_text("3")
    (record,) = circumstances.load(tmp_path / "runs")
    assert record["stage"] == "align"
    json.dumps(record)
