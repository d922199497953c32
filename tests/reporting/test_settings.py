from pathlib import Path

import pytest

from consilience import params
from consilience.reporting.settings import differences, flat, settings_document

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def content() -> dict[str, object]:
    return params.defaults("demo")


def test_parameters_that_differ_name_what_sets_them(content) -> None:
    content["windows"] |= {"hop_s": 1.0}
    listed = {name: row for name, *row in differences(params.parse(content))}
    assert listed["windows.hop_s"] == [1.0, 2.0, "params.yaml"]
    assert {origin for name, (*_, origin) in listed.items() if name != "windows.hop_s"} <= {
        "preset"
    }
    assert not any(name.startswith("dataset.") for name in listed)


def test_document_has_version_seeds_and_folds() -> None:
    settings = params.load(ROOT / "params.yaml")
    document = settings_document(settings)
    assert document["seeds"] == list(settings.training.seeds)
    assert document["folds"] == settings.splits.folds
    assert document["version"]


def test_nested_mappings_have_dotted_names() -> None:
    assert flat({"a": {"b": 1, "c": {}}, "d": [2]}) == {"a.b": 1, "a.c": {}, "d": [2]}
