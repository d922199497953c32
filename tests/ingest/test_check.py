from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console
from typer.testing import CliRunner

from consilience import params
from consilience.cli.commands import app
from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.ingest import check
from consilience.project import Project

MANIFEST = """\
session,subject,modality,path,clock
s1,ada,audio,a.wav,shared
s2,ada,audio,b.wav,anchors
s3,bob,audio,gone.wav,shared
s4,bob,audio,broken.wav,shared
s5,bob,audio,copy.wav,shared
"""
ANNOTATIONS = """\
session,annotator,target,start_s,end_s,label,value
s1,rater,emotion,0,1,calm,
s1,self,valence,0,1,,0.5
nobody,rater,emotion,0,1,sad,
s1,rater,emotion,1,0,sad,
"""


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "inf")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "recordings.csv").write_text(MANIFEST)
    (folder / "annotations.csv").write_text(ANNOTATIONS)
    for name in ("a", "b"):
        noise = 0.1 * generator("check", name).standard_normal(32000)
        soundfile.write(folder / f"{name}.wav", noise.astype(np.float32), 16000)
    (folder / "copy.wav").write_bytes((folder / "a.wav").read_bytes())
    (folder / "broken.wav").write_bytes(b"nothing")
    return folder


def run(root: Path, *arguments: object):
    """Run the command on a dataset's folder, for a project beside it."""
    words = ["--project", root.parent / "project", "check", root, *arguments]
    return CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)


def test_the_report_has_content_and_problems(root):
    content = check.check("folder", root).as_json()
    assert (content["subjects"], content["sessions"]) == (1, 2)
    audio = content["modalities"]["audio"]
    assert (audio["ok"], audio["quarantined"], audio["missing"]) == (2, 2, 1)
    assert audio["hours"] == pytest.approx(4 / 3600, abs=1e-4)
    assert content["rates_hz"] == {"audio": {"16000": 2}}
    assert content["clocks"]["to_align_without_pulses"] == ["s2"]
    counts = content["annotations"]
    assert (counts["annotators"], counts["annotated_sessions"], counts["sessions"]) == (2, 1, 5)
    assert counts["classes"] == {"calm": 1, "sad": 0}
    assert counts["sessions_without"] == ["s2", "s3", "s4", "s5"]
    problems = {row["where"]: row["what"] for row in content["problems"]}
    assert problems["gone.wav"] == "listed, but the file does not exist"
    assert problems["copy.wav"] == "duplicate of a.wav"
    assert "broken.wav" in problems
    assert "not after start_s" in problems["annotations.csv line 5"]
    assert "nobody" in problems["annotations"]
    assert all(row["remedy"] for row in content["problems"])


def test_sessions_that_lack_a_sensor_are_counted(root):
    content = check.check("folder", root).as_json()
    assert content["sessions_without"] == {"audio": ["s3", "s4", "s5"]}
    line = "audio: 3 sessions (s3, s4, s5) without a usable recording"
    assert line in run(root, "--dataset", "folder").output


def test_the_source_of_the_parameters_is_named(root):
    project = Project(root.parent / "project")
    line = f"parameters: {check.DEFAULTS}, without a params.yaml"
    assert line in run(root, "--dataset", "folder").output
    project.root.mkdir()
    content = params.defaults("folder", str(root), [], project.root)
    project.params_file.write_text(params.document(content))
    assert f"parameters: {project.params_file}" in run(root, "--dataset", "folder").output
    other = f"{check.DEFAULTS}; {project.params_file} is for the dataset 'folder'"
    assert check.source_of_params(Project(project.root), "bids") == other
    project.params_file.write_text("dataset: []\n")
    assert check.source_of_params(Project(project.root), "folder").startswith(check.DEFAULTS)


def test_problems_are_printed_with_file_and_remedy(root):
    result = run(root, "--dataset", "folder")
    for part in ("1 subject, 2 sessions", "16000 (2)", "problems: 5", "gone.wav: listed"):
        assert part in result.output
    assert "annotations.csv line 5: end_s is not after start_s" in result.output


def test_the_policy_decides_the_exit_code(root, tmp_path):
    assert run(root, "--dataset", "folder").exit_code == 0
    assert run(root, "--dataset", "folder", "--on-problem", "fail").exit_code == 1
    (root / "annotations.csv").unlink()
    (root / "recordings.csv").write_text("\n".join(MANIFEST.splitlines()[:3]))
    assert run(root, "--dataset", "folder", "--on-problem", "fail").exit_code == 0
    (root / "recordings.csv").write_text("\n".join([MANIFEST.splitlines()[0], "x,y,audio,no.wav,"]))
    assert run(root, "--dataset", "folder").exit_code == 1


def test_the_json_file_contains_the_report(root, tmp_path):
    run(root, "--dataset", "folder", "--json", tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text())
    source = check.source_of_params(Project(root.parent / "project"), "folder")
    expected = check.check("folder", root, parameters=source).as_json()
    assert content == json.loads(json.dumps(expected))
    assert {row["status"] for row in content["recordings"]} == {"ok", "quarantined", "missing"}


def test_parameters_of_the_same_dataset_give_modalities_and_policy(root):
    content = params.defaults("folder", str(root), ["audio"])
    content["dataset"]["on_problem"] = "fail"
    project = Project(root.parent / "project")
    project.root.mkdir()
    project.params_file.write_text(params.document(content))
    assert check.params_for_dataset(project, "folder") == (("audio",), "fail")
    assert check.params_for_dataset(project, "ravdess") == ((), "quarantine")
    assert check.params_for_dataset(Project(root), "folder") == ((), "quarantine")
    assert run(root, "--dataset", "folder").exit_code == 1
    assert run(root, "--dataset", "folder", "--on-problem", "quarantine").exit_code == 0


def test_findings_of_a_reader_are_listed_by_file(root, monkeypatch):
    from consilience.modalities.audio import Audio

    def inspect(self, path, item):
        if path.name == "b.wav":
            raise OSError("the disk\nis full")
        return ["clipped\tin [bold]places[/bold]"]

    monkeypatch.setattr(Audio, "inspect", inspect, raising=False)
    report = check.check("folder", root)
    assert [(f.path, f.what) for f in report.findings] == [
        ("a.wav", "clipped\\tin [bold]places[/bold]"),
        ("b.wav", "cannot be read: OSError: the disk is full"),
    ]
    console = Console(record=True, width=200)
    check.show(report, console)
    assert "a.wav: clipped\\tin [bold]places[/bold]" in console.export_text()
    assert not report.failed("quarantine")


def test_the_number_of_printed_problems_is_limited(root):
    rows = "".join(f"s{n},x,audio,{n}.wav,shared\n" for n in range(100))
    (root / "recordings.csv").write_text(MANIFEST + rows)
    report = check.check("folder", root)
    console = Console(record=True, width=200)
    check.show(report, console)
    text = console.export_text()
    assert f"and {105 - check.MAX_LINES} more: --json" in text


def test_a_folder_without_the_layout_is_an_error(tmp_path):
    with pytest.raises(ConsilienceError, match="table is missing"):
        check.check("folder", tmp_path)
    with pytest.raises(ConsilienceError, match="not a directory"):
        check.check("folder", tmp_path / "nowhere")


@pytest.mark.real_data
@pytest.mark.slow
def test_losses_and_bad_contacts_of_dasps_are_reported(real_data):
    report = check.check("dasps", real_data / "dasps")
    findings = [finding.what for finding in report.findings if finding.path == "S01.edf"]
    assert any("55" in what for what in findings), findings
    assert any("contact" in what for what in findings), findings
