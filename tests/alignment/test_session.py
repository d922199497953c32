from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from consilience.alignment import session as alignment_session
from consilience.alignment.clock import SHARED, Clock, ClockFit, Line, unaligned
from consilience.alignment.session import AlignmentContext, Recording, align_session, best
from consilience.schema.params.alignment import AlignmentParams
from consilience.signals.types import Signal

PARAMS = AlignmentParams()
CONTEXT = AlignmentContext(PARAMS)
END_S = 60.0
SCHEDULE_S = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.0, 80))
NO_ANCHORS = np.empty((0, 2))


@pytest.fixture(autouse=True)
def modality(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Replace every modality by one without sound or activity."""
    plain = SimpleNamespace(activity_feature=None, sound=lambda *_: None)
    monkeypatch.setattr(alignment_session.registry, "get", lambda kind, name: plain)
    return plain


def recording(
    folder: Path,
    name: str,
    true: Line,
    *,
    clock: str = "anchors",
    pulses: bool = True,
    offsets: bool = False,
    start_time: str | None = None,
    **changes: Any,
) -> Recording:
    """Write the arrays of a recording of 60 s at 50 frames per second."""
    times_s = np.arange(0.01, END_S, 0.02)
    native = true.to_native(SCHEDULE_S)
    arrays = {
        "times_s": times_s,
        "clean": np.ones((len(times_s), 1), np.float32),
        "pulses_s": native[(native > 0) & (native < END_S)] if pulses else np.empty(0),
        "anchors_s": NO_ANCHORS,
        **changes,
    }
    if offsets:
        grid = np.arange(0, END_S, 5.0)
        arrays["anchors_s"] = np.stack([grid, true.to_session(grid)], axis=1)
    np.savez(folder / f"{name}.npz", **arrays)
    (folder / "features.json").write_text(json.dumps({"names": ["level"]}))
    path = folder / f"{name}.raw"
    span_s = (float(arrays["times_s"][0]), float(arrays["times_s"][-1]))
    return Recording(name, "s", "eeg", folder, path, None, clock, start_time, 50.0, *span_s, END_S)


def test_a_shared_clock_is_not_estimated(tmp_path: Path) -> None:
    rec = recording(tmp_path, "a", Line(), clock="shared")
    assert align_session(([rec], SCHEDULE_S), CONTEXT) == {"a": SHARED}


@pytest.mark.parametrize(("offsets", "method"), [(False, "pulses"), (True, "clock offsets")])
def test_a_recording_is_aligned_by_its_own_evidence(
    tmp_path: Path, offsets: bool, method: str
) -> None:
    rec = recording(tmp_path, "a", Line(1.0, 100), offsets=offsets)
    fit = align_session(([rec], SCHEDULE_S), CONTEXT)["a"]
    assert (fit.status, fit.method) == ("aligned", method)
    assert fit.clock is not None
    assert fit.clock.to_session(30.0) == pytest.approx(Line(1.0, 100).to_session(30.0), abs=1e-3)


def test_offsets_that_contradict_the_pulses_are_coarse(tmp_path: Path) -> None:
    grid = np.arange(0, END_S, 5.0)
    wrong = np.stack([grid, grid + 1.4], axis=1)
    rec = recording(tmp_path, "a", Line(1.0), anchors_s=wrong)
    fit = align_session(([rec], SCHEDULE_S), CONTEXT)["a"]
    assert (fit.status, fit.method) == ("coarse", "clock offsets")
    assert fit.reason == "clock offsets and pulses are 400.0 ms apart"


def test_an_unaligned_recording_is_compared_with_an_aligned_one(tmp_path: Path) -> None:
    aligned = recording(tmp_path, "a", Line(1.0), start_time="2026-01-01T10:00:00")
    other = recording(tmp_path, "b", Line(), pulses=False, start_time="2026-01-01T10:00:02")
    fit = align_session(([aligned, other], SCHEDULE_S), CONTEXT)["b"]
    assert (fit.status, fit.method) == ("coarse", "start times")
    assert fit.clock is not None
    assert fit.clock.longest.offset_s == pytest.approx(3.0, abs=1e-3)


def test_shared_sound_aligns_a_recording_without_pulses(
    tmp_path: Path, modality: SimpleNamespace
) -> None:
    noise = np.random.default_rng(1).normal(size=30 * 8000).astype(np.float32)

    def sound(path: Path, item: str | None, rate_hz: float) -> Signal:
        start = 4000 if path.stem == "b" else 0
        values = noise[start:]
        return Signal(values, np.arange(len(values)) / 8000, np.empty(0))

    modality.sound = sound
    aligned = recording(tmp_path, "a", Line(1.0))
    other = recording(tmp_path, "b", Line(), pulses=False)
    fit = align_session(([aligned, other], SCHEDULE_S), CONTEXT)["b"]
    assert (fit.status, fit.method) == ("aligned", "shared sound")
    assert fit.clock is not None
    assert fit.clock.to_session(5.0) == pytest.approx(6.5, abs=1e-3)


@pytest.mark.parametrize(("kept_samples", "n_reads"), [(10_000, 4), (2_500, 6), (0, 8)])
def test_a_sound_track_is_read_once_as_far_as_memory_allows(
    tmp_path: Path,
    modality: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    kept_samples: int,
    n_reads: int,
) -> None:
    read: list[str] = []

    def sound(path: Path, item: str | None, rate_hz: float) -> Signal:
        read.append(path.stem)
        return Signal(np.zeros(1000, np.float32), np.arange(1000) / 8000, ("mono",))

    modality.sound = sound
    monkeypatch.setattr(alignment_session, "KEPT_SAMPLES", kept_samples)
    aligned = [recording(tmp_path, name, Line()) for name in "ab"]
    others = [recording(tmp_path, name, Line(), pulses=False) for name in "cd"]
    align_session(([*aligned, *others], SCHEDULE_S), CONTEXT)
    assert len(read) == n_reads


def test_the_reason_of_the_own_evidence_is_kept_if_nothing_aligns(tmp_path: Path) -> None:
    rec = recording(tmp_path, "a", Line(), pulses=False)
    fit = align_session(([rec], SCHEDULE_S), CONTEXT)["a"]
    assert fit.status == "unaligned"
    assert "no synchronisation pulse" in (fit.reason or "")


def test_a_gap_in_the_frames_locates_a_reset(tmp_path: Path) -> None:
    before, after = Line(0.0), Line(1.5)
    times_s = np.concatenate([np.arange(0.01, 30, 0.02), np.arange(30.51, END_S, 0.02)])
    pulses = np.concatenate(
        [
            before.to_native(SCHEDULE_S[SCHEDULE_S < 30]),
            after.to_native(SCHEDULE_S[(SCHEDULE_S > 32.1) & (SCHEDULE_S < 58)]),
        ]
    )
    rec = recording(tmp_path, "a", before, times_s=times_s, pulses_s=pulses)
    fit = align_session(([rec], SCHEDULE_S), CONTEXT)["a"]
    assert fit.clock is not None
    first, second = fit.clock.pieces
    assert first.until_native_s == pytest.approx(29.99)
    assert second.from_native_s == pytest.approx(30.51)


def test_the_span_extends_half_a_frame_beyond_the_frame_centres(tmp_path: Path) -> None:
    rec = recording(tmp_path, "a", Line())
    assert rec.span_s == (pytest.approx(0.0), pytest.approx(END_S))
    assert replace(rec, duration_s=None).span_s == (
        pytest.approx(0.01),
        pytest.approx(END_S - 0.01),
    )


def test_the_best_fit_has_the_best_status_then_the_highest_confidence() -> None:
    def fit(status: str, confidence: float, method: str = "pulses") -> ClockFit:
        return ClockFit(Clock(), method, NO_ANCHORS, None, 1.0, confidence, status)

    low, high, coarse = fit("aligned", 0.99), fit("aligned", 1.0), fit("coarse", 1.0)
    assert best([unaligned("pulses", ""), coarse, low, high]) is high
    first = fit("aligned", 1.0, "clock offsets")
    assert best([first, high]) is first
