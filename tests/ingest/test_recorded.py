from __future__ import annotations

from pathlib import Path

import edfio
import numpy as np
import pytest
import soundfile

from consilience.datasets.base import Entry
from consilience.datasets.folder import Folder
from consilience.ingest.recorded import Recorded, recorded


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "inf")


def test_the_rates_of_readable_recordings_are_counted(tmp_path: Path) -> None:
    for name, rate_hz in (("a.wav", 16000), ("b.wav", 48000), ("c.wav", 16000)):
        soundfile.write(tmp_path / name, np.zeros(rate_hz, np.float32), rate_hz)
    (tmp_path / "text.wav").write_text("not a sound")
    names = ("a.wav", "b.wav", "c.wav", "text.wav", "gone.wav", "../outside.wav")
    entries = [Entry(name, "ada", "audio", name) for name in names]
    assert recorded(Folder(("audio",)), entries, tmp_path, ["audio"]) == {
        "audio": Recorded({"16000": 2, "48000": 1}, ())
    }


def test_channels_of_the_rate_that_is_read_are_counted(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 20, 2560)
    signals = [
        edfio.EdfSignal(noise[: 10 * rate_hz], rate_hz, label=name, physical_dimension="uV")
        for name, rate_hz in (("EEG Fp1", 256), ("Cz", 256), ("O1", 128), ("ECG", 256))
    ]
    edfio.Edf(signals).write(tmp_path / "a.edf")
    entry = Entry("a", "ada", "eeg", "a.edf")
    assert recorded(Folder(("eeg",)), [entry], tmp_path, ["eeg"]) == {
        "eeg": Recorded({"256": 1}, ("Fp1", "Cz"))
    }


def test_the_description_is_one_line() -> None:
    assert (
        Recorded({"128": 2, "256": 1}, ("Fp1", "Cz")).described("eeg")
        == "eeg: 128 Hz in 2 opened recordings, 256 Hz in 1 opened recording; channels Fp1, Cz"
    )
    assert (
        Recorded({"250": 1}, ("Fp1",), {"EXG Channel 0": "Fp1"})
        .described("eeg")
        .endswith(
            "; OpenBCI's usual positions are assumed (EXG Channel 0 as Fp1): correct 'aliases' if "
            "yours differ"
        )
    )
    assert Recorded({}, ()).described("face_au") == "face_au: no sampling rate"
