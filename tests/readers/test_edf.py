"""EDF and BDF files: rates, gaps, markers, units and headers, written by another library."""

from __future__ import annotations

from pathlib import Path

import edfio
import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.readers.recording import open_recording

RATE_HZ = 50
N_RECORDS = 12
NAMES = ("Fp1", "Fp2")
VALUES = 20 * generator("edf").standard_normal((N_RECORDS * RATE_HZ, len(NAMES)))


def signal(
    values: np.ndarray, rate_hz: float = RATE_HZ, label: str = "Fp1", unit: str = "uV"
) -> edfio.EdfSignal:
    return edfio.EdfSignal(
        values, rate_hz, label=label, physical_dimension=unit, physical_range=(-400, 400)
    )


def write(path: Path, *others: edfio.EdfSignal, notes: bool = False) -> bytearray:
    """Write EDF, with room for annotations in the last signal if `notes`, and return it."""
    signals = [signal(v, label=name) for name, v in zip(NAMES, VALUES.T, strict=True)]
    room = [edfio.EdfAnnotation(1.0, None, "room for texts " * 12)] if notes else []
    edfio.Edf([*signals, *others], annotations=room, data_record_duration=1).write(path)
    return bytearray(path.read_bytes())


def discontinuous(path: Path, starts_s: list[float], marks_s: list[float]) -> None:
    """Write EDF+D whose records of 1 s begin at these times, with these sync marks."""
    content = write(path, notes=True)
    head = int(content[184:192])
    size = (len(content) - head) // N_RECORDS
    samples = 2 * RATE_HZ * len(NAMES)
    for number, start_s in enumerate(starts_s):
        text = f"+{start_s:.6f}\x14\x14\0"
        text += "".join(f"+{at:.6f}\x14sync\x14\0" for at in marks_s if start_s <= at < start_s + 1)
        at = head + number * size + samples
        content[at : at + size - samples] = text.encode().ljust(size - samples, b"\0")
    content[192:197] = b"EDF+D"
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["a.edf", "a.bdf"])
def test_values_equal_those_of_mne_to_the_last_bit(tmp_path, name):
    cls, container = (
        (edfio.EdfSignal, edfio.Edf) if name == "a.edf" else (edfio.BdfSignal, edfio.Bdf)
    )
    signals = [
        cls(v, RATE_HZ, label=c, physical_dimension="uV", physical_range=(-187.5, 200))
        for c, v in zip(NAMES, VALUES.T, strict=True)
    ]
    container(signals, data_record_duration=1).write(tmp_path / name)
    expected = mne.io.read_raw(tmp_path / name, verbose="error").get_data().T
    assert np.array_equal(open_recording(tmp_path / name, None).values(NAMES, 1.0), expected)


def test_every_signal_is_read_at_its_own_rate(tmp_path):
    slow, fast = np.arange(N_RECORDS * 4) % 300, generator("fast").standard_normal(N_RECORDS * 200)
    trigger = np.zeros(N_RECORDS * 10)
    trigger[[25, 75]] = 1
    write(
        tmp_path / "a.edf",
        signal(slow, 4, "GSR", "uS"),
        signal(fast, 200, "ECG", "mV"),
        edfio.EdfSignal(trigger, 10, label="TRIG", physical_range=(0, 10), digital_range=(0, 10)),
    )
    recording = open_recording(tmp_path / "a.edf", None)
    for names, rate_hz in ((NAMES, RATE_HZ), (("GSR",), 4), (("ECG",), 200)):
        part = recording.at_rate_of(names)
        assert (part.rate_hz, part.names, part.duration_s) == (rate_hz, names, N_RECORDS)
        assert part.times_s() == pytest.approx(np.arange(N_RECORDS * rate_hz) / rate_hz)
        assert part.pulses_s().tolist() == [2.5, 7.5]
    gsr = recording.at_rate_of(["GSR"]).values(["GSR"], 1.0)[:, 0]
    assert gsr == pytest.approx(slow * 1e-6, abs=1e-8)
    with pytest.raises(RecordingError, match="another sampling rate"):
        recording.values(["Fp1", "ECG"], 1.0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0, 3600), min_size=N_RECORDS, max_size=N_RECORDS),
    st.lists(st.tuples(st.integers(0, N_RECORDS - 1), st.floats(0, 0.9)), max_size=4),
)
def test_gaps_keep_every_marker_at_its_true_time(tmp_path_factory, gaps_s, marks):
    path = tmp_path_factory.mktemp("gaps") / "a.edf"
    starts_s = [0.5, *(0.5 + np.arange(1, N_RECORDS) + np.cumsum(gaps_s[1:])).tolist()]
    marks_s = sorted({starts_s[record] + offset_s for record, offset_s in marks})
    discontinuous(path, starts_s, marks_s)
    recording = open_recording(path, None)
    assert recording.pulses_s() == pytest.approx(np.array(marks_s) - 0.5, abs=1e-5)
    firsts_s = recording.times_s()[::RATE_HZ]
    assert firsts_s == pytest.approx(np.array(starts_s) - 0.5, abs=1e-5)
    assert recording.duration_s == pytest.approx(starts_s[-1] + 0.5, abs=1e-5)


