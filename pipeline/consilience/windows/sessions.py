"""Sessions of a project with their aligned recordings, and the keys of their model inputs."""

from __future__ import annotations

import polars as pl

from consilience.alignment.clock import clocks_from_pieces
from consilience.core.files import read_json, text_hash
from consilience.core.fingerprint import fingerprint
from consilience.modalities.settings import inputs_names, modality_params
from consilience.project import Project
from consilience.schema.params.windows import WindowParams
from consilience.schema.tables import Alignment, Ingested, Pieces, read_table
from consilience.windows.cutting import Cutter, Session, Source
from consilience.windows.layout import Window, grid_of


def cutters_of(project: Project) -> list[Cutter]:
    """Return a `Cutter` for every modality of an ingested project."""
    settings = project.section(WindowParams)
    return [
        Cutter(
            name,
            params,
            tuple(read_json(project.signals(name) / "features.json")["names"]),
            grid_of(params, settings),
        )
        for name, params in modality_params(project).items()
    ]


def sessions_of(project: Project, index: pl.DataFrame, cutters: list[Cutter]) -> list[Session]:
    """Return the sessions of some windows with their aligned recordings, in the index's order.

    Parameters
    ----------
    project : Project
        Aligned.
    index : polars.DataFrame
        `Labels`, sorted by session.
    cutters : list of Cutter
    """
    alignment = read_table(project.alignment / "alignment.parquet", Alignment)
    clocks = clocks_from_pieces(read_table(project.alignment / "pieces.parquet", Pieces))
    sources: dict[str, dict[str, Source]] = {}
    for cutter in cutters:
        signals = project.signals(cutter.name)
        aligned = alignment.filter(
            (pl.col("modality") == cutter.name) & (pl.col("status") == "aligned")
        ).select("recording", "session")
        ingested = read_table(signals / "recordings.parquet", Ingested)
        rows = aligned.join(ingested.select("recording", "content_hash"), on="recording")
        for recording, session, content_hash in rows.sort("recording").iter_rows():
            sources.setdefault(session, {})[cutter.name] = Source(
                signals / f"{recording}.npz", content_hash, clocks[recording]
            )
    windows: dict[str, list[Window]] = {}
    for row in index.select("session", "trial", "start_s", "end_s").iter_rows():
        windows.setdefault(row[0], []).append(Window(*row))
    return [Session(name, of, sources.get(name, {})) for name, of in windows.items()]


def code_hash(entry: str, project: Project) -> str:
    """Return the hash of the code that turns feature frames into model inputs."""
    names = list(modality_params(project))
    plugins = {"modalities": names, "inputs": inputs_names(names), "encoders": []}
    return fingerprint([entry], plugins, project.store("code")).digest


def key_of(session: Session, cutters: list[Cutter], *further: str) -> str:
    """Return the hash of all that a session's model inputs depend on.

    Parameters
    ----------
    session : Session
    cutters : list of Cutter
        Of the modalities that matter.
    *further : str
        Such as the hash of the code.
    """
    times_s = [(window.start_s, window.end_s) for window in session.windows]
    described = [
        (
            cutter.name,
            cutter.features,
            cutter.grid,
            cutter.params.INPUTS,
            (source.content_hash, source.clock) if source else None,
        )
        for cutter in cutters
        for source in [session.sources.get(cutter.name)]
    ]
    return text_hash(repr(times_s), repr(described), *further)
