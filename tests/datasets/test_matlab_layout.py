"""A MATLAB dataset of a new layout is one file: the example of the documentation, word for word."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from consilience.core import registry
from consilience.core.seeds import generator
from consilience.datasets.base import Dataset
from consilience.ingest.catalog import build_catalog
from consilience.ingest.ingest import ingest
from consilience.readers.matlab import parse_item
from consilience.schema.tables import Quality, read_table
from consilience.testing import DATASET_CHECKS, DatasetCase, name_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/adding-a-dataset.md").read_text()
TEMPLATE = (ROOT / "pipeline/consilience/templates/dataset.txt").read_text()
N_SAMPLES = 1600


def documented_module() -> str:
    """Return the template with the definitions of the page's section on MATLAB files."""
    section = PAGE[PAGE.index("## MATLAB files") :]
    example = ast.parse(re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0])
    module = ast.parse(TEMPLATE.replace("NAME", "films").replace("Title", "Films"))
    replaced = {name: node for node in example.body if (name := defined(node))}
    others = [node for node in example.body if not defined(node)]
    present = {defined(node) for node in module.body}
    first = next(n for n, node in enumerate(module.body) if defined(node))
    added = [node for name, node in replaced.items() if name not in present]
    body = [replaced.get(defined(node) or "", node) for node in module.body]
    future = body.pop(1)  # must be the first statement after the docstring
    module.body = [body[0], future, *others[1:], *body[1 : first - 1], *added, *body[first - 1 :]]
    return ast.unparse(ast.fix_missing_locations(module))


def defined(node: ast.stmt) -> str | None:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    return ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else None


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("plugin") / "films.py"
    path.write_text(documented_module())
    spec = importlib.util.spec_from_file_location("films", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    bound: Dataset = module.dataset
    return bound


def recorded(subject: int, film: int) -> np.ndarray:
    """Return the EEG of a subject and a film in microvolts, shape (8, n_samples)."""
    return 20 * generator("films", subject, film).standard_normal((8, N_SAMPLES))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for subject in (1, 2):
        variables = {f"film{film}": recorded(subject, film) for film in (1, 2)}
        scipy.io.savemat(folder / f"subject-{subject:02d}.mat", variables, do_compression=True)
    return folder


@pytest.mark.parametrize("check", DATASET_CHECKS, ids=name_of)
def test_it_keeps_the_contract(check, dataset, root):
    check(DatasetCase(dataset, root))


def test_it_is_cataloged_and_ingested_in_worker_processes(dataset, root, tmp_path, monkeypatch):
    """Workers do not import the dataset's file: the item of a recording states its layout."""
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "120")
    monkeypatch.setenv("CONSILIENCE_WORKERS", "1")
    catalog = build_catalog(dataset, root)
    table = catalog.recordings["eeg"]
    assert table["status"].to_list() == ["ok"] * 4
    assert table["rate_hz"].to_list() == [200.0] * 4
    assert table["duration_s"].to_list() == [N_SAMPLES / 200] * 4
    assert table["content_hash"].n_unique() == 4
    assert catalog.annotations["label"].to_list() == ["calm", "tense"] * 2
    layout = parse_item(root, table["item"][0])
    settings = registry.get("modalities", "eeg").Params(channels=layout.channels)
    (tmp_path / "eeg").mkdir()
    results = ingest(table, root, "eeg", settings, tmp_path / "store", tmp_path / "eeg")
    assert [result.status for result in results] == ["ok"] * 4
    assert read_table(tmp_path / "eeg/quality.parquet", Quality).height > 0
    for result in results:
        values = np.load(tmp_path / f"eeg/{result.recording}.npz")["clean"]
        assert np.isfinite(values).all()


def test_its_numbers_are_those_of_the_file(dataset, root):
    modality = registry.get("modalities", "eeg")
    entry = next(e for e in dataset.list(root).entries if e.session == "subject-02_film1")
    signal = modality.read(root / entry.path, entry.item, modality.Params())
    assert np.allclose(signal.values, 1e-6 * recorded(2, 1).T)