@pytest.mark.parametrize("declared", [b"-1", b"7", b"12"])
def test_gaps_are_kept_whatever_number_of_records_is_declared(tmp_path, declared):
    path = tmp_path / "a.edf"
    discontinuous(path, [*range(6), *range(14, 20)], [5.5, 15.25])
    content = bytearray(path.read_bytes())
    content[236:244] = declared.ljust(8)
    path.write_bytes(content)
    recording = open_recording(path, None)
    assert recording.pulses_s() == pytest.approx([5.5, 15.25])
    assert recording.times_s()[-1] == pytest.approx(20 - 1 / RATE_HZ)


@pytest.mark.parametrize("flags", [0, 1 << 20, (1 << 20) + 0xFF00, -(1 << 23)])
@pytest.mark.parametrize("sync", [1, 200, 1000])
def test_the_codes_of_a_status_channel_are_distinguished(tmp_path, flags, sync):
    codes = np.zeros(N_RECORDS * RATE_HZ, np.int32)
    codes[:20] = 254  # a start code
    marks = np.arange(1, 11) * RATE_HZ
    for at, code in [(at, sync) for at in marks] + [(130, 64), (230, 4096), (330, 64)]:
        codes[at : at + 5] = code
    wide = (-(2**23), 2**23 - 1)
    status = edfio.BdfSignal.from_digital(
        codes ^ np.int32(flags), RATE_HZ, label="Status", physical_range=wide, digital_range=wide
    )
    edfio.Bdf([status], data_record_duration=1).write(tmp_path / "a.bdf")
    recording = open_recording(tmp_path / "a.bdf", None)
    assert recording.pulses_s() == pytest.approx(np.arange(1, 11))
    assert recording.pulses_s(64) == pytest.approx([2.6, 6.6])
    assert f"{sync} (10 times), 64 (2 times), 4096 (1 time)" in recording.findings()[0]


def test_the_stated_starts_of_a_continuous_file_are_used_for_gaps_alone(tmp_path):
    path = tmp_path / "a.edf"
    for starts_s, last_s in (([0] * 6 + [20] * 6, 11), ([*range(6), *range(20, 26)], 25)):
        discontinuous(path, starts_s, [])
        content = bytearray(path.read_bytes())
        content[192:197] = b"EDF+C"
        path.write_bytes(content)
        assert open_recording(path, None).times_s()[-RATE_HZ] == last_s


def test_records_that_overlap_are_refused_unless_their_starts_are_rounded(tmp_path):
    path = tmp_path / "a.edf"
    rounded_s = [0, 1, 1.96, 3.02, 3.96, *range(10, 17)]
    discontinuous(path, rounded_s, [3.5])
    times_s = open_recording(path, None).times_s()
    assert (np.diff(times_s) > 0).all()
    assert times_s[::RATE_HZ] == pytest.approx(rounded_s, abs=0.1)
    for overlapping_s in ([0, 1, 1.5, *range(3, 12)], [*range(6), *range(6)]):
        discontinuous(path, overlapping_s, [])
        with pytest.raises(RecordingError, match=r"states its start at .* before the end of the"):
            open_recording(path, None)


def test_the_start_includes_the_fraction_of_a_second_of_the_first_record(tmp_path):
    discontinuous(tmp_path / "a.edf", [0.25 + k for k in range(N_RECORDS)], [])
    assert open_recording(tmp_path / "a.edf", None).start_time == "1985-01-01T00:00:00.250000+00:00"


def test_a_repeated_label_gets_a_number(tmp_path):
    write(tmp_path / "a.edf", signal(2 * VALUES[:, 0]))
    recording = open_recording(tmp_path / "a.edf", None)
    assert recording.names == ("Fp1", "Fp2", "Fp1 (2)")
    values = recording.values(recording.names, 1.0)
    assert values[:, 2] == pytest.approx(2 * values[:, 0], abs=3e-8)


def test_a_channel_without_a_range_is_refused_by_name(tmp_path):
    content = write(tmp_path / "a.edf")
    n_signals = int(content[252:256])
    at = 256 + (16 + 80 + 8) * n_signals
    content[at : at + 8] = b"0       "
    at += 8 * n_signals
    content[at : at + 8] = b"0       "
    (tmp_path / "a.edf").write_bytes(content)
    recording = open_recording(tmp_path / "a.edf", None)
    assert np.isfinite(recording.values(["Fp2"], 1.0)).all()
    with pytest.raises(RecordingError, match="channel 'Fp1' states no range of values"):
        recording.values(["Fp1"], 1.0)
