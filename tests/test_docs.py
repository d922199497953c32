"""Commands, options, paths, links and code blocks of README and docs are valid.

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

from consilience.cli.commands import app

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
PAGES.remove(DOCS / "log.md")  # a record of the past; its commands need not exist any more
CLI = typer.main.get_command(app)
COMMAND = re.compile(r"^ {4}((?:\.venv/bin/)?(?:consilience|dvc|make|python|prefect) .*)$")
NAMED = re.compile(r"`((?:pipeline|docs|tests|flows|data)/[\w/.-]+|[\w-]+\.(?:yaml|toml|lock|md))`")
# Files that exist only after a pipeline run, or after a reader followed a page.
GENERATED = (
    "bench.yaml",
    "data/",
    "pipeline/consilience/modalities/gaze",
    "pipeline/consilience/datasets/callcentre",
    "pipeline/consilience/methods/",
    "pipeline/consilience/modalities/respiration",
    "tests/modalities/test_gaze",
    "tests/modalities/test_respiration",
    "tests/methods/test_max_pool",
    "tests/datasets/test_callcentre",
    "tests/methods/",
)


def prose(page: Path) -> str:
    """Return a page without its fenced code blocks."""
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def unique(matches: list[tuple[Path, str]]) -> list[object]:
    """Return one test parameter for each text, named after the first page that contains it."""
    first = {text: page.name for page, text in reversed(matches)}
    return [pytest.param(text, id=f"{page}: {text[:60]}") for text, page in first.items()]


def commands() -> list[object]:
    return unique(
        [
            (page, match[1])
            for page in PAGES
            for line in prose(page).splitlines()
            if (match := COMMAND.match(line))
        ]
    )


def named_files() -> list[object]:
    return unique([(page, name) for page in PAGES for name in NAMED.findall(prose(page))])


def fenced(language: str) -> list[object]:
    return [
        pytest.param(code, id=f"{page.name} {number}")
        for page in PAGES
        for number, code in enumerate(
            re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
        )
    ]


@pytest.mark.parametrize("line", commands())
def test_every_command_is_valid(line: str) -> None:
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
        module = arguments[arguments.index("-m") + 1]
        assert importlib.util.find_spec(module)
    elif program == "prefect":
        assert importlib.util.find_spec("prefect")


@pytest.mark.parametrize("name", named_files())
def test_every_named_file_exists(name: str) -> None:
    if "NAME" in name or name.startswith(GENERATED):
        return
    assert [*ROOT.glob(name), *DOCS.glob(f"evidence/{name}"), *DOCS.glob(name)]


@pytest.mark.parametrize("page", [*PAGES, DOCS / "log.md"], ids=lambda page: page.name)
def test_every_link_has_a_target(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if heading:
            assert heading in headings(target), link


def headings(page: Path) -> set[str]:
    """Return the anchors that GitHub derives from a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("code", fenced("python"))
def test_python_blocks_compile(code: str) -> None:
    compile(code, "page", "exec")


@pytest.mark.parametrize("code", fenced("toml"))
def test_toml_blocks_parse(code: str) -> None:
    assert tomllib.loads(code)


@pytest.mark.parametrize(
    "command", ["names", "use demo", "corruptions audio"], ids=lambda command: command
)
def test_cheap_commands_run(command: str, tmp_path: Path) -> None:
    assert any(f"consilience {command}" in page.read_text() for page in PAGES) or "use" in command
    done = CliRunner().invoke(app, ["--project", str(tmp_path), *command.split()])
    assert done.exit_code == 0, done.output


def test_every_command_is_documented() -> None:
    text = " ".join(page.read_text() for page in PAGES)
    missing = [name for name in CLI.commands if f"consilience {name}" not in text]
    assert not missing, f"no page shows: {', '.join(missing)}"


def test_contributing_lists_the_layers_that_are_checked() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    rows = re.findall(r"^\| (`.*?`) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    documented = [re.findall(r"`(.*?)`", row) for row in rows]
    expected = [layer.split(" | ") for layer in layers]
    first = documented.index(expected[0])
    assert documented[first : first + len(expected)] == expected


def test_the_index_lists_every_page() -> None:
    links = re.findall(r"\]\(([^)#\s]+)", (DOCS / "index.md").read_text())
    listed = {(DOCS / link).resolve() for link in links}
    missing = {*PAGES, DOCS / "log.md", DOCS / "evidence/README.md"} - listed - {DOCS / "index.md"}
    assert not missing


def glossary() -> list[list[str]]:
    """Return the rows of the glossary's tables as cells."""
    lines = (DOCS / "glossary.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [row for row in rows if row[0] != "term" and not row[0].startswith("---")]


def test_the_glossary_defines_each_term_once() -> None:
    terms = [term.strip() for row in glossary() for term in row[0].split(", ")]
    assert len(terms) == len(set(terms))
    assert all(len(row) == 3 and row[1].endswith(".") for row in glossary())


@pytest.mark.parametrize(
    "path",
    sorted({path for row in glossary() for path in re.findall(r"`([a-z_]+/[\w/.]*)`", row[2])}),
)
def test_the_glossary_names_existing_places(path: str) -> None:
    if not path.startswith("data/"):
        assert (ROOT / "pipeline/consilience" / path).exists() or (ROOT / path).exists()


def test_pages_are_free_of_paths_of_one_machine() -> None:
    pages = [*PAGES, DOCS / "log.md", ROOT / "CHANGELOG.md", DOCS / "evidence/README.md"]
    for page in pages:
        assert not re.search(r"\.\./shared|/home/|/work/|/tmp/|/Users/", page.read_text()), page
