from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.speed.noop import PYTHON, cost


def test_cost_has_the_processor_time_of_child_processes(tmp_path: Path) -> None:
    work = "import time; [0 for _ in iter(lambda: time.process_time() < 0.3, False)]"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"
    measured = cost((PYTHON, "-c", outer), tmp_path, os.environ)
    assert measured.processor_s > 0.3
    assert measured.wall_s > 0.3


@pytest.mark.parametrize("code", ["print(\"Running stage 'align':\")", "import sys; sys.exit(1)"])
def test_a_run_that_did_something_or_failed_is_not_measured(tmp_path: Path, code: str) -> None:
    with pytest.raises(RuntimeError, match="nothing to do"):
        cost((PYTHON, "-c", code), tmp_path, os.environ)


def test_stage_code_is_part_of_a_run_with_nothing_to_do(tmp_path: Path) -> None:
    cost((PYTHON, "-c", "print(\"Running stage 'code':\")"), tmp_path, os.environ)
