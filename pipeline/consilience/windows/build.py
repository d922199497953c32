"""Cut a project's aligned recordings into labelled windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from consilience.alignment.clock import Clock, clocks_from_pieces
from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_folder, read_arrays, read_json, write_json
from consilience.modalities.settings import modality_params
from consilience.project import Project
from consilience.schema.constants import CLEAN, SEVERITIES
from consilience.schema.params.dataset import DatasetParams
from consilience.schema.params.plugins import ModalityParams
from consilience.schema.params.windows import SplitParams, WindowParams
from consilience.schema.tables import (
    LABELLED,
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

Rows = NDArray[np.intp]
Arrays = dict[str, np.memmap[Any, np.dtype[np.float32]]]


@dataclass(frozen=True)
class Source:
    """An aligned recording.

    Attributes
    ----------
    path : Path
        Its ingested arrays.
    session : str
    clock : Clock
    quality : float
        NaN if unknown.
    """

    path: Path
    session: str
    clock: Clock
    quality: float


@dataclass(frozen=True)
class Variant:
    """Source of one variant of a modality's windows.

    Attributes
    ----------
    array : str
        The ingested features it is cut from.
    late_s : float
        Error added to the recording's clock, in seconds.
    """

    array: str
    late_s: float = 0.0


@dataclass(frozen=True)
class Cutter:
    """One modality of a project, ready to be cut into windows."""

    name: str
    sources: list[Source]
    features: list[str]
    grid: Grid
    variants: dict[str, Variant]

    def _with_windows(self, index: pl.DataFrame) -> Iterator[tuple[Source, Rows]]:
        """Yield the recordings whose session has windows, with their rows of the index."""
        rows = {
            str(session): group["row"].to_numpy().astype(np.intp)
            for (session,), group in index.with_row_index("row").group_by("session")
        }
        for source in self.sources:
            if source.session in rows:
                yield source, rows[source.session]

    def coverage(self, index: pl.DataFrame) -> NDArray[np.float64]:
        """Return the share of every window that clean features cover, shape (n_windows,)."""
        windows = _windows(index)
        covered = np.zeros(len(windows))
        for source, rows in self._with_windows(index):
            members = [windows[row] for row in rows]
            arrays = read_arrays(source.path, CLEAN, "times_s")
            frames = cut(arrays[CLEAN], arrays["times_s"], source.clock, members, self.grid)
            covered[rows] = coverage(frames, members, self.grid)
        return covered

    def fill(
        self, outputs: Arrays, index: pl.DataFrame, available: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Write every variant of the windows, NaN where unavailable.

        Returns
        -------
        ndarray of float32, shape (n_windows,)
            Quality of the recording each window comes from; 0 without a recording.
        """
        windows = _windows(index)
        quality = np.zeros(len(windows), dtype=np.float32)
        written = np.zeros(len(windows), dtype=bool)
        for source, every in self._with_windows(index):
            rows = every[available[every]]
            members = [windows[row] for row in rows]
            for name, variant in self.variants.items():
                arrays = read_arrays(source.path, variant.array, "times_s")
                clock = source.clock.shifted(variant.late_s)
                outputs[name][rows] = cut(
                    arrays[variant.array], arrays["times_s"], clock, members, self.grid
                )
            quality[rows] = source.quality
            written[rows] = True
        for output in outputs.values():
            output[~written] = np.nan
            output.flush()
        return quality


def window(project: Project, emit: Callable[[str], None] = print) -> None:
    """Cut every aligned recording, divide the windows by subject and write ``data/windows``.

    Parameters
    ----------
    project : Project
        Labelled.
    emit : callable
        Receives the lines of the summary.

    Raises
    ------
    ConsilienceError
        As `write_windows`, or if there are too few subjects for the folds.
    """
    with atomic_folder(project.windows) as folder:
        index = write_windows(project, folder, emit)
        splits = split(index["subject"], project.section(SplitParams))
        write_table(folder / "splits.parquet", splits, Splits)


