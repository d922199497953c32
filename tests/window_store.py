"""Write small window stores: arrays of all windows, divided into the files of the sessions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.core import registry
from consilience.core.files import text_hash, write_arrays
from consilience.schema.constants import CLEAN
from consilience.schema.tables import Levels, frame_of, write_table
from consilience.windows.store import SESSIONS

Arrays = Mapping[str, NDArray[np.float32]]


def prepared(modality: str, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the model inputs of windows (N, T, F), 0 where nothing is finite."""
    inputs = registry.get("inputs", registry.params("modalities", modality).INPUTS)(windows)
    inputs[~np.isfinite(windows).any((1, 2))] = 0
    return np.asarray(inputs, np.float32)


def write_store(
    folder: Path,
    index: pl.DataFrame,
    inputs: Mapping[str, Arrays],
    meta: Mapping[str, Any],
    corrupted: Path | None = None,
) -> None:
    """Write the files of the sessions, ``meta.json`` and levels of no recording.

    Parameters
    ----------
    folder : Path
        Of the windows.
    index : polars.DataFrame
        With the column ``session``, sorted by it.
    inputs : mapping of str to (mapping of str to ndarray, shape (N, ...))
        By modality and variant.
    meta : mapping
        Further content of ``meta.json``.
    corrupted : Path, optional
        By default ``corrupted`` beside the folder.
    """
    corrupted = corrupted or folder.with_name("corrupted")
    sessions = index["session"].to_numpy()
    clean = {name: variants[CLEAN] for name, variants in inputs.items()}
    shards = _write(folder, sessions, clean)
    (folder / "meta.json").write_text(json.dumps({**meta, "shards": shards}))
    write_table(folder / "levels.parquet", frame_of([], Levels), Levels)
    for name, variants in inputs.items():
        others = {variant: values for variant, values in variants.items() if variant != CLEAN}
        shards = _write(corrupted / name, sessions, others)
        described = {"variants": list(others), "shards": shards}
        (corrupted / name / "meta.json").write_text(json.dumps(described))


def _write(folder: Path, sessions: NDArray[Any], arrays: Arrays) -> dict[str, str]:
    shards = {}
    for session in dict.fromkeys(sessions):
        rows = {name: values[sessions == session] for name, values in arrays.items()}
        write_arrays(folder / SESSIONS / f"{session}.npz", rows)
        shards[str(session)] = text_hash(*(values.tobytes().hex() for values in rows.values()))
    return shards
