"""Every modality keeps its contract; a new one is asked for examples."""

from __future__ import annotations

import runpy
from functools import lru_cache
from pathlib import Path

import pytest

from consilience.core import registry
from consilience.testing import MODALITY_CHECKS, ModalityCase, name_of

HERE = Path(__file__).parent


EXAMPLES = runpy.run_path(str(HERE / "examples.py"))["EXAMPLES"]


@pytest.fixture(scope="session")
def case_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")

    @lru_cache
    def make(name: str) -> ModalityCase:
        return ModalityCase(registry.get("modalities", name), EXAMPLES[name](folder))

    return make


@pytest.mark.parametrize("check", MODALITY_CHECKS, ids=name_of)
@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_modality_keeps_its_contract(name, check, case_of):
    check(case_of(name))


@pytest.mark.parametrize("name", registry.names("modalities"))
def test_no_modality_goes_unchecked(name):
    test = HERE.parent / "modalities" / f"test_{name}.py"
    assert name in EXAMPLES or (test.is_file() and "MODALITY_CHECKS" in test.read_text()), (
        f"nothing checks '{name}': run MODALITY_CHECKS in tests/modalities/test_{name}.py, as "
        "'consilience new modality' writes it, or give examples in tests/testing/examples.py"
    )
