"""Code, messages and documentation use the terms of docs/glossary.md and plain technical English.

Three checks: no identifier of `OLD_NAMES`, no phrase of `OLD_PHRASES` in comments, docstrings,
messages and pages, and first lines of public docstrings in the form of CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pipeline/consilience"

# Names of variables, functions and classes that describe no content, and the names that replaced
# former technical terms.
OLD_NAMES = {
    *("said", "told", "taught", "spoken", "taken", "shown", "judged", "own", "found", "known"),
    *("given", "one", "more", "part", "means", "asked", "spoilt", "guilty", "bolder", "clues"),
    *("coalitions", "of_coalitions", "belief", "observe", "decide", "opened", "listed_as"),
    *("stated", "enter", "met", "worth", "witness", "strange", "spoil", "conflict_seen"),
    *("Reading", "Witness", "Shown", "Portion", "Places", "Told", "Line", "Means", "Work"),
    *("Fates", "Goods", "AnyTable", "Counts", "Inspecting", "plain_reading"),
}
# Allowed in one file each, where the name is the field's own term.
NAME_EXCEPTIONS = {
    ("pipeline/consilience/alignment/clock.py", "Line"): "a straight line: slope and intercept",
}
# Words that no part of a name may be, as in `told_s`.
OLD_WORDS = {
    *("said", "told", "taught", "judged", "judges", "spoil", "spoils", "spoilt"),
    *("guilty", "bolder", "clues", "coalition", "coalitions", "belief", "witness", "opinions"),
}
OLD_MODULES = {
    *("_bursts", "_grid", "_spool", "_onsets", "_baseline", "_packets", "_peripheral", "_mat"),
    *("figures", "lines", "consensus", "opinions", "coalitions", "contracts", "statistics"),
}
OLD_PHRASES = {
    r"\bspoil(s|t|ed|ing)?\b": "corrupt, corrupted",
    r"\bguilty\b": "mismatched",
    r"\bsomebody( else)?\b": "another subject; mismatched",
    r"\beverybody\b": "every annotator, every subject",
    r"\bcoalitions?\b": "modality subsets",
    r"\bwitness(es)?\b": "agreement head",
    r"\bbolder\b|\bboldly\b": "overconfident",
    r"\bclues?\b": "reliability features",
    r"\bknows\b|\bnobody\b": "contains, defines; no one",
    r"\bbelieve[sd]?\b": "estimate, trust, use",
    r"\bthinks?\b|\bthought\b": "predict, estimate",
    r"\b(is|are|was|were) no\b(?! (longer|less|more)\b)": "is not a, are not, does not exist",
    r"\bthere (is|are) (none|nothing|no)\b": "does not exist, without",
    r"\b(is|are) there twice\b": "duplicate",
    r"\bmakes? no sense\b": "invalid",
    r"\bbeyond all measure\b": "non-finite",
    r"\btold\b|\btells?\b|\btelling\b": "report, indicate, distinguish",
    r"\bsays?\b|\bsaid\b": "state, report, define",
    r"\bjudge[sd]?\b": "estimate, rate",
    r"\bwants?\b|\bwanted\b": "require, need",
    r"\bwhom\b": "which",
    r"\bbeyond doubt\b": "significantly",
    r"\bat fault\b": "incorrect",
    r"\bmade[- ]up\b": "simulated, generated",
    r"\bgoes wrong\b|\bwent wrong\b": "fails",
    r"\bour(s| method)\b": "coherence transfer",
}
# Allowed in one place each: pattern of the path, pattern of the line, and the reason.
EXCEPTIONS = ((r"CHANGELOG\.md$", r"^\| ", "tables of former and current names"),)

# First lines of docstrings.
PEOPLES_VERBS = re.compile(
    r"\b(says?|said|tells?|told|thinks?|thought|believes?|believed|knows|judges?|judged|wants?"
    r"|wanted|asks?|asked)\b"
)
NOT_A_PHRASE = re.compile(
    r"(What|Whatever|How|Whom|Who|Whose|Where|When|Why|Which|That|To be|By|From|Of|In|As)\b"
)


def python_files() -> list[Path]:
    folders = (PACKAGE, ROOT / "flows", ROOT / "benchmarks")
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def text_files() -> list[Path]:
    pages = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "data").rglob("README.md"),
    ]
    templates = [
        path for path in PACKAGE.rglob("templates/*") if path.suffix in {".j2", ".js", ".txt"}
    ]
    settings = [ROOT / name for name in ("dvc.yaml", "params.yaml", "Makefile", "pyproject.toml")]
    return sorted([*pages, *templates, *settings])


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def defined_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield every name that a module binds, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def is_old(name: str) -> bool:
    """Return whether a name or one of its words is part of the former vocabulary."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    return name in OLD_NAMES or any(word.lower() in OLD_WORDS for word in words)


