"""dvc.yaml names exactly the code each stage runs: nothing stale is ever taken for fresh."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from consilience import params
from consilience.params import Params

ROOT = Path(__file__).parents[2]
STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]

# They carry values between parts and make none: changing them changes no output.
PLUMBING = {
    f"pipeline/{name}.py"
    for name in ("errors", "files", "isolation", "parallel", "params", "registry")
} | {"pipeline/contracts.py", "pipeline/stages/__init__.py", "pipeline/__init__.py"}

# What a stage loads by name, and what a modality's file brings that the stage does not run.
PLUGINS = {
    "catalog": {"pipeline/datasets", "pipeline/modalities", "pipeline/alignment/lsl.py"},
    "ingest": {"pipeline/modalities", "pipeline/alignment/lsl.py"},
    "align": {"pipeline/modalities"},
    "window": {"pipeline/modalities"},
    "train": {"pipeline/methods", "pipeline/modalities"},
    "evaluate": {"pipeline/methods", "pipeline/modalities"},
    "score": {"pipeline/datasets"},
}


def run(module: Path) -> Iterator[ast.AST]:
    """Yield what a module's code consists of, without what only type checkers look at."""
    todo: list[ast.AST] = [ast.parse(module.read_text())]
    while todo:
        node = todo.pop()
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            todo.extend(ast.iter_child_nodes(node))
            yield node


def imported(module: Path) -> Iterator[Path]:
    for node in run(module):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            path = ROOT / name.replace(".", "/")
            if name.startswith("pipeline") and path.with_suffix(".py").is_file():
                yield path.with_suffix(".py")
            elif name.startswith("pipeline") and (path / "__init__.py").is_file():
                yield path / "__init__.py"


def reached(stage: str) -> set[str]:
    todo, seen = [ROOT / f"pipeline/stages/{stage}.py"], set()
    while todo:
        module = todo.pop()
        name = module.relative_to(ROOT).as_posix()
        if name not in seen and name not in PLUMBING and not only_docstring(module):
            seen.add(name)
            todo.extend(imported(module))
    return seen


def only_docstring(module: Path) -> bool:
    return module.name == "__init__.py" and len(ast.parse(module.read_text()).body) <= 1


def code_deps(stage: str) -> set[str]:
    return {dep for dep in STAGES[stage]["deps"] if dep.startswith("pipeline/")}


def covers(dep: str, module: str) -> bool:
    return module == dep or module.startswith(f"{dep}/")


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_a_stage_runs_is_a_dependency(stage):
    missing = {
        module
        for module in reached(stage)
        if not any(covers(dep, module) for dep in code_deps(stage))
    }
    assert not missing


@pytest.mark.parametrize("stage", STAGES)
def test_every_code_dependency_is_run_or_loaded_by_name(stage):
    used = reached(stage)
    idle = {
        dep
        for dep in code_deps(stage) - PLUGINS.get(stage, set())
        if not any(covers(dep, module) for module in used)
    }
    assert not idle


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_dependency_exists(stage):
    for name in STAGES[stage].get("params", []):
        section, *rest = name.split(".")
        assert section in Params.model_fields
        if rest and not rest[0].startswith("${"):
            annotation = Params.model_fields[section].annotation
            assert rest[0] in annotation.model_fields


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_section_a_stage_reads_is_a_dependency(stage):
    source = (ROOT / f"pipeline/stages/{stage}.py").read_text()
    read = set(re.findall(r"\b(?:settings|params)\.(\w+)", source)) & set(Params.model_fields)
    assert read <= {name.split(".")[0] for name in STAGES[stage].get("params", [])}


def test_every_parameter_section_is_some_stages_dependency():
    named = {name.split(".")[0] for stage in STAGES.values() for name in stage.get("params", [])}
    assert named == set(Params.model_fields)


def test_parameters_are_what_use_demo_writes():
    assert (ROOT / "params.yaml").read_text() == params.document(params.defaults("demo"))
