"""Every dataset keeps its contract; a new one is asked for a folder to list."""

from __future__ import annotations

import runpy
from functools import lru_cache
from pathlib import Path

import pytest

from consilience.core import registry
from consilience.testing import DATASET_CHECKS, DatasetCase, name_of

HERE = Path(__file__).parent


ROOTS = runpy.run_path(str(HERE / "roots.py"))["ROOTS"]


@pytest.fixture(scope="session")
def case_of(tmp_path_factory):
    @lru_cache
    def make(name: str) -> DatasetCase:
        folder = tmp_path_factory.mktemp(name)
        return DatasetCase(registry.get("datasets", name), ROOTS[name](folder))

    return make


@pytest.mark.parametrize("check", DATASET_CHECKS, ids=name_of)
@pytest.mark.parametrize("name", sorted(ROOTS))
def test_every_dataset_keeps_its_contract(name, check, case_of, monkeypatch):
    monkeypatch.setenv("CONSILIENCE_WORKERS", "1")
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "inf")
    check(case_of(name))


@pytest.mark.parametrize("name", registry.names("datasets"))
def test_no_dataset_goes_unchecked(name):
    test = HERE.parent / "datasets" / f"test_{name}.py"
    assert name in ROOTS or (test.is_file() and "DATASET_CHECKS" in test.read_text()), (
        f"nothing checks '{name}': run DATASET_CHECKS in tests/datasets/test_{name}.py, as "
        "'consilience new dataset' writes it, or give a folder in tests/testing/roots.py"
    )
