"""Long recordings and the peak memory of a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.speed.memory import RECORDINGS, measure
from consilience.core import registry


@pytest.mark.parametrize("modality", ["eeg", "audio"])
def test_a_recording_has_the_stated_duration(modality: str, tmp_path: Path) -> None:
    write, suffix = RECORDINGS[modality]
    path = tmp_path / f"a{suffix}"
    write(path, 2)
    header = registry.get("modalities", modality).probe(path, None)
    assert header.duration_s == pytest.approx(120)


@pytest.mark.parametrize("what", ["noise", "ingest"])
def test_the_peak_is_that_of_a_process_of_its_own(what: str, tmp_path: Path) -> None:
    write, suffix = RECORDINGS["eeg"]
    path = tmp_path / f"a{suffix}"
    write(path, 1)
    assert 50e6 < measure(what, "eeg", path) < 2e9
