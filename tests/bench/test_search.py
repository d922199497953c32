"""Which adapter a folder is given to, and why a folder is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from consilience.bench import search
from consilience.bench.search import Candidate, candidate, choose
from consilience.bench.settings import Corpus
from consilience.core.errors import ConsilienceError
from consilience.schema.params.windows import SplitParams
from consilience.windows.splits import split

FOLDER = Path("/data/eegmat")
SPECIFIC = Candidate("eegmat", "", False, ("eeg", "ecg"), 28, 3, SplitParams(folds=6))
GENERAL = Candidate("features", "", True, ("info_features",), 28, 0)


def test_adapters_list_the_folders_that_are_theirs(data: Path) -> None:
    tables = candidate((data / "tables", "features"))
    assert tables.modalities == ("ecg_features", "face_features")
    assert (tables.error, tables.n_people, tables.self_described) == ("", 4, True)
    assert candidate((data / "wristband", "folder")).modalities == ("gsr",)
    assert "no EEGMAT file" in candidate((data / "notes", "eegmat")).error


def test_a_failure_of_an_adapter_belongs_to_its_folder(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("half a table")

    monkeypatch.setattr(search, "bind_to_root", broken)
    assert "ZeroDivisionError: half a table" in candidate((data / "tables", "features")).error


def test_the_adapter_of_a_published_corpus_precedes_general_ones() -> None:
    chosen = choose(FOLDER, [GENERAL, Candidate("deap", "no file"), SPECIFIC])
    assert isinstance(chosen, Corpus)
    assert (chosen.dataset, chosen.modalities) == ("eegmat", ("eeg", "ecg"))
    assert chosen.params == {}


def test_labels_precede_a_layout_without_them() -> None:
    without_labels = Candidate("eegmat", "", False, ("eeg",), 0)
    chosen = choose(FOLDER, [without_labels, GENERAL])
    assert isinstance(chosen, Corpus)
    assert chosen.dataset == "features"


@pytest.mark.parametrize(
    ("candidates", "reason"),
    [
        ([Candidate("deap", "no DEAP file")], "not the layout of any dataset"),
        ([Candidate("deap", "no file"), Candidate("eegmat", "packed")], "packed"),
        ([Candidate("eegmat", "", False, ("eeg",), 2)], "labels of 2 people"),
        ([Candidate("eegmat", "", False, (), 20)], "not the layout of any dataset"),
    ],
)
def test_a_folder_is_left_out_with_a_reason(candidates: list[Candidate], reason: str) -> None:
    chosen = choose(FOLDER, candidates)
    assert isinstance(chosen, str)
    assert reason in chosen


@pytest.mark.parametrize(
    ("n_people", "folds", "expected"),
    [
        (28, 6, {}),
        (5, 6, {"folds": 5, "validation_subjects": 1}),
        (3, 2, {"folds": 3, "validation_subjects": 1}),
    ],
)
def test_few_people_get_fewer_folds(n_people: int, folds: int, expected: dict[str, int]) -> None:
    splits = SplitParams(folds=folds, validation_subjects=1)
    listed = Candidate("eegmat", "", False, ("eeg",), n_people, 0, splits)
    chosen = choose(FOLDER, [listed])
    assert isinstance(chosen, Corpus)
    assert chosen.params.get("splits", {}) == expected
    split(map(str, range(n_people)), splits.model_copy(update=expected))


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match=r"--data .*: not a directory"):
        search.search(tmp_path / "nowhere")
    with pytest.raises(ConsilienceError, match="no usable corpus"):
        search.search(tmp_path)
