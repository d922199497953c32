"""Renamed BrainVision files are read by their own names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pybv
import pytest

from consilience.core.errors import RecordingError
from consilience.readers.brainvision import companion, renamed
from consilience.readers.recording import identity, open_recording

NAMES = ["Fp1", "Cz"]


@pytest.fixture(params=["", "a folder with é"])
def header(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return the header of a recording that was renamed from ``first`` to ``new``."""
    folder = tmp_path / request.param
    folder.mkdir(exist_ok=True)
    data = 2e-5 * np.random.default_rng(0).standard_normal((2, 256))
    pybv.write_brainvision(
        data=data, sfreq=128, ch_names=NAMES, fname_base="first", folder_out=folder
    )
    for suffix in (".vhdr", ".vmrk", ".eeg"):
        (folder / f"first{suffix}").rename(folder / f"new{suffix}")
    return folder / "new.vhdr"


def test_a_renamed_recording_is_read_and_reported(header: Path) -> None:
    recording = open_recording(header, None)
    assert recording.n_samples == 256
    assert recording.values(NAMES, 1e-6).std() == pytest.approx(2e-5, rel=0.1)
    assert sum("does not exist" in line for line in recording.findings()) == 2
    before = identity(header, None)
    header.with_suffix(".eeg").write_bytes(bytes(header.with_suffix(".eeg").stat().st_size))
    assert identity(header, None) != before


def test_the_named_file_has_priority(header: Path) -> None:
    named = header.with_name("first.eeg")
    named.write_bytes(header.with_suffix(".eeg").read_bytes())
    assert companion(header, "DataFile") == named
    assert len(renamed(header)) == 1  # the markers


def test_missing_samples_are_named(header: Path) -> None:
    header.with_suffix(".eeg").unlink()
    with pytest.raises(RecordingError, match=r"samples, 'first.eeg', does not exist"):
        open_recording(header, None)
    header.write_text(header.read_text().replace("DataFile=first", "DataFile=$b"))
    with pytest.raises(RecordingError, match=r"samples, 'new.eeg', does not exist"):
        open_recording(header, None)


def test_a_header_cannot_refer_to_another_folder(header: Path) -> None:
    outside = header.parent.parent / "outside.eeg"
    outside.write_bytes(header.with_suffix(".eeg").read_bytes())
    header.write_text(header.read_text().replace("first.eeg", str(outside)))
    with pytest.raises(RecordingError, match="refers to samples in another folder"):
        open_recording(header, None)
