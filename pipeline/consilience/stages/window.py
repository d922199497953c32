"""Stage ``window``: ``python -m consilience.stages.window``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from consilience import params, stages
from consilience.alignment.clock import Clock, clocks_from_pieces
from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_folder, write_json
from consilience.params import Params
from consilience.schema.params.windows import SplitParams
from consilience.schema.tables import (
    CLEAN,
    LABELLED,
    SEVERITIES,
    Alignment,
    Ingested,
    Labels,
    Pieces,
    Splits,
    read_table,
    write_table,
)
from consilience.windows.layout import Grid, Window, coverage, cut, frames_per_window
from consilience.windows.splits import split

SIGNALS = Path("data/signals")
ALIGNMENT = Path("data/alignment")
LABELS = Path("data/labels/labels.parquet")
LABEL_SUMMARY = Path("data/labels/summary.json")  # its classes are in the order of the labels
OUTPUT = Path("data/windows")


Rows = NDArray[np.intp]
Arrays = dict[str, np.memmap[Any, np.dtype[np.float32]]]


@dataclass(frozen=True)
class Source:
    """An aligned recording, and the rows of the index its windows are."""

    path: Path
    clock: Clock
    quality: float
    rows: Rows


@dataclass(frozen=True)
class Cut:
    """What a variant is cut from: the features called `array`, the clock wrong by `late_s`."""

    array: str
    late_s: float = 0.0


def main(divide: Callable[[Iterable[str], SplitParams], pl.DataFrame] = split) -> None:
    """Cut every aligned recording into labelled windows and divide them by subject."""
    settings = params.load()
    labels = read_table(LABELS, Labels).filter(LABELLED).sort("session", "start_s", "trial")
    modalities = list(settings.modalities)
    grids = {name: _grid(name, settings) for name in modalities}
    features = {name: _features(name) for name in modalities}
    cuts = {name: _cuts(name, settings, grids[name]) for name in modalities}
    covered = np.stack([_cover(name, labels, grids[name]) for name in modalities], axis=1)
    usable = (covered >= settings.windows.min_coverage).any(axis=1)
    index, covered = labels.filter(pl.Series(usable)), covered[usable]
    available = covered >= settings.windows.min_coverage
    if not index.height:
        raise ConsilienceError(
            "no window has both a label and an aligned recording",
            str(LABELS),
            "see data/alignment and data/labels for what was left out, and why",
        )
    with atomic_folder(OUTPUT) as folder:
        quality = np.zeros(available.shape, dtype=np.float32)
        for column, name in enumerate(modalities):
            shape = (index.height, grids[name].n_frames, len(features[name]))
            outputs = _arrays(folder / name, cuts[name], shape)
            quality[:, column] = _fill(
                outputs, cuts[name], name, index, grids[name], available[:, column]
            )
        np.save(folder / "availability.npy", available)
        np.save(folder / "coverage.npy", covered.astype(np.float32))
        np.save(folder / "quality.npy", quality)
        write_table(folder / "index.parquet", index, Labels)
        write_table(folder / "splits.parquet", divide(index["subject"], settings.splits), Splits)
        write_json(folder / "meta.json", _meta(settings, grids, features, cuts))
    _tell(labels.height, available, modalities)


def _grid(name: str, settings: Params) -> Grid:
    rate_hz = registry.get("modalities", name).frame_rate_hz(settings.modalities[name])
    return Grid(rate_hz, frames_per_window(rate_hz, settings.windows))


def _features(name: str) -> list[str]:
    names: list[str] = json.loads((SIGNALS / name / "features.json").read_text())["names"]
    return names


def _sources(name: str, index: pl.DataFrame) -> list[Source]:
    """Return the modality's aligned recordings whose sessions have windows."""
    rows = {
        str(session): part["row"].to_numpy().astype(np.intp)
        for (session,), part in index.with_row_index("row").group_by("session")
    }
    ingested = read_table(SIGNALS / name / "recordings.parquet", Ingested)
    aligned = read_table(ALIGNMENT / "alignment.parquet", Alignment).filter(
        (pl.col("modality") == name) & (pl.col("status") == "aligned")
    )
    clocks = clocks_from_pieces(read_table(ALIGNMENT / "pieces.parquet", Pieces))
    known = aligned.join(ingested.select("recording", "quality"), on="recording")
    return [
        Source(
            SIGNALS / name / f"{recording}.npz",
            clocks[recording],
            np.nan if quality is None else quality,
            rows[session],
        )
        for recording, session, quality in known.select("recording", "session", "quality")
        .sort("recording")
        .iter_rows()
        if session in rows
    ]


