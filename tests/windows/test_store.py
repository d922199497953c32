from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consilience.core.errors import ConsilienceError
from consilience.core.files import write_arrays
from consilience.schema.params.windows import SplitParams
from consilience.schema.tables import Labels, Splits, frame_of, write_table
from consilience.windows import store
from consilience.windows.splits import split
from consilience.windows.store import load_corpus
from tests import window_store

N = 6  # windows, one per subject
INPUTS = np.arange(N * 8, dtype=np.float32).reshape(N, 8)


def labels(probability: list[float] | None = None) -> pl.DataFrame:
    rows: list[dict[str, object]] = [
        {
            "window": f"w{number}",
            "session": f"s{number}",
            "subject": f"p{number}",
            "trial": "t",
            "start_s": 0.0,
            "end_s": 4.0,
            "n_annotators": 1,
            "class_probability": probability if number else None,
            "valence": None,
            "arousal": 0.5 if probability and number == 1 else None,
        }
        for number in range(N)
    ]
    return frame_of(rows, Labels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_store(tmp_path / "windows", labels([0.25, 0.75]))


def write_store(folder: Path, index: pl.DataFrame) -> Path:
    """Write a store of one modality with 6 windows of 8 numbers."""
    splits = split(index["subject"], SplitParams(folds=3, validation_subjects=1))
    write_table(folder / "index.parquet", index, Labels)
    write_table(folder / "splits.parquet", splits, Splits)
    np.save(folder / "availability.npy", np.ones((N, 1), dtype=bool))
    meta = {
        "dataset": "demo",
        "modalities": ["gsr"],
        "classes": ["calm", "sad"],
        "features": {"gsr": ["level_us", "slope_us_per_s"]},
        "encodings": {"gsr": {"width": 8}},
    }
    inputs = {"gsr": {"clean": INPUTS, "noise_1": INPUTS + 100}}
    window_store.write_store(folder, index, inputs, meta)
    return folder


def test_a_store_is_read_with_shapes_and_types(folder: Path) -> None:
    corpus = load_corpus(folder)
    assert (corpus.dataset, corpus.modalities, corpus.classes) == (
        "demo",
        ("gsr",),
        ("calm", "sad"),
    )
    assert corpus.features == {"gsr": ["level_us", "slope_us_per_s"]}
    assert corpus.variants == {"gsr": ("noise_1",)}
    assert corpus.encodings == {"gsr": {"width": 8}}
    assert (corpus.target.shape, corpus.target.dtype) == ((N, 2), np.float32)
    assert (corpus.affect.shape, corpus.affect.dtype) == ((N, 2), np.float32)
    assert (corpus.available.shape, corpus.available.dtype) == ((N, 1), np.bool_)


def test_missing_labels_are_nan(folder: Path) -> None:
    corpus = load_corpus(folder)
    assert np.isnan(corpus.target[0]).all()
    np.testing.assert_array_equal(corpus.target[1], [0.25, 0.75])
    np.testing.assert_array_equal(corpus.affect[1], [np.nan, 0.5])
    target, affect = corpus.labels(None)
    assert target is corpus.target
    assert affect is corpus.affect


def test_inputs_of_all_sessions_are_put_together(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = load_corpus(folder)
    np.testing.assert_array_equal(corpus.windows("gsr"), INPUTS)
    np.testing.assert_array_equal(corpus.windows("gsr", "noise_1"), INPUTS + 100)
    monkeypatch.setattr(store, "IN_MEMORY", 0)  # in a temporary file
    np.testing.assert_array_equal(corpus.windows("gsr"), INPUTS)


def test_a_modality_that_is_not_available_is_zero(folder: Path) -> None:
    available = np.ones((N, 1), bool)
    available[2] = False
    corpus = replace(load_corpus(folder), available=available)
    assert (corpus.windows("gsr", "noise_1")[2] == 0).all()
    assert (corpus.windows("gsr", "noise_1")[1] != 0).any()


def test_without_corrupted_windows_the_clean_ones_can_be_read(folder: Path) -> None:
    shutil.rmtree(folder.with_name("corrupted"))
    corpus = load_corpus(folder)
    assert corpus.variants == {"gsr": ()}
    np.testing.assert_array_equal(corpus.windows("gsr"), INPUTS)


def test_members_are_the_windows_of_a_role(folder: Path) -> None:
    corpus = load_corpus(folder)
    assert corpus.folds == [0, 1, 2]
    tested = np.concatenate([corpus.members(fold, "test") for fold in corpus.folds])
    assert sorted(tested) == list(range(N))
    everything = corpus.members(0, "train", "validation", "test")
    assert everything.tolist() == list(range(N))


def test_a_missing_file_is_named_with_the_remedy(folder: Path) -> None:
    (folder.with_name("corrupted") / "gsr/sessions/s3.npz").unlink()
    with pytest.raises(ConsilienceError, match=r"s3\.npz: cannot be read.*dvc repro"):
        load_corpus(folder).windows("gsr", "noise_1")


def test_an_array_of_another_length_is_an_error(folder: Path) -> None:
    write_arrays(folder / "sessions/s2.npz", {"gsr": np.zeros((2, 8), np.float32)})
    with pytest.raises(ConsilienceError, match=r"shape \(2, 8\), where the index demands \(1, 8\)"):
        load_corpus(folder).windows("gsr")


def test_a_store_without_labels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="no window has a label"):
        load_corpus(write_store(tmp_path / "windows", labels()))
