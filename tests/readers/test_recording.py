"""Every container of many channels, written by another library than the one that reads it."""

from __future__ import annotations

from pathlib import Path

import edfio
import mne
import numpy as np
import pybv
import pytest
from eeglabio.raw import export_set

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.eeg import modality
from consilience.modalities.params.eeg import EegParams
from consilience.readers.recording import open_recording

RATE_HZ = 200
NAMES = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")
PARAMS = EegParams(channels=NAMES)
VALUES = 2e-5 * generator("recording").standard_normal((10 * RATE_HZ, len(NAMES)))
TRIGGER = np.zeros(len(VALUES))
for FIRST in (200, 777, 1500):
    TRIGGER[FIRST : FIRST + 10] = 5


def write_edf(path: Path) -> None:
    signals = [
        edfio.EdfSignal(
            1e6 * column, RATE_HZ, label=name, physical_dimension="uV", physical_range=(-200, 200)
        )
        for name, column in zip(NAMES, VALUES.T, strict=True)
    ]
    notes = [edfio.EdfAnnotation(1.0, None, "begun")]
    edfio.Edf(signals, annotations=notes, data_record_duration=1).write(path)  # EDF+C


def write_bdf(path: Path) -> None:
    signals = [
        edfio.BdfSignal(
            1e6 * column, RATE_HZ, label=name, physical_dimension="uV", physical_range=(-200, 200)
        )
        for name, column in zip(NAMES, VALUES.T, strict=True)
    ]
    # BioSemi's status line rests far above 0, with the trigger in its lower bits.
    high = 2.0**20 + TRIGGER
    wide = (-(2**23), 2**23 - 1)
    status = edfio.BdfSignal(
        high, RATE_HZ, label="Status", physical_dimension="Boolean", physical_range=wide
    )
    edfio.Bdf([*signals, status], data_record_duration=1).write(path)


def write_brainvision(path: Path) -> None:
    pybv.write_brainvision(
        data=VALUES.T, sfreq=RATE_HZ, ch_names=NAMES, fname_base=path.stem, folder_out=path.parent
    )


def write_fif(path: Path) -> None:
    info = mne.create_info([*NAMES, "STI 014"], RATE_HZ, ["eeg"] * len(NAMES) + ["stim"])
    data = np.vstack([VALUES.T, TRIGGER])
    mne.io.RawArray(data, info, verbose="error").save(path, verbose="error")


def write_set(path: Path) -> None:
    export_set(str(path), VALUES.T, RATE_HZ, list(NAMES))


WRITERS = {
    "a.edf": write_edf,
    "a.bdf": write_bdf,
    "a b ü.vhdr": write_brainvision,
    "a_raw.fif": write_fif,
    "a.set": write_set,
}


@pytest.mark.parametrize("name", WRITERS)
def test_written_volts_are_read_back(name, tmp_path):
    path = tmp_path / name
    WRITERS[name](path)
    header = modality.probe(path, None)
    signal = modality.read(path, None, PARAMS)
    assert (header.rate_hz, header.n_channels, header.duration_s) == (RATE_HZ, 6, 10)
    assert signal.channels == NAMES
    assert np.abs(signal.values - VALUES).max() < 1e-8
    assert np.isfinite(modality.features(signal, PARAMS).values).all()
    assert modality.inspect(path, None) == []
    if name in ("a.bdf", "a_raw.fif"):
        assert (signal.pulses_s * RATE_HZ).tolist() == [200, 777, 1500]


@pytest.mark.parametrize("name", WRITERS)
def test_a_truncated_file_is_refused_or_shorter(name, tmp_path):
    path = tmp_path / name
    WRITERS[name](path)
    content = path.read_bytes()
    for share in (0.001, 0.02, 0.3, 0.9):
        path.write_bytes(content[: int(share * len(content))])
        try:
            assert len(modality.read(path, None, PARAMS).values) <= len(VALUES)
        except RecordingError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_identity_depends_on_every_file_of_a_recording(tmp_path):
    path = tmp_path / "a.vhdr"
    write_brainvision(path)
    before = modality.identity(path, None)
    with (tmp_path / "a.eeg").open("r+b") as file:
        file.write(b"\x01\x02\x03\x04")
    assert modality.identity(path, None) != before