def _windows(index: pl.DataFrame) -> list[Window]:
    return [
        Window(*row) for row in index.select("session", "trial", "start_s", "end_s").iter_rows()
    ]


def _cover(name: str, index: pl.DataFrame, grid: Grid) -> NDArray[np.float64]:
    """Return the share of every window that the modality's clean features cover."""
    windows = _windows(index)
    covered = np.zeros(len(windows))
    for source in _sources(name, index):
        own = [windows[row] for row in source.rows]
        with np.load(source.path, allow_pickle=False) as arrays:
            pieces = cut(arrays["clean"], arrays["times_s"], source.clock, own, grid)
        covered[source.rows] = coverage(pieces, own, grid)
    return covered


def _cuts(name: str, settings: Params, grid: Grid) -> dict[str, Cut]:
    """Return what every variant of a modality is cut from, the clean one first.

    A clock can only be wrong where there is a time axis and a window is not its whole trial.
    """
    stored = (CLEAN, *settings.modalities[name].variants)
    cuts = {variant: Cut(variant) for variant in stored}
    if grid.rate_hz is not None and settings.windows.length_s is not None:
        for severity, late_s in zip(SEVERITIES, settings.windows.desync_s, strict=True):
            cuts[f"desync_{severity}"] = Cut(CLEAN, late_s)
    return cuts


def _arrays(folder: Path, variants: Iterable[str], shape: tuple[int, ...]) -> Arrays:
    folder.mkdir()
    return {
        variant: open_memmap(folder / f"{variant}.npy", "w+", dtype=np.float32, shape=shape)
        for variant in variants
    }


def _fill(
    outputs: Arrays,
    cuts: dict[str, Cut],
    name: str,
    index: pl.DataFrame,
    grid: Grid,
    available: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Write every variant of a modality's windows, and return their quality."""
    windows = _windows(index)
    quality = np.zeros(len(windows), dtype=np.float32)
    written = np.zeros(len(windows), dtype=bool)
    for source in _sources(name, index):
        rows = source.rows[available[source.rows]]
        own = [windows[row] for row in rows]
        with np.load(source.path, allow_pickle=False) as arrays:
            for variant, part in cuts.items():
                clock = source.clock.shifted(part.late_s)
                outputs[variant][rows] = cut(
                    arrays[part.array], arrays["times_s"], clock, own, grid
                )
        quality[rows] = source.quality
        written[rows] = True
    for output in outputs.values():
        output[~written] = np.nan
        output.flush()
    return quality


def _meta(
    settings: Params,
    grids: dict[str, Grid],
    features: dict[str, list[str]],
    cuts: dict[str, dict[str, Cut]],
) -> dict[str, object]:
    return {
        "dataset": settings.dataset.name,
        "modalities": list(grids),
        "classes": list(json.loads(LABEL_SUMMARY.read_text())["classes"]),
        "features": features,
        "variants": {name: [v for v in own if v != CLEAN] for name, own in cuts.items()},
        "encodings": {name: settings.modalities[name].encoding for name in grids},
        "frame_rate_hz": {name: grid.rate_hz for name, grid in grids.items()},
        "length_s": settings.windows.length_s,
    }


def _tell(n_labelled: int, available: NDArray[np.bool_], modalities: list[str]) -> None:
    counts = ", ".join(
        f"{name} in {count}" for name, count in zip(modalities, available.sum(axis=0), strict=True)
    )
    print(f"window: {len(available)} of {n_labelled} labelled windows have a recording: {counts}")


if __name__ == "__main__":
    stages.run(main)
