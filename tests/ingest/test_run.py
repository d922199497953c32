"""Every failure of ingest has its reason on the screen, in a table and in the error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile

from consilience import params
from consilience.core.errors import ConsilienceError, RecordingError
from consilience.ingest import features
from consilience.ingest.catalog import write_catalog
from consilience.ingest.run import ingest_modality
from consilience.modalities.audio import Audio
from consilience.project import Project
from consilience.schema.tables import Findings, Ingested, Problems, Recordings, read_table


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a cataloged project of three sounds, one of which is text."""
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "inf")  # in this process
    root = tmp_path / "raw"
    root.mkdir()
    rows = [f"{session},ada,audio,{session}.wav" for session in ("one", "two", "text")]
    (root / "recordings.csv").write_text("\n".join(["session,subject,modality,path", *rows]))
    for number, session in enumerate(("one", "two")):
        sound = 0.1 * np.random.default_rng(number).standard_normal(16000).astype(np.float32)
        soundfile.write(root / f"{session}.wav", sound, 16000)
    (root / "text.wav").write_text("not a sound")
    content = params.defaults("folder", "raw", folder=tmp_path)
    content["modalities"]["audio"]["corruptions"] = {}
    project = Project(tmp_path)
    project.params_file.write_text(json.dumps(content))  # JSON is YAML
    write_catalog(project, emit=lambda line: None)
    return project


def refuse(monkeypatch: pytest.MonkeyPatch, *sessions: str) -> None:
    compute = features.compute

    def refused(row: dict[str, Any], *arguments: Any) -> Any:
        if row["session"] in sessions:
            raise RecordingError("too quiet", row["path"], "move the microphone")
        return compute(row, *arguments)

    monkeypatch.setattr(features, "compute", refused)


def problems_of(project: Project) -> pl.DataFrame:
    return read_table(project.signals("audio") / "problems.parquet", Problems)


def test_a_failure_is_on_the_screen_and_in_the_table(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "two")
    lines: list[str] = []
    ingest_modality(project, "audio", lines.append)
    assert "  quarantined two_audio: too quiet (move the microphone)" in lines
    assert problems_of(project).rows() == [
        ("two_audio", "too quiet (move the microphone)", "left out of audio: quarantined")
    ]


def test_without_a_usable_recording_one_line_states_the_reasons_and_the_list(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "one", "two")
    lines: list[str] = []
    with pytest.raises(ConsilienceError) as caught:
        ingest_modality(project, "audio", lines.append)
    line = str(caught.value)
    assert line.startswith("modality audio: none of 3 recordings is usable: 2 × too quiet (move")
    assert "; 1 × " in line
    path = "data/signals/audio.frames/recordings.parquet"
    assert f"all are in {path}; correct them, or remove the modality" in line
    reasons = read_table(project.root / path, Ingested)["reason"]
    assert reasons.str.contains("too quiet").sum() == 2
    assert sum("too quiet" in line for line in lines) == 2
    assert problems_of(project)["where"].to_list() == ["one_audio", "two_audio"]


def test_missing_weights_end_ingest_before_a_recording_is_quarantined_for_them(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Audio, "weights", ("no-such-package",))
    lines: list[str] = []
    with pytest.raises(ConsilienceError, match=r"pip install --no-deps no-such-package"):
        ingest_modality(project, "audio", lines.append)
    assert lines == []
    assert not project.signals("audio").exists()


def test_the_catalog_ends_with_that_line_before_other_modalities_are_ingested(
    project: Project,
) -> None:
    for session in ("one", "two"):
        (project.dataset_root / f"{session}.wav").write_text("not a sound")
    with pytest.raises(ConsilienceError, match=r"modality audio: none of 3 recordings is usable"):
        write_catalog(project, emit=lambda line: None)
    path = project.recordings_table("audio")
    assert read_table(path, Recordings)["status"].to_list() == ["quarantined"] * 3


def test_findings_are_counted_on_the_screen_and_kept_with_the_features(project: Project) -> None:
    sound = np.random.default_rng(9).standard_normal(8000).astype(np.float32) / 10
    soundfile.write(project.dataset_root / "two.wav", sound, 8000)
    write_catalog(project, emit=lambda line: None)
    for reused in (0, 2):
        lines: list[str] = []
        ingest_modality(project, "audio", lines.append)
        assert f"{reused} reused" in lines[0]
        assert lines[-1].startswith("  1 finding about 1 of 2 recordings, in data/signals")
        path = project.signals("audio") / "findings.parquet"
        assert read_table(path, Findings).rows() == [
            ("two_audio", "two.wav", "8000 Hz: nothing above 4000 Hz is in it")
        ]


def test_new_recordings_are_named_beside_reused_ones_only(
    project: Project,
) -> None:
    def named() -> list[str]:
        lines: list[str] = []
        ingest_modality(project, "audio", lines.append)
        return [line for line in lines if line.startswith("  processed")]

    assert named() == []  # both are new
    noise = np.random.default_rng(7).standard_normal((2, 16000)).astype(np.float32) / 10
    rows = []
    for number, values in enumerate(noise):
        soundfile.write(project.dataset_root / f"late{number}.wav", values, 16000)
        rows.append(f"\nlate{number},ada,audio,late{number}.wav")
    with (project.dataset_root / "recordings.csv").open("a") as file:
        file.writelines(rows)
    write_catalog(project, emit=lambda line: None)
    assert named() == ["  processed late0_audio", "  processed late1_audio"]
    assert named() == []