def write_windows(project: Project, folder: Path, emit: Callable[[str], None]) -> pl.DataFrame:
    """Cut every aligned recording into windows, without dividing them by subject.

    Parameters
    ----------
    project : Project
        Labelled.
    folder : Path
        Empty; receives all of a window store but ``splits.parquet``.
    emit : callable
        Receives the lines of the summary.

    Returns
    -------
    polars.DataFrame
        `Labels` of the windows, in the order of the arrays.

    Raises
    ------
    ConsilienceError
        If no window has both a label and an aligned recording.
    """
    settings = project.section(WindowParams)
    labels_path = project.labels / "labels.parquet"
    labels = read_table(labels_path, Labels).filter(LABELLED).sort("session", "start_s", "trial")
    modalities = modality_params(project)
    sources = _sources(project, modalities)
    cutters = [
        _cutter(project, name, sources[name], params, settings)
        for name, params in modalities.items()
    ]
    covered = np.stack([cutter.coverage(labels) for cutter in cutters], axis=1)
    usable = (covered >= settings.min_coverage).any(axis=1)
    index, covered = labels.filter(pl.Series(usable)), covered[usable]
    if not index.height:
        raise ConsilienceError(
            "no window has both a label and an aligned recording",
            str(labels_path),
            "see data/alignment and data/labels for what was left out, and why",
        )
    available = covered >= settings.min_coverage
    quality = np.zeros(available.shape, dtype=np.float32)
    for column, cutter in enumerate(cutters):
        shape = (index.height, cutter.grid.n_frames, len(cutter.features))
        outputs = _arrays(folder / cutter.name, cutter.variants, shape)
        quality[:, column] = cutter.fill(outputs, index, available[:, column])
    np.save(folder / "availability.npy", available)
    np.save(folder / "coverage.npy", covered.astype(np.float32))
    np.save(folder / "quality.npy", quality)
    write_table(folder / "index.parquet", index, Labels)
    write_json(folder / "meta.json", _meta(project, cutters, modalities, settings))
    counts = ", ".join(
        f"{name} in {count}" for name, count in zip(modalities, available.sum(axis=0), strict=True)
    )
    emit(f"window: {len(available)} of {labels.height} labelled windows have a recording: {counts}")
    return index


def _sources(project: Project, modalities: Iterable[str]) -> dict[str, list[Source]]:
    """Return the aligned recordings of each modality, by name."""
    aligned = read_table(project.alignment / "alignment.parquet", Alignment)
    clocks = clocks_from_pieces(read_table(project.alignment / "pieces.parquet", Pieces))
    sources = {}
    for name in modalities:
        signals = project.signals(name)
        ingested = read_table(signals / "recordings.parquet", Ingested)
        rows = (
            aligned.filter(pl.col("modality") == name, pl.col("status") == "aligned")
            .join(ingested.select("recording", "quality"), on="recording")
            .sort("recording")
            .select("recording", "session", "quality")
        )
        sources[name] = [
            Source(
                signals / f"{recording}.npz",
                session,
                clocks[recording],
                np.nan if quality is None else quality,
            )
            for recording, session, quality in rows.iter_rows()
        ]
    return sources


def _cutter(
    project: Project,
    name: str,
    sources: list[Source],
    modality: ModalityParams,
    settings: WindowParams,
) -> Cutter:
    rate_hz = modality.frame_rate_hz
    grid = Grid(rate_hz, frames_per_window(rate_hz, settings))
    features = read_json(project.signals(name) / "features.json")["names"]
    return Cutter(name, sources, features, grid, _variants(modality, grid, settings))


def _variants(modality: ModalityParams, grid: Grid, settings: WindowParams) -> dict[str, Variant]:
    """Return every variant of a modality's windows, the clean one first.

    Desynchronised variants need a time axis, and windows that are not whole trials.
    """
    variants = {name: Variant(name) for name in (CLEAN, *modality.variants)}
    if grid.rate_hz is not None and settings.length_s is not None:
        for severity, late_s in zip(SEVERITIES, settings.desync_s, strict=True):
            variants[f"desync_{severity}"] = Variant(CLEAN, late_s)
    return variants


def _windows(index: pl.DataFrame) -> list[Window]:
    columns = index.select("session", "trial", "start_s", "end_s")
    return [Window(*row) for row in columns.iter_rows()]


def _arrays(folder: Path, variants: Iterable[str], shape: tuple[int, ...]) -> Arrays:
    folder.mkdir()
    return {
        variant: open_memmap(folder / f"{variant}.npy", "w+", dtype=np.float32, shape=shape)
        for variant in variants
    }


def _meta(
    project: Project,
    cutters: list[Cutter],
    modalities: dict[str, ModalityParams],
    settings: WindowParams,
) -> dict[str, object]:
    # The label summary lists the classes in the order of the label vectors.
    classes = list(read_json(project.labels / "summary.json")["classes"])
    return {
        "dataset": project.section(DatasetParams).name,
        "modalities": list(modalities),
        "classes": classes,
        "features": {cutter.name: cutter.features for cutter in cutters},
        "variants": {
            cutter.name: [name for name in cutter.variants if name != CLEAN] for cutter in cutters
        },
        "encodings": {name: modality.encoding for name, modality in modalities.items()},
        "frame_rate_hz": {cutter.name: cutter.grid.rate_hz for cutter in cutters},
        "length_s": settings.length_s,
    }
