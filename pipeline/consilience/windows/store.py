"""The window store: model inputs with their labels, splits and availability.

A folder of windows holds tables and arrays of all windows, and one file per session in `SESSIONS`
with the inputs of each modality: windows as the function of its model inputs returns them.
Beside it lies a folder of corrupted windows, with a folder per modality; its files hold one array
per variant. Sessions lie in files of their own so that a new one leaves the others as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.core import scratch
from consilience.core.errors import ConsilienceError
from consilience.core.files import read_array, read_arrays, read_json
from consilience.schema.constants import AFFECT, CLEAN, ROLES
from consilience.schema.tables import Labels, Levels, Splits, frame_of, read_table

SESSIONS = "sessions"
IN_MEMORY = 2**30  # bytes; larger arrays are put together in a temporary file


@dataclass(frozen=True, eq=False)
class Corpus:
    """A folder of windows; their model inputs are read on demand.

    Attributes
    ----------
    folder : Path
    corrupted : Path
        Folder of the corrupted windows, which need not exist.
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
    reserved : ndarray of bool, shape (N,), optional
        Windows without a role, which are neither trained on nor scored.
    absent : dict of str to tuple of int
        Shape of a window's inputs of each modality without any recording; it has no file.
    levels : polars.DataFrame
        Table `Levels`.
    """

    folder: Path
    corrupted: Path
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
    reserved: NDArray[np.bool_] | None = None
    absent: dict[str, tuple[int, ...]] = field(default_factory=dict)
    levels: pl.DataFrame = field(default_factory=lambda: frame_of([], Levels))

    def windows(self, modality: str, variant: str = CLEAN) -> NDArray[np.float32]:
        """Read the model inputs of a modality.

        Parameters
        ----------
        modality : str
        variant : str

        Returns
        -------
        ndarray of float32, shape (N, ...)
            0 where the modality is not available. In memory, or in a temporary file if it is large.

        Raises
        ------
        ConsilienceError
            If a file is missing or damaged, or does not fit the index.
        """
        folder, name = self.folder, modality
        if variant != CLEAN:
            folder, name = self.corrupted / modality, variant
        present = self.available[:, self.modalities.index(modality)]
        shape = (self.index.height, *self.input_shape(modality))
        values = scratch.full(shape, 0.0, np.float32, IN_MEMORY)
        for session, rows in self._sessions():
            if present[rows].any():
                values[rows] = self._inputs(folder, session, name, values[rows].shape)
        return values

    def _inputs(
        self, folder: Path, session: str, name: str, shape: tuple[int, ...]
    ) -> NDArray[np.float32]:
        path = folder / SESSIONS / f"{session}.npz"
        inputs: NDArray[np.float32] = read_arrays(path, name)[name]
        if inputs.shape != shape:
            raise ConsilienceError(
                f"inputs '{name}' of shape {inputs.shape}, where the index demands {shape}",
                str(path),
                "run 'dvc repro -f window', then 'dvc repro'",
            )
        return inputs

    def input_shape(self, modality: str) -> tuple[int, ...]:
        """Return the shape of a modality's inputs of one window."""
        if modality in self.absent:
            return self.absent[modality]
        session, _ = self._sessions()[0]
        shape: tuple[int, ...] = read_arrays(self.folder / SESSIONS / f"{session}.npz", modality)[
            modality
        ].shape[1:]
        return shape

    def _sessions(self) -> list[tuple[str, slice]]:
        """Return the sessions in the index's order with their rows."""
        counted = self.index.group_by("session", maintain_order=True).len()
        ends = np.cumsum(counted["len"].to_numpy())
        return [
            (str(session), slice(int(end) - count, int(end)))
            for (session, count), end in zip(counted.iter_rows(), ends, strict=True)
        ]

    def members(self, fold: int, *roles: str) -> NDArray[np.int64]:
        """Return the positions of the windows whose subject has one of the roles in a fold.

        Without the reserved ones.

        Parameters
        ----------
        fold : int
        *roles : str
            ``"train"``, ``"validation"`` or ``"test"``.
        """
        codes = [ROLES.index(role) for role in roles]
        counted = np.isin(self._roles[fold], codes)
        return np.flatnonzero(counted if self.reserved is None else counted & ~self.reserved)

    @cached_property
    def _roles(self) -> dict[int, NDArray[np.int8]]:
        """Role of every window's subject in each fold, as its place in `ROLES`; -1 without one."""
        subjects, codes = np.unique(self.index["subject"].to_numpy(), return_inverse=True)
        places = {str(name): place for place, name in enumerate(subjects)}
        roles: dict[int, NDArray[np.int8]] = {}
        for fold, subject, role in self.splits.select("fold", "subject", "role").iter_rows():
            of_subjects = roles.setdefault(fold, np.full(len(subjects), -1, np.int8))
            if subject in places:
                of_subjects[places[subject]] = ROLES.index(role)
        return {fold: of_subjects[codes] for fold, of_subjects in roles.items()}

    def labels(self, run: object) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the class probabilities (N, K) and affect (N, 2), the same for every run."""
        return self.target, self.affect

    @property
    def folds(self) -> list[int]:
        """Fold numbers, sorted."""
        return sorted(self.splits["fold"].unique().to_list())


def load_corpus(folder: Path, corrupted: Path | None = None, *, labelled: bool = True) -> Corpus:
    """Read the labels, splits and availability of a folder of windows.

    Parameters
    ----------
    folder : Path
    corrupted : Path, optional
        Folder of the corrupted windows; by default ``corrupted`` beside the folder. Without it
        the corpus has clean windows only.
    labelled : bool
        Whether windows without any label are an error.

    Returns
    -------
    Corpus

    Raises
    ------
    ConsilienceError
        If a table is missing or invalid or, with `labelled`, no window has a label.
    """
    index = read_table(folder / "index.parquet", Labels)
    splits = read_table(folder / "splits.parquet", Splits)
    meta = read_json(folder / "meta.json")
    corrupted = corrupted or folder.with_name("corrupted")
    classes = tuple(meta["classes"])
    missing = [float("nan")] * len(classes)
    rows = [row if row is not None else missing for row in index["class_probability"].to_list()]
    target = np.array(rows, np.float32).reshape(len(index), len(classes))
    affect = index.select(AFFECT).to_numpy().astype(np.float32)
    if labelled and not (np.isfinite(target).any() or np.isfinite(affect).any()):
        raise ConsilienceError(
            "no window has a label", str(folder / "index.parquet"), "check the annotations"
        )
    return Corpus(
        folder=folder,
        corrupted=corrupted,
        modalities=tuple(meta["modalities"]),
        classes=classes,
        dataset=meta["dataset"],
        features={name: meta["features"][name] for name in meta["modalities"]},
        variants={name: _variants(corrupted / name) for name in meta["modalities"]},
        index=index,
        splits=splits,
        available=read_array(folder / "availability.npy"),
        target=target,
        affect=affect,
        encodings=meta.get("encodings", {}),
        levels=read_table(folder / "levels.parquet", Levels),
    )


def _variants(folder: Path) -> tuple[str, ...]:
    path = folder / "meta.json"
    return tuple(read_json(path)["variants"]) if path.is_file() else ()
