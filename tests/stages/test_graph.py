"""``dvc.yaml`` lists the fingerprint and every section of parameters that each stage reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from consilience import params, stage_code
from consilience.params import Params

ROOT = Path(__file__).parents[2]
GRAPH = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = [stage for stage in GRAPH if stage != "code"]


def params_deps(stage: str) -> set[str]:
    return {name.split(".")[0] for name in GRAPH[stage].get("params", [])}


def test_every_stage_has_a_fingerprint():
    assert set(stage_code.stage_names()) == set(STAGES)
    assert {stage for stage in STAGES if "matrix" in GRAPH[stage]} == set(stage_code.ITEM_KINDS)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_depends_on_its_fingerprint(stage):
    item = next(iter(GRAPH[stage].get("matrix", {})), None)
    name = f"{stage}-${{item.{item}}}" if item else stage
    assert f"data/code/{name}.json" in GRAPH[stage]["deps"]


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
def test_every_parameter_section_a_stage_reads_is_a_dependency(stage):
    source = (ROOT / f"pipeline/consilience/stages/{stage}.py").read_text()
    read = set(re.findall(r"\b(?:settings|params)\.(\w+)", source)) & set(Params.model_fields)
    assert read <= params_deps(stage)


def test_every_parameter_section_is_some_stages_dependency():
    assert set().union(*map(params_deps, STAGES)) == set(Params.model_fields)


def test_parameters_are_what_use_demo_writes():
    assert (ROOT / "params.yaml").read_text() == params.document(params.defaults("demo"))
