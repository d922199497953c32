"""How a stage ends: a mistake and a refusal of the system are one line each."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from consilience import stages
from consilience.core import interruption
from consilience.core.errors import ConsilienceError
from consilience.core.files import read_json


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("consilience.core.processes.end_with_parent", lambda *_: None)
    (tmp_path / "data/raw").mkdir(parents=True)
    yield tmp_path
    gc.unfreeze()


def raising(error: BaseException):
    def stage(*_: object) -> None:
        raise error

    return stage


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConsilienceError("no samples", "a.edf"), "error: a.edf: no samples"),
        (OSError(28, "No space left on device", "x"), "error: x: No space left on device"),
        (MemoryError(), "error: not enough memory (set CONSILIENCE_WORKERS to a smaller number)"),
    ],
)
def test_an_error_is_one_line(error, line, capsys):
    with pytest.raises(SystemExit) as ended:
        stages.run(raising(error), [])
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"{line}\n"


def test_option_names_are_not_arguments(project):
    found = []
    stages.run(lambda *arguments: found.append(arguments[1:]), ["--modality", "eeg"])
    assert found == [("eeg",)]


@pytest.mark.parametrize(("place", "removed"), [("data/windows.json", True), ("x.json", False)])
def test_a_damaged_result_is_removed(project, capsys, place, removed):
    path = project / place
    path.write_text('{"half')
    with pytest.raises(SystemExit):
        stages.run(lambda *_: read_json(path), [])
    assert path.exists() != removed
    assert str(path) in capsys.readouterr().err


def test_an_interruption_of_the_first_import_is_one_line():
    code = """
import sys

class Interrupted:
    def find_spec(name, *_):
        if name == "consilience.core.errors":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted)
from consilience import stages
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr == f"{interruption.INTERRUPTED}\n"


def test_a_low_limit_of_memory_is_one_line():
    code = "from consilience import stages"
    command = ["bash", "-c", f"ulimit -v 700000; exec {sys.executable} -c '{code}'"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: a process may use 0.7 GiB of address space")
    assert done.stderr.count("\n") == 1


def test_an_interruption_is_one_line(capsys):
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == "error: interrupted; 'dvc repro' continues\n"
    panic = type("PanicException", (BaseException,), {})
    sys.excepthook(panic, panic("no\nmemory"), None)
    assert capsys.readouterr().err.startswith("error: a library failed: no memory")
    sys.excepthook(MemoryError, MemoryError(), None)
    assert capsys.readouterr().err.startswith("error: a library failed: MemoryError (is there")
    sys.excepthook(ValueError, ValueError("x"), None)
    assert "ValueError: x" in capsys.readouterr().err


def test_collections_of_garbage_do_not_visit_the_modules():
    frozen = []
    stages.run(lambda *_: frozen.append(gc.get_freeze_count()), [])
    assert frozen[0] > 10_000
