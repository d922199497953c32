"""Corpora are run one by one; a failure concerns one, and a second run continues."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from consilience.bench import run as benches
from consilience.bench.run import any_evaluated, bench, code_version, current_records, settings_of
from consilience.bench.settings import Corpus, Settings, read, write
from consilience.core.errors import ConsilienceError

SETTINGS = Settings(
    methods=("concat",),
    corpora={name: Corpus(dataset="features", root=name) for name in ("one", "two")},
)
SMALL = {
    "training": {"seeds": [0], "epochs": 2, "refit": False},
    "splits": {"folds": 2, "validation_subjects": 1},
    "robustness": {"bootstrap": 100},
}


def figures() -> dict[str, Any]:
    return {
        "people": 3,
        "windows": 9,
        "sensors": ["eeg"],
        "classes": ["a", "b"],
        "chance": 0.5,
        "reference": "concat",
        "methods": {"concat": {"all": 0.75, "all_low": 0.7, "all_high": 0.8}},
        "leads": {},
    }


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the stages: corpus ``two`` fails; return the names of those that ran."""
    ran: list[str] = []

    def run(project: Any, targets: list[str], emit: Any) -> None:
        ran.append(project.root.name)
        emit("[1/1] evaluate")
        if project.root.name == "two":
            raise ConsilienceError("all files are damaged", "ingest@eeg", "export them again")

    monkeypatch.setattr(benches, "run", run)
    monkeypatch.setattr(benches.study, "prepare", lambda *_: None)
    monkeypatch.setattr(benches.study, "results", lambda _: figures())
    return ran


def test_a_failure_is_reported_and_the_others_go_on(stages: list[str], tmp_path: Path) -> None:
    lines: list[str] = []
    content = bench(tmp_path, SETTINGS, [], lines.append)
    assert stages == ["one", "two"]
    assert lines == [
        "one: corpus 1 of 2",
        "one [1/1] evaluate",
        "one: balanced accuracy concat 0.750 (chance 0.500)",
        "two: corpus 2 of 2",
        "two [1/1] evaluate",
        "two: failed: ingest@eeg: all files are damaged (export them again)",
    ]
    assert content == json.loads((tmp_path / "bench.json").read_text())
    assert "all files are damaged" in (tmp_path / "index.html").read_text()
    assert any_evaluated(content, [])
    assert not any_evaluated(content, ["two"])


def test_results_stay_until_the_settings_of_their_corpus_change(
    stages: list[str], tmp_path: Path
) -> None:
    bench(tmp_path, SETTINGS, ["one"], print)
    assert stages == ["one"]
    records = current_records(tmp_path, SETTINGS)
    assert [each["state"] for each in records.values()] == ["evaluated", "not run yet"]
    changed = SETTINGS.model_copy(update={"params": {"training": {"epochs": 3}}})
    assert current_records(tmp_path, changed)["one"]["state"] == "not run yet"


def test_an_unknown_corpus_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match=r"unknown corpus 'on' .known: one, two"):
        bench(tmp_path, SETTINGS, ["on"], print)


def test_the_file_of_settings_is_written_once(data: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    folder = tmp_path / "bench"
    settings = settings_of(folder, data, lines.append)
    assert {name: each.dataset for name, each in settings.corpora.items()} == {
        "tables": "features",
        "wristband": "folder",
    }
    assert settings.left_out == {"notes": "not the layout of any dataset"}
    assert "left out notes: not the layout of any dataset" in lines
    write(folder, settings.model_copy(update={"methods": ("concat",)}))
    lines.clear()
    assert settings_of(folder, data, lines.append).methods == ("concat",)
    assert "used as it is" in lines[0]


def test_the_version_names_the_commit_of_a_clone() -> None:
    assert re.fullmatch(r"[\w.+]+( \([0-9a-f]+(-dirty)?\))?", code_version())


@pytest.mark.slow
def test_a_failure_leaves_the_other_corpus_and_a_second_run_computes_nothing_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    folder = tmp_path / "bench"
    settings = settings_of(folder, data, print)
    settings = settings.model_copy(update={"methods": ("concat",), "params": SMALL})
    write(folder, settings)
    labels = data / "wristband/annotations.csv"
    labels.write_text(labels.read_text().splitlines()[0])
    lines: list[str] = []
    first = bench(folder, read(folder), [], lines.append)
    states = {name: each["state"] for name, each in first["corpora"].items()}
    assert states == {"tables": "evaluated", "wristband": "failed"}, lines
    assert list(first["corpora"]["tables"]["methods"]) == ["concat"]
    model = folder / "tables/data/models/concat/model.safetensors"
    written = model.stat().st_mtime_ns
    lines.clear()
    assert bench(folder, read(folder), [], lines.append) == first
    assert model.stat().st_mtime_ns == written
    stages = [line for line in lines if line.startswith("tables [")]
    assert all(line.endswith(": up to date") for line in stages if "] code" not in line), stages
    assert "1 of 2 corpora" in (folder / "index.html").read_text()
