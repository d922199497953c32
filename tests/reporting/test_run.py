import subprocess
import sys
from collections.abc import Callable

from consilience.project import Project
from consilience.reporting.run import write_report

Run = Callable[..., Project]
HEAVY = ["torch", "mne", "librosa", "cv2", "av", "scipy.signal", "onnxruntime"]


def test_report_is_one_page_in_the_project(run_of_sensors: Run) -> None:
    project, lines = run_of_sensors(), list[str]()
    write_report(project, lines.append)
    assert project.report.read_text().startswith("<!doctype html>")
    assert lines == [f"report: open {project.report}"]


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
