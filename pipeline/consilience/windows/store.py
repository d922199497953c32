"""The window store: memory-mapped arrays with their labels, splits and availability."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.core.errors import ConsilienceError
from consilience.core.files import read_array, read_json
from consilience.schema.constants import AFFECT, CLEAN
from consilience.schema.tables import Labels, Splits, read_table


@dataclass(frozen=True)
class Corpus:
    """A folder of windows; the arrays themselves are memory-mapped on demand.

    Attributes
    ----------
    folder : Path
    modalities, classes : tuple of str
    dataset : str
    features : dict of str to list of str
        Names of the features, by modality.
    variants : dict of str to tuple of str
        Names of the corrupted and desynchronised variants, by modality.
    index : polars.DataFrame
        Table `Labels`, in the order of the arrays.
    splits : polars.DataFrame
        Table `Splits`.
    available : ndarray of bool, shape (N, M)
        Whether a modality covers a window.
    target : ndarray of float32, shape (N, K)
        Class probabilities; NaN rows without a label.
    affect : ndarray of float32, shape (N, 2)
        Valence and arousal; NaN where unknown.
    encodings : dict of str to dict
        Keyword arguments of each modality's encoder besides sizes.
    """

    folder: Path
    modalities: tuple[str, ...]
    classes: tuple[str, ...]
    dataset: str
    features: dict[str, list[str]]
    variants: dict[str, tuple[str, ...]]
    index: pl.DataFrame
    splits: pl.DataFrame
    available: NDArray[np.bool_]
    target: NDArray[np.float32]
    affect: NDArray[np.float32]
    encodings: dict[str, dict[str, Any]] = field(default_factory=dict)

    def windows(self, modality: str, variant: str = CLEAN) -> NDArray[np.float32]:
        """Open the windows of a modality as a memory-mapped array.

        Parameters
        ----------
        modality : str
        variant : str

        Returns
        -------
        ndarray of float32, shape (N, T, F)
            Read-only; NaN rows for missing frames.

        Raises
        ------
        ConsilienceError
            If the file is missing or does not fit the index.
        """
        path = self.folder / modality / f"{variant}.npy"
        if not path.is_file():
            raise ConsilienceError(
                "the window file is missing", str(path), "run 'dvc repro window'"
            )
        windows: NDArray[np.float32] = read_array(path, mmap_mode="r")
        if len(windows) != len(self.index):
            raise ConsilienceError(
                f"{len(windows)} windows, but the index has {len(self.index)}",
                str(path),
                "run 'dvc repro -f window'",
            )
        return windows

    def members(self, fold: int, *roles: str) -> NDArray[np.int64]:
        """Return the positions of the windows whose subject has one of the roles in a fold.

        Parameters
        ----------
        fold : int
        *roles : str
            ``"train"``, ``"validation"`` or ``"test"``.
        """
        of_fold = self.splits.filter(pl.col("fold") == fold, pl.col("role").is_in(roles))
        chosen = self.index["subject"].is_in(of_fold["subject"].to_list())
        return np.flatnonzero(chosen.to_numpy())

    def labels(self, run: object) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the class probabilities (N, K) and affect (N, 2), the same for every run."""
        return self.target, self.affect

    @property
    def folds(self) -> list[int]:
        """Fold numbers, sorted."""
        return sorted(self.splits["fold"].unique().to_list())


def load_corpus(folder: Path) -> Corpus:
    """Read the labels, splits and availability of a folder of windows.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Corpus

    Raises
    ------
    ConsilienceError
        If a table is missing or invalid, or no window has a label.
    """
    index = read_table(folder / "index.parquet", Labels)
    splits = read_table(folder / "splits.parquet", Splits)
    meta = read_json(folder / "meta.json")
    classes = tuple(meta["classes"])
    missing = [float("nan")] * len(classes)
    rows = [row if row is not None else missing for row in index["class_probability"].to_list()]
    target = np.array(rows, np.float32).reshape(len(index), len(classes))
    affect = index.select(AFFECT).to_numpy().astype(np.float32)
    if not (np.isfinite(target).any() or np.isfinite(affect).any()):
        raise ConsilienceError(
            "no window has a label", str(folder / "index.parquet"), "check the annotations"
        )
    return Corpus(
        folder=folder,
        modalities=tuple(meta["modalities"]),
        classes=classes,
        dataset=meta["dataset"],
        features={name: meta["features"][name] for name in meta["modalities"]},
        variants={name: tuple(meta["variants"][name]) for name in meta["modalities"]},
        index=index,
        splits=splits,
        available=read_array(folder / "availability.npy"),
        target=target,
        affect=affect,
        encodings=meta.get("encodings", {}),
    )
