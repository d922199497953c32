"""Features of one recording, computed for a sound file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from consilience.core import registry
from consilience.core.seeds import generator
from consilience.ingest.features import compute
from consilience.schema.constants import CLEAN

RATE_HZ = 16000


@pytest.fixture
def audio():
    return registry.get("modalities", "audio")


@pytest.fixture
def row(tmp_path: Path, audio) -> dict[str, Any]:
    """Write 2 s of noise and return its row of the catalog."""
    samples = 0.1 * generator("noise").standard_normal(2 * RATE_HZ)
    soundfile.write(tmp_path / "a.wav", samples.astype(np.float32), RATE_HZ, "FLOAT")
    identity = audio.identity(tmp_path / "a.wav", None)
    row = {"recording": "a", "path": "a.wav", "item": None, "bad_channels": None}
    return row | {"content_hash": identity}


def test_arrays_and_outcome_of_a_recording(tmp_path, audio, row):
    arrays, outcome = compute(row, tmp_path, "audio", audio.Params())
    assert set(arrays) == {"times_s", "pulses_s", "anchors_s", CLEAN}
    shape = (len(arrays["times_s"]), len(outcome["names"]))
    assert arrays[CLEAN].shape == shape
    assert arrays[CLEAN].dtype == np.float32
    assert outcome["status"] == "ok"
    assert outcome["n_frames"] == shape[0]
    ends_s = (outcome["first_frame_s"], outcome["last_frame_s"])
    assert ends_s == (arrays["times_s"][0], arrays["times_s"][-1])
    assert outcome["duration_s"] == pytest.approx(2.0)
    assert 0 <= outcome["quality"]["quality"] <= 1
