"""Parameters of a corpus's study, and what is read from its evaluation."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from consilience import params
from consilience.bench import study
from consilience.bench.settings import Corpus
from consilience.core.errors import ConsilienceError
from consilience.core.files import write_json
from consilience.project import Project


@pytest.fixture
def corpus(data: Path) -> Corpus:
    return Corpus(
        dataset="features",
        root=str(data / "tables"),
        modalities=("ecg_features",),
        methods=("hybrid", "concat"),
        params={"training": {"epochs": 2}, "methods": {"hybrid": {"unimodal": 0.5}}},
    )


def test_the_parameters_are_those_of_the_bench(corpus: Corpus, tmp_path: Path) -> None:
    project = Project(tmp_path / "bench/tables")
    study.prepare(project, corpus)
    settings = params.load(project.params_file)
    assert list(settings.methods) == ["hybrid", "concat"]
    assert settings.methods["hybrid"].unimodal == 0.5
    assert list(settings.modalities) == ["ecg_features"]
    assert settings.training.epochs == 2
    assert settings.training.head == "linear"  # of the preset
    written = project.params_file.read_bytes()
    study.prepare(project, corpus)
    assert project.params_file.read_bytes() == written
    wrong = corpus.model_copy(update={"params": {"training": {"epoch": 2}}})
    with pytest.raises(ConsilienceError, match=r"bench.yaml: tables: .*did you mean 'epochs'"):
        study.prepare(project, wrong)


def test_figures_and_sizes_are_read(tmp_path: Path) -> None:
    project = Project(tmp_path)
    write_json(project.windows / "meta.json", {"modalities": ["eeg"], "classes": ["a", "b"]})
    values = {"all": 0.8, "all_low": 0.7, "all_high": 0.9, "only_eeg": 0.8, "ece": 0.1}
    lead = {"all_over_concat": 0.1, "all_over_concat_low": 0.0, "all_over_concat_high": 0.2}
    metrics = {"concat": values, "hybrid": values | lead | {"grid_nll_over_concat": 1.0}}
    write_json(project.evaluation / "metrics.json", metrics)
    windows = pl.DataFrame({"subject": ["x", "x", "y", "z"], "actual": ["a", "b", "a", None]})
    windows.write_parquet(project.evaluation / "windows.parquet")
    results = study.results(project)
    assert (results["people"], results["windows"], results["chance"]) == (2, 3, 0.5)
    assert results["reference"] == "hybrid"
    chosen = {"all": 0.8, "all_low": 0.7, "all_high": 0.9, "ece": 0.1}
    assert results["methods"] == {"concat": chosen, "hybrid": chosen}
    assert results["leads"] == {"concat": {"all": 0.1, "all_low": 0.0, "all_high": 0.2}}


def test_a_missing_evaluation_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match=r"meta\.json"):
        study.results(Project(tmp_path))
