import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consilience.datasets.demo import dataset
from consilience.schema.params.synthesis import SynthesisParams
from consilience.schema.tables import Annotations, Pulses, Trials
from consilience.synthesis.corpus import write_corpus
from consilience.synthesis.plan import sessions

TABLES = {"recordings.csv", "trials.csv", "pulses.csv", "annotations.csv"}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_bytes_do_not_depend_on_the_number_of_workers(
    corpus: tuple[Path, Path],
    tiny: SynthesisParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONSILIENCE_WORKERS", "2")
    write_corpus(tiny, tmp_path / "raw", tmp_path / "truth")
    for first, second in zip(corpus, (tmp_path / "raw", tmp_path / "truth"), strict=True):
        assert contents(first) == contents(second)


def test_more_subjects_leave_existing_recordings_unchanged(
    corpus: tuple[Path, Path], tiny: SynthesisParams, tmp_path: Path
) -> None:
    write_corpus(tiny.model_copy(update={"subjects": 1}), tmp_path / "raw", tmp_path / "truth")
    before, after = contents(tmp_path / "raw"), contents(corpus[0])
    recordings = set(before) - TABLES
    assert len(recordings) == 3
    assert all(before[name] == after[name] for name in recordings)


def test_what_was_there_before_is_replaced(tmp_path: Path, tiny: SynthesisParams) -> None:
    stale = tmp_path / "raw" / "stale.edf"
    stale.parent.mkdir()
    stale.touch()
    write_corpus(tiny.model_copy(update={"subjects": 1}), tmp_path / "raw", tmp_path / "truth")
    assert not stale.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "truth"}


def test_raw_folder_contains_no_ground_truth(corpus: tuple[Path, Path]) -> None:
    raw, truth = corpus
    recordings = {
        f"sub-0{subject}/ses-1/{name}"
        for subject in (1, 2)
        for name in ("eeg.edf", "voice.flac", "face.mp4")
    }
    assert set(contents(raw)) == TABLES | recordings
    clocks = pl.read_csv(truth / "clocks.csv", infer_schema=False)
    secrets = [value.encode() for value in [*clocks["offset_s"], *clocks["drift_ppm"]]]
    for name, content in contents(raw).items():
        if name == "annotations.csv":  # with so many numbers that one may coincide
            continue
        assert not any(secret in content for secret in secrets), name


def test_adapter_reads_the_corpus_without_a_problem(corpus: tuple[Path, Path]) -> None:
    listing = dataset.list(corpus[0])
    assert listing.problems == []
    assert len(listing.entries) == 6
    for table, schema in (
        (listing.trials, Trials),
        (listing.pulses, Pulses),
        (listing.annotations, Annotations),
    ):
        schema.validate(table)
        assert table.height > 0


def test_missing_and_faulty_recordings_are_as_planned(tmp_path: Path) -> None:
    params = SynthesisParams(subjects=3, sessions=1, trials=1, missing_fraction=0.3)
    write_corpus(params, tmp_path / "raw", tmp_path / "truth")
    faults = pl.read_csv(tmp_path / "truth" / "faults.csv").rows()
    for plan in sessions(params):
        if plan.missing:
            assert (plan.recording(plan.missing), "missing") in faults
        for entry in dataset.list(tmp_path / "raw").entries:
            if entry.session == plan.name:
                exists = (tmp_path / "raw" / entry.path).is_file()
                assert exists == (entry.modality != plan.missing)
    assert any(plan.missing for plan in sessions(params))


def test_ground_truth_contains_the_state_within_trials(
    corpus: tuple[Path, Path], tiny: SynthesisParams
) -> None:
    state = pl.read_csv(corpus[1] / "state.csv")
    assert state.columns == ["session", "time_s", "valence", "arousal", "emotion"]
    for plan in sessions(tiny):
        for trial in plan.trials:
            rows = state.filter(
                (pl.col("session") == plan.name)
                & pl.col("time_s").is_between(trial.start_s - 1e-6, trial.end_s)
            )
            assert rows["emotion"].unique().to_list() == [trial.emotion]
            times_s = rows["time_s"].to_numpy()
            written = rows.select("valence", "arousal").to_numpy().T
            np.testing.assert_allclose(written, plan.state(times_s), atol=1e-3)


def test_files_are_readable(corpus: tuple[Path, Path]) -> None:
    assert all(os.access(path, os.R_OK) for path in corpus[0].rglob("*"))
    assert corpus[0].stat().st_mode & 0o755 == 0o755
