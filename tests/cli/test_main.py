"""The entry point: a stage imports nothing of the other commands, and an error is one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from consilience import cli

OTHERS = (
    "typer",
    "click",
    "rich",
    "numpy",
    "pydantic",
    "polars",
    "psutil",
    "consilience.cli.commands",
)


def test_a_stage_imports_neither_the_commands_nor_their_library(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom consilience.cli import main\n"
        "sys.argv = ['consilience', 'stage', 'nowhere']\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert ended.code == 1\n"
        f"print(*(name for name in {OTHERS} if name in sys.modules))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
    assert done.stderr.startswith("error: consilience stage: unknown stage 'nowhere' (known: align")


@pytest.fixture(autouse=True)
def hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the hook for exceptions, which typer replaces."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.mark.parametrize("words", [["stage"], ["stage", "../code"], ["stage", "--help"]])
def test_an_unknown_stage_is_one_line(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["consilience", *words])
    with pytest.raises(SystemExit):
        cli.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: consilience stage: unknown stage")


def test_what_the_system_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr(
        sys, "argv", ["consilience", "--project", str(blocked / "below"), "use", "demo"]
    )
    with pytest.raises(SystemExit):
        cli.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {blocked}")
