"""Features of one recording, computed for a sound file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from consilience.core import registry
from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.ingest.features import compute
from consilience.schema.constants import CLEAN, SEVERITIES

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
    settings = audio.Params(corruptions={"noise": [20, 10, 5, 0, -5]})
    arrays, outcome = compute(row, tmp_path, "audio", settings)
    variants = {f"noise_{severity}" for severity in SEVERITIES}
    assert set(arrays) == {"times_s", "pulses_s", "anchors_s", CLEAN, *variants}
    shape = (len(arrays["times_s"]), len(outcome["names"]))
    assert all(arrays[name].shape == shape for name in (CLEAN, *variants))
    assert arrays[CLEAN].dtype == np.float32
    assert outcome["status"] == "ok"
    assert outcome["n_frames"] == shape[0]
    assert outcome["duration_s"] == pytest.approx(2.0)
    assert 0 <= outcome["quality"]["quality"] <= 1


def test_the_noise_of_a_recording_depends_on_its_name_and_not_on_other_kinds(tmp_path, audio, row):
    noise = {"noise": [20, 10, 5, 0, -5]}
    every = {kind: entry.severities for kind, entry in audio.Params.CORRUPTION_KINDS.items()}
    every |= noise
    alone, _ = compute(row, tmp_path, "audio", audio.Params(corruptions=noise))
    beside, _ = compute(row, tmp_path, "audio", audio.Params(corruptions=every))
    np.testing.assert_array_equal(alone["noise_3"], beside["noise_3"])
    other, _ = compute(row | {"recording": "b"}, tmp_path, "audio", audio.Params(corruptions=noise))
    assert not np.array_equal(alone["noise_3"], other["noise_3"], equal_nan=True)


def test_a_file_that_changed_since_it_was_catalogued_raises(tmp_path, audio, row):
    with pytest.raises(RecordingError, match="changed while the pipeline ran"):
        compute(row | {"content_hash": "0"}, tmp_path, "audio", audio.Params(corruptions={}))


def test_a_variant_without_usable_samples_is_all_nan(tmp_path, audio, row, monkeypatch):
    original = type(audio).features

    def features(self, signal, settings):
        if signal.values.max() > 100:
            raise RecordingError("nothing usable", "a.wav")
        return original(self, signal, settings)

    def corrupt(self, signal, kind, severity, settings, rng):
        corrupted = original_corrupt(self, signal, kind, severity, settings, rng)
        return replace(corrupted, values=corrupted.values + 1000.0 * (severity == 5))

    original_corrupt = type(audio).corrupt
    monkeypatch.setattr(type(audio), "features", features)
    monkeypatch.setattr(type(audio), "corrupt", corrupt)
    settings = audio.Params(corruptions={"noise": [20, 10, 5, 0, -5]})
    arrays, _ = compute(row, tmp_path, "audio", settings)
    assert np.isnan(arrays["noise_5"]).all()
    assert arrays["noise_5"].shape == arrays[CLEAN].shape
    assert np.isfinite(arrays["noise_4"]).any()
