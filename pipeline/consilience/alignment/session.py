"""Alignment policy: which evidence fixes the clock of each recording of a session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from consilience.alignment.clock import SHARED, ClockFit, Times
from consilience.alignment.cross_recording import fit_content, fit_sound, fit_start_times
from consilience.alignment.offsets import fit_offsets
from consilience.alignment.pulses import fit_pulses
from consilience.alignment.sound import SoundTrack
from consilience.core import registry
from consilience.core.files import read_arrays, read_json
from consilience.core.workers import parallel_map
from consilience.modalities.settings import modality_params
from consilience.project import Project
from consilience.schema.constants import ALIGNMENT_STATUSES, CLEAN
from consilience.schema.params.alignment import AlignmentParams
from consilience.schema.tables import Ingested, Pulses, Recordings, read_table
from consilience.signals.types import Signal

GAP_PERIODS = 3.0  # frames further apart than this many periods leave a gap
SOUND_RATE_HZ = 16000.0  # for comparing sound tracks where no parameter gives a rate
KEPT_SAMPLES = 2**27  # of sound in memory, 512 MiB: further tracks are read for each comparison


@dataclass(frozen=True)
class Recording:
    """An ingested recording to align.

    Attributes
    ----------
    recording, session, modality : str
    folder : Path
        Where ingest wrote the modality's arrays.
    path : Path
        The raw file.
    item : str or None
        Key of the recording inside a file that holds several.
    clock : str
        ``"shared"`` if its own time is the session's.
    start_time : str or None
        ISO 8601.
    rate_hz, first_frame_s, last_frame_s, duration_s : float or None
        Frame times are on the recording's own clock.
    """

    recording: str
    session: str
    modality: str
    folder: Path
    path: Path
    item: str | None
    clock: str
    start_time: str | None
    rate_hz: float | None
    first_frame_s: float | None
    last_frame_s: float | None
    duration_s: float | None

    def arrays(self, *names: str) -> list[Times]:
        """Read some of the recording's ingested arrays."""
        path = self.folder / f"{self.recording}.npz"
        return list(read_arrays(path, *names).values())

    @property
    def span_s(self) -> tuple[float, float]:
        """Start and end on the recording's own clock, in seconds.

        Frame times are frame centres, so half of what the duration exceeds them by is added
        at each end.
        """
        assert self.first_frame_s is not None
        assert self.last_frame_s is not None
        covered_s = self.last_frame_s - self.first_frame_s
        margin_s = max(0.0, (self.duration_s or covered_s) - covered_s) / 2
        return self.first_frame_s - margin_s, self.last_frame_s + margin_s


@dataclass(frozen=True)
class AlignmentContext:
    """Parameters shared by all recordings of a session.

    Attributes
    ----------
    params : AlignmentParams
    sound_rate_hz : float
        Rate at which sound tracks are compared.
    """

    params: AlignmentParams
    sound_rate_hz: float = SOUND_RATE_HZ


def align_recordings(project: Project) -> list[tuple[Recording, ClockFit]]:
    """Estimate the clock of every ingested recording of a project.

    Returns
    -------
    list of (Recording, ClockFit)
        In the order of the modalities, then of sessions and recordings.
    """
    modalities = modality_params(project)
    recordings = [rec for name in modalities for rec in _recordings(project, name)]
    sessions: dict[str, list[Recording]] = {}
    for rec in recordings:
        sessions.setdefault(rec.session, []).append(rec)
    pulses = read_table(project.catalog / "pulses.parquet", Pulses)
    schedules = {
        str(session): rows["time_s"].to_numpy() for (session,), rows in pulses.group_by("session")
    }
    rates_hz = [rate for params in modalities.values() if (rate := params.sound_rate_hz)]
    context = AlignmentContext(project.section(AlignmentParams), *rates_hz[:1])
    fitted = parallel_map(
        partial(align_session, context=context),
        [(members, schedules.get(session, np.empty(0))) for session, members in sessions.items()],
        "align",
    )
    fits = {name: fit for session in fitted for name, fit in session.items()}
    return [(rec, fits[rec.recording]) for rec in recordings]


def _recordings(project: Project, modality: str) -> list[Recording]:
    ingested = read_table(project.signals(modality) / "recordings.parquet", Ingested)
    catalog = read_table(project.recordings_table(modality), Recordings)
    root, folder = project.dataset_root, project.signals(modality)
    usable = (
        ingested.filter(pl.col("status") == "ok")
        .select("recording", "first_frame_s", "last_frame_s", "duration_s")
        .join(catalog.drop("duration_s"), on="recording")
        .sort("session", "recording")
    )
    columns = [field.name for field in fields(Recording) if field.name != "folder"]
    return [
        Recording(**{**row, "path": root / row["path"], "folder": folder})
        for row in usable.select(columns).iter_rows(named=True)
    ]


