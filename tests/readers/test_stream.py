"""The latest samples of a stream as an open recording."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.core.errors import RecordingError
from consilience.readers.stream import StreamRecording, without_jitter
from consilience.readers.units import VOLTAGE


def test_jitter_is_removed_between_losses_of_a_stream_of_any_rate() -> None:
    true_s = np.concatenate([np.arange(0, 10, 0.04), np.arange(20, 30, 0.04)])
    stamps_s = true_s + np.random.default_rng(0).normal(0, 0.004, len(true_s))
    np.testing.assert_allclose(without_jitter(stamps_s, 25.0, False), true_s, atol=1.5e-3)
    np.testing.assert_array_equal(without_jitter(stamps_s, 0.0, False), stamps_s)
    np.testing.assert_array_equal(without_jitter(stamps_s, 25.0, True), stamps_s)


def test_values_are_in_si_units_and_raw_ones_as_received() -> None:
    values = np.array([[1, 2], [3, 4]], np.int16)
    recording = StreamRecording(
        "Amp", ("Fp1", "Cz"), ("microvolts", "uV"), 250.0, values, np.array([0.0, 0.004])
    )
    np.testing.assert_allclose(recording.values(["Cz"], 1.0)[:, 0], [2e-6, 4e-6])
    assert recording.stored_samples().dtype == np.int16
    wrong = StreamRecording("Amp", ("Fp1",), ("metres",), 250.0, values[:, :1], np.arange(2.0))
    with pytest.raises(RecordingError, match="the unit 'metres'"):
        wrong.without_unit(["Fp1"], VOLTAGE)
