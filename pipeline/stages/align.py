"""Stage ``align``: ``python -m pipeline.stages.align``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from pipeline import params, stages
from pipeline.alignment.clock import Clock, ClockFit, fit_clock
from pipeline.contracts import (
    ALIGNMENT_STATUSES,
    Alignment,
    Ingested,
    Pulses,
    Recordings,
    frame_of,
    read_table,
    write_table,
)
from pipeline.files import atomic_folder, write_json
from pipeline.params import AlignmentParams

CATALOG = Path("data/catalog")
SIGNALS = Path("data/signals")
OUTPUT = Path("data/alignment")

SHARED = ClockFit(Clock(), 0, None, "aligned")


def main() -> None:
    """Find the clock of every ingested recording."""
    settings = params.load()
    pulses = read_table(CATALOG / "pulses.parquet", Pulses)
    rows = [
        row
        for modality in settings.modalities
        for row in _align_modality(modality, pulses, settings.alignment)
    ]
    table = frame_of(rows, Alignment)
    with atomic_folder(OUTPUT) as folder:
        write_table(folder / "alignment.parquet", table, Alignment)
        write_json(folder / "summary.json", _summary(table, list(settings.modalities)))
    _tell(table)


def _align_modality(
    modality: str, pulses: pl.DataFrame, settings: AlignmentParams
) -> list[dict[str, object]]:
    ingested = read_table(SIGNALS / modality / "recordings.parquet", Ingested)
    catalog = read_table(CATALOG / "recordings" / f"{modality}.parquet", Recordings)
    usable = (
        ingested.filter(pl.col("status") == "ok")
        .join(catalog.select("recording", "clock", "rate_hz"), on="recording")
        .sort("session", "recording")
    )
    rows: list[dict[str, object]] = []
    for recording, session, duration_s, clock, rate_hz in usable.select(
        "recording", "session", "duration_s", "clock", "rate_hz"
    ).iter_rows():
        fit = SHARED
        if clock == "anchors":
            schedule = pulses.filter(pl.col("session") == session)["time_s"].to_numpy()
            with np.load(SIGNALS / modality / f"{recording}.npz", allow_pickle=False) as arrays:
                found = arrays["pulses_s"]
            fit = fit_clock(found, schedule, settings, duration_s or 0.0, rate_hz)
        rows.append(_row(recording, session, modality, clock, fit))
    return rows


def _row(
    recording: str, session: str, modality: str, clock: str, fit: ClockFit
) -> dict[str, object]:
    return {
        "recording": recording,
        "session": session,
        "modality": modality,
        "method": "shared clock" if clock == "shared" else "pulses",
        "n_anchors": fit.n_anchors,
        "offset_s": fit.clock.offset_s if fit.clock else None,
        "drift_ppm": fit.clock.drift_ppm if fit.clock else None,
        "residual_ms": fit.residual_ms,
        "status": fit.status,
        "reason": fit.reason,
    }


def _summary(table: pl.DataFrame, modalities: list[str]) -> dict[str, object]:
    parts = {name: table.filter(pl.col("modality") == name) for name in modalities}
    return {
        "recordings": table.height,
        **{status: int((table["status"] == status).sum()) for status in ALIGNMENT_STATUSES},
        "median_residual_ms": {name: part["residual_ms"].median() for name, part in parts.items()},
    }


def _tell(table: pl.DataFrame) -> None:
    counts = ", ".join(f"{(table['status'] == name).sum()} {name}" for name in ALIGNMENT_STATUSES)
    print(f"align: {table.height} recordings, {counts}")
    for recording, status, reason in (
        table.filter(pl.col("status") != "aligned").select("recording", "status", "reason").rows()
    ):
        print(f"  {status} {recording}: {reason}")


if __name__ == "__main__":
    stages.run(main)
