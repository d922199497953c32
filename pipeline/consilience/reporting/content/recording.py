"""Section with some seconds of every sensor of one session."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from consilience.alignment.clock import Clock, clocks_from_pieces
from consilience.core import registry
from consilience.core.files import read_arrays, read_json
from consilience.core.isolation import isolated_map
from consilience.ingest.signal import read_signal
from consilience.modalities.settings import modality_params
from consilience.project import Project
from consilience.reporting.charts import excerpts as excerpt_charts
from consilience.reporting.charts import style
from consilience.reporting.content.excerpts import (
    SECONDS,
    Excerpt,
    excerpt,
    features_excerpt,
)
from consilience.reporting.figure import Block, Figure, Grid, Note, Section, Tabular, drawing
from consilience.reporting.results import Results
from consilience.reporting.tables import Cell, Row, Table
from consilience.reporting.words import ABSENT, brief, readable
from consilience.schema.constants import CLEAN
from consilience.schema.params.plugins import ModalityParams
from consilience.schema.params.privacy import PrivacyParams
from consilience.schema.tables import Pieces, Recordings, read_table

LIMIT_S = 1800.0  # to read one recording
VOLT, VOLTS = "V", ("eeg",)  # sensors whose readers return volts, whatever the file states
LONGEST_S = 3600.0  # of a recording that is read for a few seconds of it


def typical_session(recordings: pl.DataFrame) -> str | None:
    """Return the session to show: with the most usable sensors, and of them of median quality.

    Parameters
    ----------
    recordings : polars.DataFrame
        Of `Results`.
    """
    usable = recordings.filter(
        (pl.col("status") == "usable") & (pl.col("duration_s").fill_null(0) <= LONGEST_S)
    )
    if usable.is_empty():
        return None
    sessions = usable.group_by("session").agg(
        pl.col("modality").n_unique().alias("sensors"), pl.col("quality").mean()
    )
    complete = sessions.filter(pl.col("sensors") == pl.col("sensors").max())
    ordered = complete.sort("quality", "session", nulls_last=False)
    name: str = ordered["session"][len(ordered) // 2]
    return name


def excerpts(project: Project, session: str, modalities: list[str]) -> dict[str, Excerpt]:
    """Return the excerpt of every sensor of a session, from the middle of what all have.

    A sensor whose samples cannot be drawn, such as a transcript, shows its feature frames.

    Parameters
    ----------
    project : Project
    session : str
        As the catalog names it.
    modalities : list of str
    """
    settings = modality_params(project)
    rows = {}
    for name in modalities:
        table = read_table(project.recordings_table(name), Recordings)
        chosen = table.filter((pl.col("session") == session) & (pl.col("status") == "ok"))
        if chosen.height:
            rows[name] = chosen.row(0, named=True)
    clocks = clocks_from_pieces(read_table(project.alignment / "pieces.parquet", Pieces))
    aligned = {name: clocks.get(row["recording"], Clock.linear()) for name, row in rows.items()}
    start_s = _start_s(rows, aligned)
    read = partial(
        _excerpt,
        root=project.dataset_root,
        settings=settings,
        clocks=aligned,
        start_s=start_s,
        with_pictures=not project.section(PrivacyParams).no_faces,
    )
    # In worker processes, as ingest reads them: a reader may crash or take all memory.
    parts = isolated_map(read, list(rows.items()), "report: excerpts", LIMIT_S, _lost)
    drawn = dict(zip(rows, parts, strict=True))
    return {
        name: sample if sample is not None else _features(project, name, rows[name])
        for name, sample in drawn.items()
    }


def _start_s(rows: dict[str, dict[str, Any]], clocks: dict[str, Clock]) -> float:
    """Return the beginning of the excerpt, in session time."""
    first, last = 0.0, np.inf
    for name, row in rows.items():
        ends_s = clocks[name].to_session(np.array([0.0, row["duration_s"] or 0.0]))
        if np.isfinite(ends_s).all():
            first, last = max(first, ends_s[0]), min(last, ends_s[1])
    middle = (first + last) / 2 if np.isfinite(last) and last > first else first
    return float(max(first, middle - SECONDS / 2))


def _excerpt(
    item: tuple[str, dict[str, Any]],
    root: Path,
    settings: dict[str, ModalityParams],
    clocks: dict[str, Clock],
    start_s: float,
    with_pictures: bool,
) -> Excerpt | None:
    name, row = item
    modality = registry.get("modalities", name).configured(settings[name])
    bands_hz = getattr(settings[name], "bands_hz", {})
    try:
        signal = read_signal(row, root, modality, settings[name])
        return excerpt(signal, clocks[name], start_s, bands_hz, with_pictures=with_pictures)
    except Exception:  # what cannot be read or drawn as samples shows its feature frames
        return None


def _lost(item: tuple[str, dict[str, Any]], reason: str) -> None:
    return None


def _features(project: Project, name: str, row: dict[str, Any]) -> Excerpt:
    folder = project.signals(name)
    arrays = read_arrays(folder / f"{row['recording']}.npz", CLEAN, "times_s")
    names = read_json(folder / "features.json")["names"]
    return features_excerpt(arrays[CLEAN], arrays["times_s"], names)


def recording(project: Project, results: Results) -> Section | None:
    """Return the section; None without a usable recording."""
    # The catalog's own names are needed to read the files.
    tables = [
        read_table(project.recordings_table(name), Recordings).select("recording", "session")
        for name in results.meta["modalities"]
    ]
    own_names = {
        results.names.recording(recording): session
        for recording, session in pl.concat(tables).iter_rows()
    }
    chosen = typical_session(results.recordings)
    if chosen is None:
        return None
    of_session = results.recordings.filter(pl.col("session") == chosen)["recording"]
    session = own_names[of_session[0]]
    colours = style.sensor_colours(results.meta["modalities"])
    blocks: list[Block] = []
    for name, sample in excerpts(project, session, results.meta["modalities"]).items():
        unit = VOLT if name in VOLTS and sample.kind == "signal" else ""
        blocks += _blocks(name, sample, colours[name], unit)
    if project.section(PrivacyParams).no_faces and "video" in results.meta["modalities"]:
        blocks.append(Note("No picture of a face is shown: privacy.no_faces is true."))
    return Section(
        "a-recording",
        "What a recording looks like",
        (
            f"At most {SECONDS:g} s of {chosen}, at the same session time in every sensor. It has "
            "the most sensors, and among those of the same number the median quality.",
        ),
        tuple(blocks),
    )


def _blocks(name: str, sample: Excerpt, colour: str, unit: str) -> list[Block]:
    title = readable(name)
    kinds = {
        "signal": "signals",
        "sound": "envelope (root mean square, full scale 1)",
        "picture": "brightness and change of the picture",
        "features": "feature frames",
    }
    if len(sample.times_s) == 1:
        return [_single_row(title, sample)]
    # A clip may be shorter than an excerpt; the last sample lasts as long as the others.
    seconds = min(SECONDS, float(sample.times_s[-1] + np.diff(sample.times_s).mean()))
    data = pl.DataFrame(
        {"time_s": sample.times_s}
        | {channel: sample.values[:, n] for n, channel in enumerate(sample.channels)}
    )
    blocks: list[Block] = [
        Figure(
            drawing(
                f"excerpt-{name}",
                excerpt_charts.channels(sample, colour, unit),
                data,
                f"horizontal axis: time, s; curves: {', '.join(sample.channels)}.",
            ),
            caption=f"{title}: {kinds[sample.kind]}, {seconds:.2g} s. Each curve has a scale of "
            "its own, stated beside it.",
            alt=f"{len(sample.channels)} curves over {seconds:.2g} s.",
        )
    ]
    if sample.thumbnails:
        blocks.append(
            Figure(
                drawing(
                    f"thumbnails-{name}",
                    excerpt_charts.thumbnails(sample.thumbnails),
                    pl.DataFrame({"thumbnail": list(range(1, len(sample.thumbnails) + 1))}),
                    "a row of small grey pictures.",
                ),
                caption=f"{title}: thumbnails, evenly spread over the {seconds:.2g} s.",
                alt="Small grey pictures of the recorded person.",
            )
        )
    details = []
    if len(sample.power_db):
        table = pl.DataFrame({"frequency_hz": sample.frequency_hz, "power_db": sample.power_db})
        peak = float(sample.frequency_hz[sample.power_db.argmax()])
        details.append(
            Figure(
                drawing(
                    f"spectrum-{name}",
                    excerpt_charts.spectrum(sample, colour),
                    table,
                    "horizontal axis: frequency, Hz, logarithmic; vertical axis: power, dB.",
                ),
                caption=f"{title}: spectrum of at most a minute around, dB relative to its "
                "maximum.",
                alt=f"The maximum is at {peak:.3g} Hz.",
            )
        )
    if sample.bands:
        bands = pl.DataFrame({"band": list(sample.bands), "share": list(sample.bands.values())})
        largest = max(sample.bands, key=sample.bands.__getitem__)
        details.append(
            Figure(
                drawing(
                    f"bands-{name}",
                    excerpt_charts.bars(sample.bands, colour),
                    bands,
                    "horizontal axis: share of the power, %.",
                ),
                caption=f"{title}: band power, share of the power of all bands.",
                alt=f"The largest band is {largest}.",
            )
        )
    return [*blocks, *([Grid(tuple(details))] if details else [])]


def _single_row(title: str, sample: Excerpt) -> Tabular:
    """Return the values of a recording with one row of features as a table."""
    rows = [
        Row(channel, [Cell(brief(float(value)) if np.isfinite(value) else ABSENT)])
        for channel, value in zip(sample.channels, sample.values[0], strict=True)
    ]
    caption = f"{title}: first {len(rows)} features; the recording has one value of each."
    return Tabular(Table(["feature", "value"], rows), caption)
