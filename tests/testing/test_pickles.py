from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from consilience.testing.pickles import no_pickles, spring, traps
from consilience.testing.rules import ContractError


def test_every_trap_is_a_file_that_runs_its_code_when_loaded(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    for number, content in enumerate(traps(sprung).values()):
        path = tmp_path / f"{number}.npy"
        path.write_bytes(content)
        np.load(path, allow_pickle=True)
        assert sprung.exists()
        sprung.unlink()


def test_loading_a_pickle_is_stopped_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(traps(tmp_path / "sprung")["a pickle"])
    with pytest.raises(ContractError, match="the reader loads a pickle"), no_pickles("the reader"):
        pickle.loads(path.read_bytes())
    assert not (tmp_path / "sprung").exists()


def test_a_reader_that_catches_the_error_is_reported_too(tmp_path: Path) -> None:
    content = traps(tmp_path / "sprung")["a pickle"]

    def careless() -> None:
        try:
            pickle.loads(content)
        except Exception:
            return

    with pytest.raises(ContractError, match="the reader loads a pickle"), no_pickles("the reader"):
        careless()


def test_numpy_may_not_be_asked_for_objects(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    with no_pickles("the reader"):
        np.load(tmp_path / "a.npy")
    with pytest.raises(ContractError, match="allow_pickle=True"), no_pickles("the reader"):
        np.load(tmp_path / "a.npy", allow_pickle=True)


def test_a_reader_that_parses_bytes_springs_no_trap(tmp_path: Path) -> None:
    spring(lambda path: path.read_bytes(), "it", tmp_path / "trap", tmp_path / "sprung")
    with pytest.raises(ContractError):
        spring(
            lambda path: pickle.loads(path.read_bytes()),
            "it",
            tmp_path / "trap",
            tmp_path / "sprung",
        )
