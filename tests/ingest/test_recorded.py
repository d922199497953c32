from __future__ import annotations

from pathlib import Path

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


def test_the_description_is_one_line() -> None:
    assert (
        Recorded({"128": 2}, ("Fp1", "Cz")).described("eeg") == "eeg: 128 Hz (2); channels Fp1, Cz"
    )
    assert Recorded({}, ()).described("face_au") == "face_au: no sampling rate"
