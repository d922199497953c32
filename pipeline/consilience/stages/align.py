"""Stage ``align``: ``python -m consilience.stages.align``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from consilience import params, stages
from consilience.alignment.clock import SHARED, ClockFit, Times
from consilience.alignment.content import TRACES
from consilience.alignment.cross_recording import fit_content, fit_sound, fit_start_times
from consilience.alignment.offsets import fit_offsets
from consilience.alignment.pulses import fit_pulses
from consilience.alignment.sound import SoundTrack
from consilience.core import registry
from consilience.core.errors import RecordingError
from consilience.core.files import atomic_folder, write_json
from consilience.core.workers import parallel_map
from consilience.params import Params
from consilience.schema.params.alignment import AlignmentParams
from consilience.schema.tables import (
    ALIGNMENT_STATUSES,
    CLEAN,
    Alignment,
    Anchors,
    Ingested,
    Pieces,
    Pulses,
    Recordings,
    frame_of,
    read_table,
    write_table,
)

CATALOG = Path("data/catalog")
SIGNALS = Path("data/signals")
OUTPUT = Path("data/alignment")

GAP_PERIODS = 3.0  # frames further apart leave a gap between them


@dataclass(frozen=True)
class Recording:
    """An ingested recording whose clock is looked for."""

    recording: str
    session: str
    modality: str
    path: str
    item: str | None
    clock: str
    start_time: str | None
    rate_hz: float | None
    duration_s: float | None

    def arrays(self, *names: str) -> list[Times]:
        """Read some of the arrays that ingesting it gave."""
        path = SIGNALS / self.modality / f"{self.recording}.npz"
        with np.load(path, allow_pickle=False) as stored:
            return [stored[name] for name in names]

    def span_s(self, times_s: Times) -> tuple[float, float]:
        """Return when it begins and ends in its own time.

        It reaches as far before the first of its frames as after the last.
        """
        covered_s = float(times_s[-1] - times_s[0])
        margin_s = max(0.0, (self.duration_s or covered_s) - covered_s) / 2
        return float(times_s[0]) - margin_s, float(times_s[-1]) + margin_s


@dataclass(frozen=True)
class Means:
    """What it takes to align a session: parameters, and where and how to read sound."""

    alignment: AlignmentParams
    root: Path
    audio: Any


def main() -> None:
    """Find the clock of every ingested recording."""
    settings = params.load()
    pulses = read_table(CATALOG / "pulses.parquet", Pulses)
    recordings = [one for name in settings.modalities for one in _recordings(name)]
    sessions: dict[str, list[Recording]] = {}
    for one in recordings:
        sessions.setdefault(one.session, []).append(one)
    schedules = {
        str(session): own["time_s"].to_numpy() for (session,), own in pulses.group_by("session")
    }
    audio = settings.modalities.get("audio") or registry.get("modalities", "audio").Params()
    means = Means(settings.alignment, Path(settings.dataset.root), audio)
    found = parallel_map(
        partial(align_session, means=means),
        [(own, schedules.get(session, np.empty(0))) for session, own in sessions.items()],
        "align",
    )
    fits = {name: fit for session in found for name, fit in session.items()}
    table = frame_of([_row(one, fits[one.recording]) for one in recordings], Alignment)
    with atomic_folder(OUTPUT) as folder:
        write_table(folder / "alignment.parquet", table, Alignment)
        write_table(folder / "pieces.parquet", _pieces(fits), Pieces)
        write_table(folder / "anchors.parquet", _anchors(fits), Anchors)
        write_json(folder / "summary.json", _summary(table, settings))
    _tell(table)


def _recordings(modality: str) -> list[Recording]:
    ingested = read_table(SIGNALS / modality / "recordings.parquet", Ingested)
    catalog = read_table(CATALOG / "recordings" / f"{modality}.parquet", Recordings)
    usable = (
        ingested.filter(pl.col("status") == "ok")
        .select("recording", "duration_s")
        .join(catalog.drop("duration_s"), on="recording")
        .sort("session", "recording")
        .select(field.name for field in fields(Recording))
    )
    return [Recording(*row) for row in usable.iter_rows()]


def align_session(session: tuple[list[Recording], Times], means: Means) -> dict[str, ClockFit]:
    """Find the clocks of one session's recordings.

    First each by what it holds itself; then those that this leaves without a sure clock by
    what they share with one that has it.

    Parameters
    ----------
    session : tuple of (list of Recording, ndarray of float64, shape (n_pulses,))
        Its recordings, and when pulses were emitted.
    means : Means

    Returns
    -------
    dict of str to ClockFit
        By recording.
    """
    recordings, schedule_s = session
    fits = {
        one.recording: _by_its_own_evidence(one, schedule_s, means.alignment) for one in recordings
    }
    known = [one for one in recordings if fits[one.recording].status == "aligned"]
    for one in recordings:
        if fits[one.recording].status != "aligned" and one.duration_s is not None:
            own = fits[one.recording]
            more = [
                fit
                for other in known
                for fit in _by_a_companion(one, other, fits[other.recording], means)
            ]
            found = best([own, *more])
            fits[one.recording] = own if found.status == "unaligned" else found
    return fits


def _by_a_companion(
    one: Recording, other: Recording, reference: ClockFit, means: Means
) -> Iterator[ClockFit]:
    """Fit the clock to what a recording shares with one whose clock is known: the surest last."""
    assert reference.clock is not None
    times_s, frames = one.arrays("times_s", CLEAN)
    other_s, others = other.arrays("times_s", CLEAN)
    yield fit_start_times(one.start_time, other.start_time, reference, means.alignment)
    traces = [_trace(part, values) for part, values in ((one, frames), (other, others))]
    if one.modality != other.modality and traces[0] is not None and traces[1] is not None:
        session_s = reference.clock.to_session(other_s)
        yield fit_content(times_s, traces[0], session_s, traces[1], means.alignment)
    own, shared = (_sound(part, means) for part in (one, other))
    if own is not None and shared is not None:
        span_s = one.span_s(times_s)
        yield fit_sound(own, shared, reference, means.alignment, span_s, one.rate_hz)


def _trace(one: Recording, values: Times) -> Times | None:
    """Return the feature by which the content of voice and face is compared."""
    names = json.loads((SIGNALS / one.modality / "features.json").read_text())["names"]
    wanted = TRACES.get(one.modality)
    return values[:, names.index(wanted)].astype(np.float64) if wanted in names else None


def _sound(one: Recording, means: Means) -> SoundTrack | None:
    """Read a recording's sound track, if its file has one."""
    audio = registry.get("modalities", "audio")
    if Path(one.path).suffix.lower() not in audio.suffixes or one.item is not None:
        return None
    try:
        signal = audio.read(means.root / one.path, None, means.audio)
    except RecordingError:
        return None
    times_s = signal.times_s
    rate_hz = (len(times_s) - 1) / float(times_s[-1] - times_s[0])
    return SoundTrack(signal.values, float(times_s[0]), rate_hz)


