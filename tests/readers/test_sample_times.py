"""Times of samples by time stamps, and corrected by packet counters."""

from __future__ import annotations

import edfio
import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.readers.base import Recording
from consilience.readers.recording import open_recording
from consilience.readers.sample_times import describe_gaps, packets_of, sample_times, true_times
from tests.packet_counters import counting

RATE_HZ = 128


def write(path, counter):
    signals = [
        edfio.EdfSignal(
            values, RATE_HZ, label=label, physical_dimension="uV", physical_range=(-500, 500)
        )
        for label, values in (
            ("Counter", counter.astype(float)),
            ("Cz", 20 * generator("packets").standard_normal(len(counter))),
        )
    ]
    edfio.Edf(signals, data_record_duration=1).write(path)


def test_nominal_times_are_moved_by_the_samples_lost_before(tmp_path):
    write(tmp_path / "a.edf", counting(10 * RATE_HZ, losses=((2 * RATE_HZ, 64),)))
    nominal_s = np.array([0.0, 1.0, 3.0, 9.0])
    assert true_times(tmp_path / "a.edf", nominal_s) == pytest.approx([0.0, 1.0, 3.5, 9.5])


def test_times_are_unchanged_without_a_counter_or_a_readable_file(tmp_path):
    nominal_s = np.array([0.0, 1.0])
    write(tmp_path / "constant.edf", np.zeros(4 * RATE_HZ))
    (tmp_path / "text.edf").write_text("not a recording")
    for name in ("constant.edf", "text.edf", "missing.edf"):
        assert np.array_equal(true_times(tmp_path / name, nominal_s), nominal_s)


def test_the_counter_of_a_recording_is_located_by_its_name(tmp_path):
    write(tmp_path / "a.edf", counting(4 * RATE_HZ, losses=((100, 8),), repeats=(300,)))
    packets = packets_of(open_recording(tmp_path / "a.edf", None))
    assert (packets.lost, int(packets.repeated.sum())) == (8, 1)
    assert packets.lost_fraction == pytest.approx(8 / (4 * RATE_HZ + 8 - 1))
    (finding,) = packets.findings()
    assert finding.startswith("packet losses: 2 counter jumps; 8 samples (1.5 %)")


def test_gaps_in_time_stamps_are_described():
    times_s = np.arange(100) / 10
    assert describe_gaps(times_s, 10) == []
    times_s[50:] += 2
    assert describe_gaps(times_s, 10) == ["1 gap in the time stamps, 2.1 s in all"]


def test_markers_move_with_the_samples_that_the_counter_shows_to_be_lost():
    class Counted(Recording):
        names, rate_hz, n_samples, stamped = ("COUNTER",), 10.0, 40, False

        def pulses_s(self, code=None):
            return np.array([0.5, 3.0])

        def values(self, names, default):
            numbers = np.arange(48) % 16
            return np.delete(numbers, np.arange(20, 28))[:, None].astype(float)

    kept, times_s, pulses_s = sample_times(Counted())
    assert kept.all()
    assert times_s[[19, 20, 39]] == pytest.approx([1.9, 2.8, 4.7])
    assert pulses_s == pytest.approx([0.5, 3.8])
