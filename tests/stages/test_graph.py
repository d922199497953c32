"""``dvc.yaml`` lists the fingerprint and every section of parameters that each stage reads."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from consilience import params, stage_code
from consilience.core.fingerprint import KINDS, CodeBase
from consilience.params import Params
from consilience.schema.params.base import Section

ROOT = Path(__file__).parents[2]
GRAPH = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = [stage for stage in GRAPH if stage != "code"]
SECTIONS = {
    field.annotation.__name__: name
    for name, field in Params.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}


def params_deps(stage: str) -> set[str]:
    return {name.split(".")[0] for name in GRAPH[stage].get("params", [])}


def test_every_stage_has_a_fingerprint():
    assert set(stage_code.stage_names()) == set(STAGES)
    assert {stage for stage in STAGES if "matrix" in GRAPH[stage]} == set(stage_code.ITEM_KINDS)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_depends_on_its_fingerprint(stage):
    item = next(iter(GRAPH[stage].get("matrix", {})), None)
    name = f"{stage}-${{item.{item}}}" if item else stage
    # The report states the code of every stage.
    path = "data/code" if stage == "report" else f"data/code/{name}.json"
    assert path in GRAPH[stage]["deps"]


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_lists_code(stage):
    assert all(dep.startswith(("data/", "${dataset.root}")) for dep in GRAPH[stage]["deps"])


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_dependency_exists(stage):
    for name in GRAPH[stage].get("params", []):
        section, *rest = name.split(".")
        assert section in Params.model_fields
        if rest and not rest[0].startswith("${"):
            annotation = Params.model_fields[section].annotation
            assert rest[0] in annotation.model_fields


@pytest.mark.parametrize("stage", STAGES)
def test_the_parameter_sections_a_stage_reads_are_its_dependencies(stage):
    closure = CodeBase().closure([f"{stage_code.STAGES}.{stage}"], {kind: [] for kind in KINDS})
    read = set().union(*(sections_read(name) for name in closure.sources))
    assert read == params_deps(stage)


def sections_read(module: str) -> set[str]:
    """Return the sections that a module of the package reads, from the text of its calls."""
    spec = find_spec(module)
    text = Path(spec.origin).read_text() if module != "consilience.project" else ""
    arguments = set(re.findall(r"\.section\((\w+)\)", text))
    if arguments - SECTIONS.keys():  # a variable: any section that the module imports
        arguments |= {name for name in SECTIONS if re.search(rf"\b{name}\b", text)}
    read = {SECTIONS[name] for name in arguments & SECTIONS.keys()}
    read |= set(re.findall(r"\.content(?:\[|, )\"(\w+)\"", text))
    return read | ({"dataset"} if ".dataset_root" in text else set())


def test_every_parameter_section_is_some_stages_dependency():
    # The gate is passed after all stages, and changes none of their outputs.
    assert set().union(*map(params_deps, STAGES)) == set(Params.model_fields) - {"gate"}


def test_parameters_are_what_use_demo_writes():
    assert (ROOT / "params.yaml").read_text() == params.document(params.defaults("demo"))
