"""Text tables of samples, read as recordings of bodily signals and EEG."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.core.errors import RecordingError
from consilience.modalities.eeg import modality as eeg
from consilience.modalities.gsr import modality as gsr
from consilience.modalities.params.eeg import EegParams
from consilience.modalities.params.gsr import GsrParams
from consilience.modalities.params.single_channel import SingleChannelParams
from consilience.modalities.ppg import modality as ppg
from consilience.readers import signal_table
from consilience.readers.recording import open_recording

START_S = 1_650_000_000.0
RNG = np.random.default_rng(4)


def table(path: Path, names: str, rows: np.ndarray, separator: str = ",") -> Path:
    cells = "".join(separator.join(f"{cell:.6f}" for cell in row) + "\n" for row in rows)
    path.write_text(names + "\n" + cells)
    return path


def test_an_empatica_export_is_read_with_its_rate_and_start(tmp_path):
    values = 2 + np.sin(np.arange(200) / 20)
    path = tmp_path / "EDA.csv"
    path.write_text(f"{START_S}\n4.0\n" + "".join(f"{value:.6f}\n" for value in values))
    header = gsr.probe(path, None)
    signal = gsr.read(path, None, GsrParams())
    assert (header.rate_hz, header.duration_s) == (4, 50)
    assert header.start_time == "2022-04-15T05:20:00+00:00"
    assert signal.values[:, 0] == pytest.approx(values, abs=1e-5)  # µS
    assert signal.times_s == pytest.approx(np.arange(200) / 4)


def test_the_exports_of_a_wristband_become_features(tmp_path):
    times = np.arange(4 * 240) / 4
    bursts = [0.06 * np.exp(-(times - at) / 4) * (times >= at) for at in range(12, 240, 24)]
    eda = 0.0013 * np.round((0.35 + np.sum(bursts, axis=0)) / 0.0013)
    times = np.arange(64 * 120) / 64
    bvp = 40 * np.clip(np.sin(2 * np.pi * 1.1 * times), 0, None) ** 3 + RNG.normal(size=times.size)
    for name, rate_hz, values in (("EDA", 4, eda), ("BVP", 64, bvp)):
        lines = "".join(f"{value:.6f}\n" for value in values)
        (tmp_path / f"{name}.csv").write_text(f"{START_S}\n{rate_hz}.000000\n{lines}")
    features = gsr.features(gsr.read(tmp_path / "EDA.csv", None, GsrParams()), GsrParams())
    assert features.quality["flat_fraction"] == 0
    assert np.isfinite(features.values).all()
    per_min = features.values[:, features.names.index("responses_per_min")]
    assert per_min.mean() == pytest.approx(2.5, abs=0.2)
    signal = ppg.read(tmp_path / "BVP.csv", None, SingleChannelParams())
    rates = ppg.features(signal, SingleChannelParams()).values[:, 0]
    assert rates == pytest.approx(np.full(len(rates), 66), abs=1)


def test_stamped_eeg_has_its_gap_and_only_its_channels(tmp_path):
    volts = 20 * RNG.standard_normal((2560, 4))
    times = np.arange(2560) / 256
    times[1280:] += 2.0
    path = table(
        tmp_path / "a.csv",
        "timestamps,TP9,AF7,AF8,TP10",
        np.column_stack([START_S + times, volts]),
    )
    signal = eeg.read(path, None, EegParams(channels=("TP9", "AF7")))
    assert signal.channels == ("TP9", "AF7", "AF8", "TP10")
    assert signal.values == pytest.approx(1e-6 * volts, abs=1e-12)
    assert signal.times_s == pytest.approx(times, abs=1e-4)
    assert eeg.probe(path, None).rate_hz == pytest.approx(256, rel=1e-4)
    assert any("1 gap in the time stamps, 2.0 s" in what for what in eeg.inspect(path, None))


def test_one_column_without_a_name_is_what_the_manifest_lists_it_as(tmp_path):
    for name, fits in (("S2_left.csv", True), ("BVP.csv", False)):
        (tmp_path / name).write_text(f"{START_S}\n4.0\n" + "0.5\n0.6\n" * 50)
        assert signal_table.read(tmp_path / name, None).selected == fits
    assert gsr.probe(tmp_path / "S2_left.csv", None).rate_hz == 4
    with pytest.raises(RecordingError, match="no channel is named like gsr"):
        gsr.probe(tmp_path / "BVP.csv", None)


def test_a_last_line_that_may_be_cut_is_left_out(tmp_path):
    path = tmp_path / "a.csv"
    text = "EDA\n" + "".join(f"{n}.125\n" for n in range(50))
    for end in range(len(text) - 6, len(text)):
        path.write_text(text[:end])
        read = signal_table.read(path, "@4")
        assert read.values[:, 0].tolist() == [n + 0.125 for n in range(len(read.values))]
        assert bool(read.notes) == (text[end - 1] != "\n")


OPENBCI = "%OpenBCI Raw EXG Data\n%Sample Rate = 250 Hz\nSample Index, EXG Channel 0, EXG Channel 1"


def test_anonymous_channels_are_named_by_the_item(tmp_path):
    index = np.arange(1000)
    rows = np.column_stack([index % 256, 20 * RNG.standard_normal((1000, 2))])
    path = table(tmp_path / "a.txt", OPENBCI, rows, ", ")
    with pytest.raises(RecordingError, match=r"there are COUNTER, EXG Channel 0"):
        eeg.probe(path, None)
    with pytest.raises(RecordingError, match=r"no column 'Fp1'.*name all 2 of EXG Channel 0 to"):
        eeg.probe(path, "Fp1")
    signal = eeg.read(path, "Fp1 Fp2", EegParams(channels=("Fp1", "Fp2")))
    assert signal.channels == ("Fp1", "Fp2")
    assert signal.values[:, 1] == pytest.approx(1e-6 * rows[:, 2], abs=1e-11)
    (note,) = eeg.inspect(path, "Fp1 Fp2")
    assert "no unit is stated for 2 channels (Fp1, Fp2): taken as µV" in note


def test_lost_packets_are_counted(tmp_path):
    index = np.delete(np.arange(1000), slice(500, 510))
    rows = np.column_stack([index % 256, 20 * RNG.standard_normal((990, 2))])
    path = table(tmp_path / "a.txt", OPENBCI, rows)
    signal = eeg.read(path, "Fp1,Fp2", EegParams(channels=("Fp1", "Fp2")))
    assert signal.times_s[-1] == pytest.approx(999 / 250)
    assert "10 samples" in eeg.inspect(path, "Fp1,Fp2")[0]


def test_units_names_and_decimal_commas_of_shimmer(tmp_path):
    path = tmp_path / "a.csv"
    rows = "".join(f"{1000 * START_S + 10 * n:.0f};{100 + n},5;3,0\n" for n in range(400))
    path.write_text(
        '"sep=;"\nS_1_Timestamp_Unix_CAL;S_1_GSR_Skin_Resistance_CAL;S_1_PPG_CAL\nms;kOhms;mV\n'
        + rows,
        "cp1252",
    )
    read = signal_table.read(path, None)
    assert read.names == ("S_1_GSR_Skin_Resistance_CAL", "S_1_PPG_CAL")
    assert read.units == ("kOhms", "mV")
    assert (read.rate_hz, read.start_time) == (100, "2022-04-15T05:20:00+00:00")
    assert read.values[2] == pytest.approx([102.5, 3.0])
    assert open_recording(path, None).values([read.names[1]], 1.0)[0, 0] == pytest.approx(3e-3)


@pytest.mark.parametrize(
    ("stamp", "rate_hz"),
    [
        (lambda n: f"{1e9 * START_S + 5e6 * n:.0f}", 200),
        (lambda n: f"{START_S + n / 200:.6f}", 200),
        (lambda n: f"{n / 200:.6f}", 200),
        (lambda n: f"2022-04-15 05:20:{n / 200:06.3f}", 200),
        (lambda n: f"2022-04-15T05:20:{n / 200:06.3f}", 200),
    ],
)
def test_time_stamps_in_any_unit(tmp_path, stamp, rate_hz):
    path = tmp_path / "a.csv"
    path.write_text("Time,EDA\n" + "".join(f"{stamp(n)},{n}\n" for n in range(600)))
    assert signal_table.read(path, None).rate_hz == pytest.approx(rate_hz, rel=1e-3)


def test_numbers_are_preferred_to_dates_and_a_time_of_day_to_nothing(tmp_path):
    path = tmp_path / "a.csv"
    rows = "".join(
        f"2022-04-15T05:20:{n // 100 / 10:06.3f};{7_000_000 * n + 5e17:.0f};{n}\n"
        for n in range(600)
    )
    path.write_text("Phone timestamp;sensor timestamp [ns];ecg [uV]\n" + rows)
    read = signal_table.read(path, None)
    assert read.rate_hz == pytest.approx(1e3 / 7, rel=1e-4)
    assert (read.names, read.start_time) == (("ecg",), None)
    path.write_text("Time,EDA\n" + "".join(f"05:20:{n / 10:06.3f},{n}\n" for n in range(600)))
    with pytest.raises(RecordingError, match="neither time stamps nor a rate"):
        signal_table.read(path, None)
    path.write_text("Time,EDA\n" + "".join(f"2022-04-15 05:20:0{n},{n}\n" for n in range(9)))
    assert signal_table.read(path, None).start_time == "2022-04-15T05:20:00"


def test_the_rate_comes_from_the_item_or_decides_the_unit_of_stamps(tmp_path):
    bare = tmp_path / "EDA.csv"
    bare.write_text("EDA\n" + "0.5\n0.6\n" * 50)
    with pytest.raises(RecordingError, match=r"neither time stamps nor a rate.*rate_hz"):
        signal_table.read(bare, None)
    assert signal_table.read(bare, "@8").rate_hz == 8
    assert signal_table.read(bare, "EDA@8").selected
    relative = tmp_path / "relative.csv"
    relative.write_text("time,EDA\n" + "".join(f"{4 * n},{n}\n" for n in range(500)))
    with pytest.raises(RecordingError, match="neither time stamps nor a rate"):
        signal_table.read(relative, None)
    read = signal_table.read(relative, "@250")
    assert (read.rate_hz, read.stamped) == (250, True)


def test_a_rate_that_the_stamps_contradict_is_noted(tmp_path):
    path = tmp_path / "a.csv"
    rows = "".join(f"{START_S + n / 125:.6f},{n}\n" for n in range(500))
    path.write_text("% sampling rate: 250 Hz\ntime,EDA\n" + rows)
    read = signal_table.read(path, None)
    assert read.rate_hz == pytest.approx(125)
    assert "250 Hz in the first lines, but" in read.notes[0]


def test_cells_without_a_number_are_noted_or_refused_with_their_line(tmp_path):
    cells = [f"{n}" for n in range(400)]
    cells[7] = "ERR"
    path = tmp_path / "a.csv"
    path.write_text("EDA,mood\n" + "".join(f"{cell},calm\n" for cell in cells))
    read = signal_table.read(path, "@4")
    assert read.names == ("EDA",)
    assert np.flatnonzero(np.isnan(read.values[:, 0])).tolist() == [7]
    assert read.notes == (
        "1 cell of column 'EDA' without a number, first in line 9: 'ERR'; read as missing",
    )
    cells[100:150] = ["-"] * 50
    path.write_text("EDA\n" + "\n".join(cells) + "\n\n")
    with pytest.raises(RecordingError, match=r"51 cells of column 'EDA' .* line 9: 'ERR'"):
        signal_table.read(path, "@4")


def test_rows_of_another_width_are_padded_or_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("EDA,BVP\n1,2\n3\n5,6,\n")
    values = signal_table.read(path, "@4").values
    assert np.array_equal(values, [[1, 2], [3, np.nan], [5, 6]], equal_nan=True)
    path.write_text("EDA,BVP\n1,2\n3,4,5\n")
    with pytest.raises(RecordingError, match="line 3 has 3 cells, the table 2 columns"):
        signal_table.read(path, "@4")


def test_rows_of_events_between_samples_are_left_out(tmp_path):
    rows = [f"{START_S + n / 100:.3f},{n},\n" for n in range(300)]
    rows.insert(100, f"{START_S + 0.9951:.4f},,blink\n")
    path = tmp_path / "a.csv"
    path.write_text("TimeStamp,RAW_TP9,Elements\n" + "".join(rows))
    read = signal_table.read(path, None)
    assert read.values[:, 0].tolist() == list(range(300))
    assert read.rate_hz == pytest.approx(100)


@settings(max_examples=40)
@given(st.data())
def test_a_damaged_table_is_read_or_refused_in_one_line(tmp_path_factory, data):
    text = OPENBCI + "\n" + "".join(f"{n % 256}, {n / 7:.3f}, {n}\n" for n in range(80))
    content = bytearray(text.encode())
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.csv"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with suppress(RecordingError):
        read = signal_table.read(path, None)
        assert len(read.values) == len(read.times_s) <= 81