def _by_its_own_evidence(one: Recording, schedule_s: Times, settings: AlignmentParams) -> ClockFit:
    """Fit the clock to what the recording itself holds: clock offsets, or else pulses.

    Where it holds both, they check each other.
    """
    if one.clock == "shared":
        return SHARED
    times_s, pulses_s, anchors_s = one.arrays("times_s", "pulses_s", "anchors_s")
    span_s = one.span_s(times_s)
    by_offsets = fit_offsets(anchors_s, settings, span_s, one.rate_hz)
    by_pulses = fit_pulses(pulses_s, schedule_s, settings, span_s, one.rate_hz, _gaps_s(times_s))
    if by_offsets.status == by_pulses.status == "aligned":
        return _checked(by_offsets, by_pulses, settings.sample_tolerance_ms(one.rate_hz))
    return best([by_offsets, by_pulses]) if len(anchors_s) else by_pulses


def _gaps_s(times_s: Times) -> Times:
    """Return the native times between which there are no frames, shape (n_gaps, 2)."""
    step = np.diff(times_s)
    if not len(step):
        return np.empty((0, 2))
    before = np.flatnonzero(step > GAP_PERIODS * np.median(step))
    return np.stack([times_s[before], times_s[before + 1]], axis=1)


def _checked(fit: ClockFit, other: ClockFit, tolerance_ms: float) -> ClockFit:
    """Return the first fit, as coarse if the anchors of the second speak against it."""
    assert fit.clock is not None
    native, session = other.anchors_s.T
    apart_ms = 1e3 * float(np.nanmedian(np.abs(fit.clock.to_session(native) - session)))
    if apart_ms <= tolerance_ms:
        return fit
    reason = f"{fit.method} and {other.method} are {apart_ms:.1f} ms apart"
    return replace(fit, status="coarse", reason=reason)


def best(fits: list[ClockFit]) -> ClockFit:
    """Return the fit of the best status, of those with equal status the surest, then the first."""
    return min(
        fits, key=lambda fit: (ALIGNMENT_STATUSES.index(fit.status), -(fit.confidence or 0.0))
    )


def _row(one: Recording, fit: ClockFit) -> dict[str, object]:
    line = fit.clock.longest if fit.clock else None
    start_s = end_s = None
    if fit.clock and one.duration_s is not None:
        (times_s,) = one.arrays("times_s")
        start_s, end_s = fit.clock.session_span_s(*one.span_s(times_s))
    return {
        "recording": one.recording,
        "session": one.session,
        "modality": one.modality,
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


def _pieces(fits: dict[str, ClockFit]) -> pl.DataFrame:
    rows: list[dict[str, object]] = [
        {
            "recording": recording,
            "from_native_s": piece.from_native_s,
            "until_native_s": piece.until_native_s,
            **vars(piece.line),
        }
        for recording, fit in fits.items()
        for piece in (fit.clock.pieces if fit.clock else ())
    ]
    return frame_of(rows, Pieces)


def _anchors(fits: dict[str, ClockFit]) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    for recording, fit in fits.items():
        if fit.clock is not None and len(fit.anchors_s):
            native, session = fit.anchors_s.T
            residual_ms = 1e3 * (session - fit.clock.to_session(native))
            rows += [
                {"recording": recording, "native_s": a, "session_s": b, "residual_ms": residual}
                for a, b, residual in zip(native, session, residual_ms, strict=True)
            ]
    return frame_of(rows, Anchors)


def _summary(table: pl.DataFrame, settings: Params) -> dict[str, object]:
    parts = {name: table.filter(pl.col("modality") == name) for name in settings.modalities}
    methods = table["method"].value_counts(sort=True).sort("method")
    return {
        "recordings": table.height,
        **{status: int((table["status"] == status).sum()) for status in ALIGNMENT_STATUSES},
        "methods": dict(methods.iter_rows()),
        "median_residual_ms": {name: part["residual_ms"].median() for name, part in parts.items()},
    }


def _tell(table: pl.DataFrame) -> None:
    counts = ", ".join(f"{(table['status'] == name).sum()} {name}" for name in ALIGNMENT_STATUSES)
    print(f"align: {table.height} recordings, {counts}")
    for recording, status, reason in (
        table.filter(pl.col("reason").is_not_null()).select("recording", "status", "reason").rows()
    ):
        print(f"  {status} {recording}: {reason}")


if __name__ == "__main__":
    stages.run(main)
