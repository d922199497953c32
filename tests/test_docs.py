"""README and docs say what is so: commands, options, paths, links and code blocks.

The pages on adding a modality and a dataset are followed to the end in tests/test_scaffold.py.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
from dvc.cli.parser import get_main_parser
from typer.testing import CliRunner

from consilience.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES.remove(ROOT / "docs/log.md")  # what was, not what is
CLI = typer.main.get_command(app)
COMMAND = re.compile(r"^ {4}((?:\.venv/bin/)?(?:consilience|dvc|make|python|prefect) .*|git .*)$")
NAMED = re.compile(r"`((?:pipeline|docs|tests|flows|data)/[\w/.-]+|[\w-]+\.(?:yaml|toml|lock|md))`")
MADE = (
    "data/",
    "pipeline/consilience/modalities/gaze",
    "tests/modalities/test_gaze",
)  # by following the page
MADE += ("pipeline/consilience/datasets/callcentre", "tests/datasets/test_callcentre")


def lines(pattern: re.Pattern[str]) -> list[object]:
    """Return what the pattern finds in the pages outside of fenced code, each once."""
    found = {}
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for one in re.findall(pattern, text) if pattern is NAMED else text.splitlines():
            match = one if pattern is NAMED else (m[1] if (m := pattern.match(one)) else None)
            if match:
                found.setdefault(match, page.name)
    return [pytest.param(one, id=f"{page}: {one[:60]}") for one, page in found.items()]


def fenced(language: str) -> list[object]:
    return [
        pytest.param(code, id=f"{page.name} {number}")
        for page in PAGES
        for number, code in enumerate(
            re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
        )
    ]


@pytest.mark.parametrize("line", lines(COMMAND))
def test_every_command_is_one(line: str) -> None:
    words = shlex.split(line, comments=True)
    program, arguments = Path(words[0]).name, words[1:]
    if program == "consilience":
        CLI.commands[arguments[0]].make_context(arguments[0], arguments[1:])
    elif program == "dvc":
        get_main_parser().parse_args(arguments)
    elif program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(arguments) <= set(targets)
    elif program == "python":
        assert arguments[0] == "-m"
        assert importlib.util.find_spec(arguments[1])
    elif program == "prefect":
        assert importlib.util.find_spec("prefect")


@pytest.mark.parametrize("name", lines(NAMED))
def test_every_file_named_is_there(name: str) -> None:
    if "NAME" in name or name.startswith(MADE):
        return
    assert [*ROOT.glob(name), *ROOT.glob(f"docs/evidence/{name}"), *ROOT.glob(f"docs/{name}")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not link.startswith(("http://", "https://", "#")):
            assert (page.parent / link.split("#")[0]).exists(), link


@pytest.mark.parametrize("code", fenced("python"))
def test_python_is_python(code: str) -> None:
    compile(code, "page", "exec")


@pytest.mark.parametrize("code", fenced("toml"))
def test_toml_is_toml(code: str) -> None:
    assert tomllib.loads(code)


@pytest.mark.parametrize(
    "command", ["names", "use demo", "corruptions audio"], ids=lambda command: command
)
def test_cheap_commands_run(command: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert any(f"consilience {command}" in page.read_text() for page in PAGES) or "use" in command
    done = CliRunner().invoke(app, command.split())
    assert done.exit_code == 0, done.output


def test_every_command_of_ours_is_in_the_pages() -> None:
    text = " ".join(page.read_text() for page in PAGES)
    missing = [name for name in CLI.commands if f"consilience {name}" not in text]
    assert not missing, f"no page shows: {', '.join(missing)}"