def test_samples_in_another_folder_are_refused(tmp_path):
    path = tmp_path / "inner" / "a.vhdr"
    path.parent.mkdir()
    write_brainvision(path)
    (tmp_path / "inner" / "a.eeg").rename(tmp_path / "a.eeg")
    path.write_text(path.read_text().replace("DataFile=a.eeg", "DataFile=../a.eeg"))
    with pytest.raises(RecordingError, match="refers to samples in another folder"):
        modality.probe(path, None)


def discontinuous(path: Path, onsets: list[float]) -> None:
    """Write EDF+D: records of one second with these start times."""
    write_edf(path)
    content = path.read_bytes()
    header = int(content[184:192])
    size = (len(content) - header) // 10
    records = [content[header + n * size : header + (n + 1) * size] for n in range(10)]
    samples = 2 * RATE_HZ * len(NAMES)  # the annotations come last
    notes = [f"+{onset:g}\x14\x14".encode().ljust(size - samples, b"\0") for onset in onsets]
    written = [record[:samples] + note for record, note in zip(records, notes, strict=True)]
    path.write_bytes(content[:192] + b"EDF+D" + content[197:header] + b"".join(written))


def test_a_discontinuous_edf_keeps_its_gap(tmp_path):
    path = tmp_path / "a.edf"
    discontinuous(path, [0, 1, 2, 3, 4, 7, 8, 9, 10, 11])
    signal = modality.read(path, None, PARAMS)
    features = modality.features(signal, PARAMS)
    assert signal.times_s[999] == pytest.approx(4.995)
    assert signal.times_s[1000] == pytest.approx(7)
    gone = np.isnan(features.values).all(axis=1)
    assert np.array_equal(gone, (features.times_s > 4.5) & (features.times_s < 7.495))
    assert features.quality["packet_loss_fraction"] == pytest.approx(1 / 6, rel=0.01)
    assert modality.inspect(path, None) == ["1 gap in the time stamps, 2.0 s in all"]


def test_a_discontinuous_edf_without_gaps_is_contiguous(tmp_path):
    path = tmp_path / "a.edf"
    discontinuous(path, list(range(10)))
    assert np.allclose(np.diff(modality.read(path, None, PARAMS).times_s), 1 / RATE_HZ)


def test_channels_marked_as_bad_are_nan_and_reported(tmp_path):
    write_fif(tmp_path / "good_raw.fif")
    raw = mne.io.read_raw(tmp_path / "good_raw.fif", verbose="error")
    raw.info["bads"] = ["C3"]
    path = tmp_path / "a_raw.fif"
    raw.save(path, verbose="error")
    unknown = np.isnan(modality.read(path, None, PARAMS).values)
    assert unknown.all(axis=0).tolist() == [name == "C3" for name in NAMES]
    assert not unknown.any(axis=0)[[name != "C3" for name in NAMES]].any()
    assert modality.inspect(path, None)[0] == "the file marks as bad: C3"


def test_annotated_pulses_are_used_without_a_trigger_channel(tmp_path: Path) -> None:
    firsts = np.array([200, 777, 1500])
    info = mne.create_info(list(NAMES), RATE_HZ, "eeg")
    raw = mne.io.RawArray(VALUES.T, info, first_samp=400, verbose="error")
    raw.set_meas_date(0)
    marks = mne.Annotations(firsts / RATE_HZ, 0.0, "sync") + mne.Annotations([1.0], [2.0], "rest")
    raw.set_annotations(marks)
    raw.save(tmp_path / "marks_raw.fif", verbose="error")
    events = [
        {"onset": int(first), "duration": 1, "description": 1, "type": "Stimulus"}
        for first in firsts
    ]
    pybv.write_brainvision(
        data=VALUES.T,
        sfreq=RATE_HZ,
        ch_names=list(NAMES),
        fname_base="marks",
        folder_out=str(tmp_path),
        events=events,
    )
    signals = [edfio.EdfSignal(1e6 * VALUES[:, 0], RATE_HZ, label="Fp1", physical_dimension="uV")]
    notes = [edfio.EdfAnnotation(first / RATE_HZ, None, "TTL 1") for first in firsts]
    edfio.Edf(signals, annotations=notes, data_record_duration=1).write(tmp_path / "marks.edf")
    for name in ("marks_raw.fif", "marks.vhdr", "marks.edf"):
        pulses_s = open_recording(tmp_path / name, None).pulses_s()
        assert pulses_s == pytest.approx(firsts / RATE_HZ), name
