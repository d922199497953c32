import re
import subprocess
import sys
from collections.abc import Callable

from consilience import params
from consilience.project import Project
from consilience.reporting.run import write_report

Run = Callable[..., Project]
HEAVY = ["torch", "mne", "librosa", "cv2", "av", "scipy.signal", "onnxruntime"]


def test_report_is_one_page_in_the_project(run_of_sensors: Run) -> None:
    project, lines = run_of_sensors(), list[str]()
    write_report(project, lines.append)
    assert project.report.read_text().startswith("<!doctype html>")
    assert lines == [f"report: open {project.report}"]


def test_beside_the_page_lie_a_data_card_and_a_page_of_each_person(run_of_sensors: Run) -> None:
    project = run_of_sensors()
    write_report(project, lambda line: None)
    folder = project.report.parent
    assert (folder / "data_card.md").read_text().startswith("# Data card")
    pages = sorted(folder.glob("people/*.html"))
    assert [path.stem for path in pages] == [f"sub-{number:02}" for number in range(1, 7)]
    # Without plotly, which alone has 4.8 MB.
    assert max(path.stat().st_size for path in pages) < 300_000
    assert all(f'href="people/{path.name}"' in project.report.read_text() for path in pages)
    first = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write_report(project, lambda line: None)
    assert first == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_under_pseudonyms_no_file_of_the_report_bears_a_name(run_of_sensors: Run) -> None:
    project = run_of_sensors()
    content = params.read_yaml(project.params_file)
    content["privacy"]["pseudonyms"] = True
    project.params_file.write_text(params.document(content))
    project = Project(project.root)
    write_report(project, lambda line: None)
    files = [path for path in project.report.parent.rglob("*") if path.is_file()]
    assert len(files) == 8
    for path in files:
        # Names of people, which sessions, recordings and files begin with.
        assert not re.search(r"sub-0\d", path.name + path.read_text())
        assert "&lt;first&gt;" not in path.read_text()  # an annotator
    assert (project.root / "pseudonyms.key").is_file()


def test_stage_runs_without_heavy_libraries(run_of_sensors: Run) -> None:
    project = run_of_sensors()
    code = f"""
import sys
from consilience import stages
from consilience.stages import report
stages.run(report.stage, [])
print([name for name in {HEAVY} if name in sys.modules])
"""
    command = [sys.executable, "-c", code]
    stage = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=True)
    assert stage.stdout.splitlines()[-1] == "[]"
    assert project.report.is_file()
