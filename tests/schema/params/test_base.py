from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from consilience.core.errors import ConsilienceError
from consilience.schema.params.base import (
    Section,
    check_stated,
    read_plugins,
    read_section,
    read_yaml,
    unstated,
    validated,
)


class Inner(BaseModel):
    low: float = 1.0
    high: float = 2.0


class Example(Section):
    KEY = "example"

    rate_hz: float = Field(10.0, gt=0)
    inner: Inner = Inner()
    others: dict[str, Inner] = Field({})


class Plugin(Section):
    width: int = 3


COMPLETE = {"rate_hz": 5.0, "inner": {"low": 0.0, "high": 1.0}, "others": {}}


def test_yaml_is_read_as_nested_dicts(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("example: {rate_hz: 5.0}  # a comment\n")
    assert read_yaml(path) == {"example": {"rate_hz": 5.0}}


def test_a_missing_or_invalid_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(ConsilienceError, match=r"the file is missing .*consilience init"):
        read_yaml(path)
    path.write_text("a: [1")
    with pytest.raises(ConsilienceError, match="not valid YAML") as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)


def test_a_complete_section_is_read() -> None:
    section = read_section({"example": COMPLETE, "other": {}}, Example, "params.yaml")
    assert (section.rate_hz, section.inner.low) == (5.0, 0.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "section example is missing"),
        ({"example": None}, r"parameter example\.rate_hz is missing"),
        ({"example": {**COMPLETE, "rate_hz": 0}}, r"example\.rate_hz = 0: .*greater than 0"),
        ({"example": {**COMPLETE, "rate": 5}}, r"example\.rate; did you mean 'rate_hz'"),
        (
            {"example": {**COMPLETE, "xyzzy": 5}},
            r"unknown parameter example\.xyzzy; known: rate_hz",
        ),
        ({"example": {**COMPLETE, "inner": {"low": 0}}}, r"example\.inner\.high is missing"),
    ],
)
def test_an_invalid_section_names_the_parameter(content: dict, message: str) -> None:
    with pytest.raises(ConsilienceError, match=message):
        read_section(content, Example, "params.yaml")


def test_parameters_with_default_values_are_listed_by_dotted_name() -> None:
    section = Example(others={"first": Inner(low=0)})
    assert list(unstated(section, ("example",))) == [
        "example.rate_hz",
        "example.inner",
        "example.others.first.high",
    ]
    check_stated(Example(**COMPLETE), ("example",), "params.yaml")
    with pytest.raises(ConsilienceError, match=r"params\.yaml: parameter example\.rate_hz"):
        check_stated(section, ("example",), "params.yaml")


def test_sections_cannot_be_changed() -> None:
    section = validated(Example, COMPLETE, "params.yaml", ("example",))
    with pytest.raises(ValueError, match="frozen"):
        section.rate_hz = 1.0  # type: ignore[misc]


def test_plugins_are_read_by_the_class_of_each() -> None:
    content = {"methods": {"concat": {"width": 4}}}
    params = read_plugins(content, "methods", lambda name: Plugin, "params.yaml")
    assert params["concat"].width == 4
    for bad in ({}, {"methods": {}}, {"methods": ["concat"]}):
        with pytest.raises(ConsilienceError, match="section methods is missing or empty"):
            read_plugins(bad, "methods", lambda name: Plugin, "params.yaml")
    with pytest.raises(ConsilienceError, match=r"parameter methods\.concat\.width is missing"):
        read_plugins({"methods": {"concat": None}}, "methods", lambda name: Plugin, "params.yaml")
