"""Align a project's recordings and write the tables of their clocks."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from consilience.alignment.clock import ClockFit
from consilience.alignment.session import Recording, align_recordings
from consilience.core.files import atomic_folder, write_json
from consilience.core.wording import counted, first_lines
from consilience.ingest.usable import check_usable
from consilience.project import Project
from consilience.schema.constants import ALIGNMENT_STATUSES
from consilience.schema.tables import Alignment, Anchors, Pieces, frame_of, write_table

USABLE = ("aligned", "coarse")  # statuses of recordings with an estimated clock

Fits = list[tuple[Recording, ClockFit]]


def align(project: Project, emit: Callable[[str], None] = print) -> None:
    """Estimate the clock of every ingested recording and write ``data/alignment``.

    Parameters
    ----------
    project : Project
        Cataloged and ingested.
    emit : callable
        Receives the lines of the summary.

    Raises
    ------
    UnusableModalityError
        If a modality has recordings and none could be aligned.
    """
    fits = align_recordings(project)
    table = frame_of([_row(*fit) for fit in fits], Alignment)
    modalities = list(project.content["modalities"])
    with atomic_folder(project.alignment) as folder:
        write_table(folder / "alignment.parquet", table, Alignment)
        write_table(folder / "pieces.parquet", _pieces(fits), Pieces)
        write_table(folder / "anchors.parquet", _anchors(fits), Anchors)
        write_json(folder / "summary.json", _summary(table, modalities))
    counts = ", ".join(f"{(table['status'] == name).sum()} {name}" for name in ALIGNMENT_STATUSES)
    emit(f"align: {counted(table.height, 'recording')}, {counts}")
    with_reason = table.filter(pl.col("reason").is_not_null())
    columns = ("status", "recording", "reason")
    lines = [
        f"  {status} {name}: {why}" for status, name, why in with_reason.select(columns).rows()
    ]
    path = (project.alignment / "alignment.parquet").relative_to(project.root)
    for line in first_lines(lines, f"in {path} and in the report"):
        emit(line)
    for name in modalities:
        if (rows := table.filter(pl.col("modality") == name)).height:
            check_usable(name, rows, path, USABLE)


def _row(rec: Recording, fit: ClockFit) -> dict[str, object]:
    line = fit.clock.longest if fit.clock else None
    start_s = end_s = None
    if fit.clock and rec.duration_s is not None:
        start_s, end_s = fit.clock.session_span_s(*rec.span_s)
    return {
        "recording": rec.recording,
        "session": rec.session,
        "modality": rec.modality,
        "method": fit.method,
        "n_anchors": len(fit.anchors_s),
        "offset_s": line.offset_s if line else None,
        "drift_ppm": line.drift_ppm if line else None,
        "n_pieces": len(fit.clock.pieces) if fit.clock else 0,
        "start_s": start_s,
        "end_s": end_s,
        "residual_ms": fit.residual_ms,
        "error_ms": fit.error_ms,
        "confidence": fit.confidence,
        "status": fit.status,
        "reason": fit.reason,
    }


def _pieces(fits: Fits) -> pl.DataFrame:
    rows: list[dict[str, object]] = [
        {
            "recording": rec.recording,
            "from_native_s": piece.from_native_s,
            "until_native_s": piece.until_native_s,
            **vars(piece.line),
        }
        for rec, fit in fits
        for piece in (fit.clock.pieces if fit.clock else ())
    ]
    return frame_of(rows, Pieces)


def _anchors(fits: Fits) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    for rec, fit in fits:
        if fit.clock is not None and len(fit.anchors_s):
            native, session = fit.anchors_s.T
            residual_ms = 1e3 * (session - fit.clock.to_session(native))
            rows += [
                {"recording": rec.recording, "native_s": a, "session_s": b, "residual_ms": residual}
                for a, b, residual in zip(native, session, residual_ms, strict=True)
            ]
    return frame_of(rows, Anchors)


def _summary(table: pl.DataFrame, modalities: list[str]) -> dict[str, object]:
    by_modality = {name: table.filter(pl.col("modality") == name) for name in modalities}
    methods = table["method"].value_counts(sort=True).sort("method")
    return {
        "recordings": table.height,
        **{status: int((table["status"] == status).sum()) for status in ALIGNMENT_STATUSES},
        "methods": dict(methods.iter_rows()),
        "median_residual_ms": {
            name: rows["residual_ms"].median() for name, rows in by_modality.items()
        },
    }