def align_session(
    session: tuple[list[Recording], Times], context: AlignmentContext
) -> dict[str, ClockFit]:
    """Estimate the clocks of one session's recordings.

    Each recording's own evidence (clock offsets, pulses) goes first. A recording that this leaves
    unaligned is then compared with every aligned one: start times, activity, shared sound.

    Parameters
    ----------
    session : tuple of (list of Recording, ndarray of float64, shape (n_pulses,))
        Its recordings, and the emission times of its pulses on the session clock, in seconds.
    context : AlignmentContext

    Returns
    -------
    dict of str to ClockFit
        By recording.
    """
    recordings, schedule_s = session
    sounds = SoundTracks(context.sound_rate_hz)
    fits = {rec.recording: _fit_alone(rec, schedule_s, context.params) for rec in recordings}
    aligned = [rec for rec in recordings if fits[rec.recording].status == "aligned"]
    for rec in recordings:
        if fits[rec.recording].status != "aligned" and rec.duration_s is not None:
            alone = fits[rec.recording]
            compared = [
                fit
                for other in aligned
                for fit in _fits_against(rec, other, fits[other.recording], sounds, context.params)
            ]
            chosen = best([alone, *compared])
            fits[rec.recording] = alone if chosen.status == "unaligned" else chosen
    return fits


class SoundTracks:
    """The sound tracks of a session's recordings, read once as far as memory allows."""

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._kept: dict[str, SoundTrack | None] = {}
        self._free = KEPT_SAMPLES

    def read(self, rec: Recording) -> SoundTrack | None:
        """Return the sound track of a recording; None if its file has none."""
        if rec.recording in self._kept:
            return self._kept[rec.recording]
        track = _sound(rec, self.rate_hz)
        n_samples = len(track.values) if track else 0
        if n_samples <= self._free:
            self._free -= n_samples
            self._kept[rec.recording] = track
        return track


def _sound(rec: Recording, rate_hz: float) -> SoundTrack | None:
    modality = registry.get("modalities", rec.modality)
    signal: Signal | None = modality.sound(rec.path, rec.item, rate_hz)
    if signal is None:
        return None
    times_s = signal.times_s
    effective_hz = (len(times_s) - 1) / float(times_s[-1] - times_s[0])
    return SoundTrack(signal.values, float(times_s[0]), effective_hz)


def _fits_against(
    rec: Recording,
    other: Recording,
    reference: ClockFit,
    sounds: SoundTracks,
    params: AlignmentParams,
) -> Iterator[ClockFit]:
    """Fit a clock to what a recording shares with an aligned one, the surest evidence last."""
    assert reference.clock is not None
    times_s, frames = rec.arrays("times_s", CLEAN)
    other_s, other_frames = other.arrays("times_s", CLEAN)
    yield fit_start_times(rec.start_time, other.start_time, reference, params)
    trace, other_trace = _trace(rec, frames), _trace(other, other_frames)
    if rec.modality != other.modality and trace is not None and other_trace is not None:
        session_s = reference.clock.to_session(other_s)
        yield fit_content(times_s, trace, session_s, other_trace, params)
    sound, other_sound = sounds.read(rec), sounds.read(other)
    if sound is not None and other_sound is not None:
        yield fit_sound(sound, other_sound, reference, params, rec.span_s, rec.rate_hz)


def _trace(rec: Recording, frames: Times) -> Times | None:
    """Return the feature that traces speech or movement, shape (n_frames,), if there is one."""
    names = read_json(rec.folder / "features.json")["names"]
    feature = registry.get("modalities", rec.modality).activity_feature
    return frames[:, names.index(feature)].astype(np.float64) if feature in names else None


def _fit_alone(rec: Recording, schedule_s: Times, params: AlignmentParams) -> ClockFit:
    """Fit a clock to a recording's own evidence: clock offsets, or else pulses.

    A recording with both has its offsets checked against its pulses.
    """
    if rec.clock == "shared":
        return SHARED
    times_s, pulses_s, anchors_s = rec.arrays("times_s", "pulses_s", "anchors_s")
    by_offsets = fit_offsets(anchors_s, params, rec.span_s, rec.rate_hz)
    by_pulses = fit_pulses(pulses_s, schedule_s, params, rec.span_s, rec.rate_hz, _gaps_s(times_s))
    if by_offsets.status == by_pulses.status == "aligned":
        return _checked(by_offsets, by_pulses, params.sample_tolerance_ms(rec.rate_hz))
    return best([by_offsets, by_pulses]) if len(anchors_s) else by_pulses


def _gaps_s(times_s: Times) -> Times:
    """Return the native start and end of gaps without frames, in seconds, shape (n_gaps, 2)."""
    step = np.diff(times_s)
    if not len(step):
        return np.empty((0, 2))
    before = np.flatnonzero(step > GAP_PERIODS * np.median(step))
    return np.stack([times_s[before], times_s[before + 1]], axis=1)


def _checked(fit: ClockFit, other: ClockFit, tolerance_ms: float) -> ClockFit:
    """Return the first fit; its status becomes coarse if the second one's anchors contradict it."""
    assert fit.clock is not None
    native, session = other.anchors_s.T
    apart_ms = 1e3 * float(np.nanmedian(np.abs(fit.clock.to_session(native) - session)))
    if apart_ms <= tolerance_ms:
        return fit
    reason = f"{fit.method} and {other.method} are {apart_ms:.1f} ms apart"
    return replace(fit, status="coarse", reason=reason)


def best(fits: list[ClockFit]) -> ClockFit:
    """Return the fit with the best status; ties go to the higher confidence, then to the first."""
    return min(
        fits, key=lambda fit: (ALIGNMENT_STATUSES.index(fit.status), -(fit.confidence or 0.0))
    )
