"""Writes the demonstration corpus: recordings in one folder, their ground truth in another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from consilience.core.files import atomic_folder
from consilience.core.workers import parallel_map
from consilience.schema.params.synthesis import SynthesisParams
from consilience.schema.tables import Annotations, Pulses, Trials, frame_of
from consilience.synthesis.annotators import annotation_rows
from consilience.synthesis.eeg import leadfield, write_eeg
from consilience.synthesis.face import write_face
from consilience.synthesis.plan import FILES, RATES_HZ, Floats, Session, sessions
from consilience.synthesis.voice import write_voice

STATE_RATE_HZ = 4.0
Row = dict[str, object]


def write_corpus(params: SynthesisParams, raw: Path, truth: Path) -> None:
    """Write the corpus described in `consilience.datasets.demo`, and its ground truth.

    Parameters
    ----------
    params : SynthesisParams
        Size of the corpus; the same parameters give the same bytes.
    raw : Path
        Folder of the recordings and tables: the input of the pipeline.
    truth : Path
        Folder of ``clocks.csv`` (recording, offset_s, drift_ppm), ``state.csv`` (session,
        time_s, valence, arousal, emotion; in the trials) and ``faults.csv`` (recording, fault).
    """
    plans = sessions(params)
    # Separate folders: a stage that reads the recordings cannot depend on the ground truth.
    with atomic_folder(raw) as raw_aside, atomic_folder(truth) as truth_aside:
        faults = parallel_map(
            partial(_write_session, gains=leadfield(), root=raw_aside), plans, "synthesize"
        )
        _write_tables(plans, raw_aside)
        _write_truth(plans, [row for rows in faults for row in rows], truth_aside)


def _write_session(session: Session, gains: Floats, root: Path) -> list[Row]:
    """Write a session's recordings; return the rows of ``faults.csv``."""
    folder = root / session.folder
    folder.mkdir(parents=True)
    writers: dict[str, Callable[..., list[str]]] = {
        "eeg": partial(write_eeg, gains=gains),
        "audio": write_voice,
        "video": write_face,
    }
    rows: list[Row] = []
    for modality, file in FILES.items():
        recording = session.recording(modality)
        if modality == session.missing:
            rows.append({"recording": recording, "fault": "missing"})
            continue
        faults = writers[modality](session, path=folder / file)
        rows += [{"recording": recording, "fault": fault} for fault in faults]
    return rows


def _write_tables(plans: list[Session], root: Path) -> None:
    """Write the tables of recordings, trials, pulses and annotations."""
    recordings = [
        {
            "subject": plan.subject,
            "session": plan.name,
            "modality": modality,
            "path": f"{plan.folder}/{file}",
            "rate_hz": RATES_HZ[modality],
        }
        for plan in plans
        for modality, file in FILES.items()
    ]
    trials: list[Row] = [
        {
            "session": plan.name,
            "trial": trial.name,
            "start_s": trial.start_s,
            "end_s": trial.end_s,
        }
        for plan in plans
        for trial in plan.trials
    ]
    pulses: list[Row] = [
        {"session": plan.name, "time_s": float(time_s)}
        for plan in plans
        for time_s in plan.pulses_s
    ]
    annotations = [row for plan in plans for row in annotation_rows(plan)]
    pl.DataFrame(recordings).write_csv(root / "recordings.csv")
    frame_of(trials, Trials).write_csv(root / "trials.csv")
    frame_of(pulses, Pulses).write_csv(root / "pulses.csv")
    frame_of(annotations, Annotations).write_csv(root / "annotations.csv")


def _write_truth(plans: list[Session], faults: list[Row], root: Path) -> None:
    """Write the tables of clocks, states and faults."""
    clocks = [
        {
            "recording": plan.recording(modality),
            "offset_s": clock.offset_s,
            "drift_ppm": clock.drift_ppm,
        }
        for plan in plans
        for modality, clock in plan.clocks.items()
    ]
    state = [row for plan in plans for row in _state_rows(plan)]
    pl.DataFrame(clocks).write_csv(root / "clocks.csv")
    pl.DataFrame(state).write_csv(root / "state.csv")
    # Without types, an empty table would lose its columns.
    types = {"recording": pl.String, "fault": pl.String}
    pl.DataFrame(faults, schema=types).write_csv(root / "faults.csv")


def _state_rows(plan: Session) -> list[Row]:
    """Return valence, arousal and emotion along the trials, at `STATE_RATE_HZ`."""
    rows: list[Row] = []
    for trial in plan.trials:
        times_s = np.arange(trial.start_s, trial.end_s, 1 / STATE_RATE_HZ)
        for time_s, (valence, arousal) in zip(times_s, plan.state(times_s).T, strict=True):
            rows.append(
                {
                    "session": plan.name,
                    "time_s": round(float(time_s), 6),
                    "valence": round(float(valence), 4),
                    "arousal": round(float(arousal), 4),
                    "emotion": trial.emotion,
                }
            )
    return rows