def seed_strings(tree: ast.Module) -> set[int]:
    """Return the lines of calls of the random generators, whose strings are keys, not prose."""
    return {
        number
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"generator", "seed_from"}
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def prose_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the comments and strings of a module, or the lines of a page, with their lines."""
    if path.suffix != ".py":
        yield from enumerate(path.read_text().splitlines(), 1)
        return
    seeds = seed_strings(tree_of(path))
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        kinds = (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1))
        if token.type in kinds and token.start[0] not in seeds:
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


def excused(path: Path, line: str) -> bool:
    return any(
        re.search(where, relative(path)) and re.search(what, line) for where, what, _ in EXCEPTIONS
    )


def public_docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the docstrings of the module and its public classes, functions and methods."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        docstring = ast.get_docstring(node)  # type: ignore[arg-type]
        if docstring:
            yield getattr(node, "lineno", 1), docstring.splitlines()[0]
        stack += [
            child
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not child.name.startswith("_")
        ]


def example_code() -> list[object]:
    """Return the templates of new plug-ins and the code blocks of the pages."""
    blocks = [(path.name, path.read_text()) for path in (PACKAGE / "templates").glob("*.txt")]
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        codes = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
        blocks += [(f"{page.name} {number}", code) for number, code in enumerate(codes)]
    return [pytest.param(code, id=name) for name, code in blocks]


@pytest.mark.parametrize("code", example_code())
def test_names_in_examples_describe_their_content(code: str) -> None:
    assert not [name for _, name in defined_names(ast.parse(code)) if is_old(name)]


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_names_describe_their_content(path: Path) -> None:
    wrong = [
        f"{line}: {name}"
        for line, name in defined_names(tree_of(path))
        if is_old(name) and (relative(path), name) not in NAME_EXCEPTIONS
    ]
    assert not wrong, f"rename what {relative(path)} calls\n" + "\n".join(wrong)
    assert path.stem not in OLD_MODULES


def test_names_of_tests_state_what_the_software_does() -> None:
    people = {*OLD_WORDS, "says", "say", "tells", "tell", "knows", "thinks", "nobody", "somebody"}
    names = {
        (relative(path), name)
        for path in (ROOT / "tests").rglob("test_*.py")
        for _, name in defined_names(tree_of(path))
        if name.startswith("test_")
    }
    assert not sorted((path, name) for path, name in names if people & set(name.split("_")))


@pytest.mark.parametrize("path", [*python_files(), *text_files()], ids=relative)
def test_prose_uses_the_terms_of_the_glossary(path: Path) -> None:
    wrong = [
        f"{relative(path)}:{number}: {line.strip()}  [write: {better}]"
        for number, line in prose_of(path)
        for pattern, better in OLD_PHRASES.items()
        if re.search(pattern, line, re.IGNORECASE) and not excused(path, line)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_first_lines_of_docstrings_state_what_is_computed(path: Path) -> None:
    for number, line in public_docstrings(tree_of(path)):
        place = f"{relative(path)}:{number}: {line}"
        assert len(line) <= 100, place
        assert line.endswith((".", ".`", '."', "?")), f"{place}  [end with a period]"
        assert not PEOPLES_VERBS.search(line), f"{place}  [software returns, computes, reads]"
        assert not NOT_A_PHRASE.match(line), f"{place}  [start with a verb or a noun]"


def test_exceptions_are_used() -> None:
    for path, name in NAME_EXCEPTIONS:
        assert name in {name for _, name in defined_names(tree_of(ROOT / path))}
    lines = [
        (path, line) for path in [*python_files(), *text_files()] for _, line in prose_of(path)
    ]
    for where, what, reason in EXCEPTIONS:
        assert any(
            re.search(where, relative(path)) and re.search(what, line) for path, line in lines
        ), reason
