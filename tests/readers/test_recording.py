"""Every container of many channels, written by another library than the one that reads it."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import edfio
import h5py
import mne
import numpy as np
import pybv
import pytest
import scipy.io
from eeglabio.raw import export_set

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.eeg import modality
from consilience.modalities.params.eeg import EegParams
from consilience.readers import matlab
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
def test_volts_come_out_as_they_went_in(name, tmp_path):
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
def test_a_file_cut_short_is_refused_or_shorter_never_worse(name, tmp_path):
    path = tmp_path / name
    WRITERS[name](path)
    content = path.read_bytes()
    for share in (0.001, 0.02, 0.3, 0.9):
        path.write_bytes(content[: int(share * len(content))])
        try:
            assert len(modality.read(path, None, PARAMS).values) <= len(VALUES)
        except RecordingError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_identity_follows_every_file_of_a_recording(tmp_path):
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
    with pytest.raises(RecordingError, match="names samples in another folder"):
        modality.probe(path, None)


def discontinuous(path: Path, onsets: list[float]) -> None:
    """Write EDF+D: records of one second that begin when told."""
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
    assert modality.inspect(path, None) == ["1 gaps in the time stamps, 2.0 s in all"]


def test_a_discontinuous_edf_without_gaps_is_an_ordinary_one(tmp_path):
    path = tmp_path / "a.edf"
    discontinuous(path, list(range(10)))
    assert np.allclose(np.diff(modality.read(path, None, PARAMS).times_s), 1 / RATE_HZ)


def test_a_rate_that_would_fill_the_memory_is_refused(tmp_path):
    """One fast channel makes a reader raise all others to its rate."""
    path = tmp_path / "a.edf"
    fast = edfio.EdfSignal(np.zeros(40_000), 40_000, label="ECG", physical_range=(-1, 1))
    slow = [
        edfio.EdfSignal(np.zeros(1), 1, label=name, physical_range=(-1, 1))
        for name in sorted(mne.channels.make_standard_montage("colin27_1020").ch_names)[:90]
    ]
    edfio.Edf([fast, *slow], data_record_duration=1).write(path)
    content = path.read_bytes()
    header = int(content[184:192])
    with path.open("ab") as file:  # a hundred records more
        for _ in range(99):
            file.write(content[header:])
    with path.open("r+b") as file:
        file.seek(236)
        file.write(b"100     ")
    with pytest.raises(RecordingError, match=r"8\.0 MB would take 2\.\d GB"):
        modality.read(path, None, PARAMS)


# MATLAB


def cube(n_trials: int = 4) -> np.ndarray:
    """EAV's: samples, channels, trials, in microvolts."""
    return 20 * generator("eav").standard_normal((10_000, 30, n_trials))


@pytest.mark.parametrize("variable", ["seg", "seg1"])
@pytest.mark.parametrize("packed", [False, True])
def test_eavs_trials_are_read_one_by_one(tmp_path, variable, packed):
    path, trials = tmp_path / "subject1_eeg.mat", cube()
    scipy.io.savemat(path, {variable: trials, "other": "text"}, do_compression=packed)
    header = modality.probe(path, "2")
    signal = modality.read(path, "2", PARAMS)
    assert (header.rate_hz, header.n_channels, header.duration_s) == (500, 30, 20)
    assert np.allclose(signal.values, 1e-6 * trials[:, :, 2])
    assert signal.channels[:3] == ("Fp1", "Fp2", "F7")
    assert len({modality.identity(path, str(trial)) for trial in range(4)}) == 4


def test_matlab_7_3_is_read(tmp_path):
    path, trials = tmp_path / "subject1_eeg.mat", cube(3)
    with h5py.File(path, "w", userblock_size=512) as file:
        file["seg"] = trials.T  # MATLAB writes its axes in reverse
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    assert np.allclose(modality.read(path, "1", PARAMS).values, 1e-6 * trials[:, :, 1])


def chars(group: h5py.Group, name: str, text: str) -> h5py.Dataset:
    group[name] = np.frombuffer(text.encode("utf-16-le"), "<u2")[:, None]
    group[name].attrs["MATLAB_class"] = np.bytes_("char")
    return group[name]


def write_set_73(path: Path, inside: bool = True, group: str = "EEG", **changes: object) -> Path:
    """Write what EEGLAB saves with ``-v7.3``: a structure, or its fields alone (``-struct``)."""
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        fields = file.require_group(group)
        said = {"nbchan": len(NAMES), "trials": 1, "pnts": len(VALUES), "srate": RATE_HZ}
        for name, value in (said | changes).items():
            fields[name] = np.full((1, 1), value, float)
        stored = (1e6 * VALUES).astype("<f4")
        if inside:
            fields["data"] = stored  # MATLAB writes its axes in reverse
        else:
            chars(fields, "data", "renamed since.fdt")
            stored.tofile(path.with_suffix(".fdt"))
        labels = [chars(file, f"#refs#/{number}", name) for number, name in enumerate(NAMES)]
        fields["chanlocs/labels"] = np.array([label.ref for label in labels], h5py.ref_dtype)[
            :, None
        ]
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return path


@pytest.mark.parametrize(("inside", "group"), [(True, "EEG"), (False, "EEG"), (True, "/")])
def test_eeglab_files_of_matlab_7_3_are_read(tmp_path, inside, group):
    path = write_set_73(tmp_path / "a.set", inside, group)
    header = modality.probe(path, None)
    assert (header.rate_hz, header.n_channels, header.duration_s) == (RATE_HZ, 6, 10)
    signal = modality.read(path, None, PARAMS)
    assert signal.channels == NAMES
    assert np.abs(signal.values - VALUES).max() < 1e-10
    before = modality.identity(path, None)
    changed = path if inside else path.with_suffix(".fdt")
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    assert modality.identity(path, None) != before


def replaced(name: str, value: object) -> Callable[[h5py.Group], None]:
    def change(fields: h5py.Group) -> None:
        del fields[name]
        fields[name] = value

    return change


def elsewhere(fields: h5py.Group) -> None:
    del fields["data"]
    fields.create_dataset("data", VALUES.shape, "f4", external="/etc/hostname")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replaced("trials", [[3.0]]), "cut into 3 epochs"),
        (replaced("nbchan", [[5.0]]), "not \\(2000, 5\\)"),
        (replaced("nbchan", [[np.nan]]), "cannot be"),
        (replaced("srate", [[1.0, 2.0]]), "srate is no number"),
        (replaced("pnts", h5py.SoftLink("/EEG/srate")), "no pnts in the file itself"),
        (replaced("data", h5py.ExternalLink("b.set", "/x")), "no data in the file itself"),
        (elsewhere, "what another file holds"),
        (lambda fields: replaced("data", chars(fields, "x", "/etc/passwd"))(fields), "missing"),
        (lambda fields: replaced("data", chars(fields, "x", "é" * 101))(fields), "too long"),
        (replaced("chanlocs/labels", np.zeros((6, 1))), "0 different channel names for 6"),
    ],
)
def test_eeglab_files_of_matlab_7_3_that_contradict_themselves_are_refused(tmp_path, change, said):
    path = write_set_73(tmp_path / "a.set")
    with h5py.File(path, "r+") as file:
        change(file["EEG"])
    with pytest.raises(RecordingError, match=said):
        modality.probe(path, None)


def test_samples_beside_an_eeglab_file_of_matlab_7_3_are_checked(tmp_path):
    path = write_set_73(tmp_path / "study/a.set", inside=False)
    samples = path.with_suffix(".fdt")
    outside = samples.rename(tmp_path / "outside.fdt")
    samples.symlink_to(outside)
    with pytest.raises(RecordingError, match="another folder"):
        modality.probe(path, None)
    samples.unlink()
    samples.write_bytes(outside.read_bytes()[:-1])
    with pytest.raises(RecordingError, match="truncated: 47999 of 48000 bytes"):
        modality.probe(path, None)


def test_what_a_file_calls_bad_reads_nan_and_is_told(tmp_path):
    write_fif(tmp_path / "good_raw.fif")
    raw = mne.io.read_raw(tmp_path / "good_raw.fif", verbose="error")
    raw.info["bads"] = ["C3"]
    path = tmp_path / "a_raw.fif"
    raw.save(path, verbose="error")
    unknown = np.isnan(modality.read(path, None, PARAMS).values)
    assert unknown.all(axis=0).tolist() == [name == "C3" for name in NAMES]
    assert not unknown.any(axis=0)[[name != "C3" for name in NAMES]].any()
    assert modality.inspect(path, None)[0] == "the file calls bad: C3"


def test_deaps_trials_are_read(tmp_path):
    path = tmp_path / "s01.mat"
    data = generator("deap").standard_normal((3, 40, 1024))
    scipy.io.savemat(path, {"data": data, "labels": np.zeros((3, 4))}, do_compression=True)
    signal = modality.read(path, "1", PARAMS)
    assert np.allclose(signal.values, 1e-6 * data[1, :32].T)
    gsr = open_recording(path, "1").values(["GSR"], 1.0)
    assert np.allclose(gsr[:, 0], data[1, 36])


@pytest.mark.parametrize("item", [None, "4", "-1", "x", "²"])
def test_a_trial_that_is_not_there_is_told(tmp_path, item):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"seg": np.zeros((500, 30, 4))})
    with pytest.raises(RecordingError, match=r"no trial .*0 to 3"):
        modality.read(path, item, PARAMS)


def bomb(path: Path) -> None:
    """Write a compressed element that unfolds to 64 MB, under a modest declaration."""
    scipy.io.savemat(path, {"seg": np.zeros((500, 30, 4))}, do_compression=True)
    content = path.read_bytes()
    element = zlib.decompress(content[136:])
    packer = zlib.compressobj(9)
    packed = packer.compress(element)
    packed += b"".join(packer.compress(bytes(2**24)) for _ in range(4)) + packer.flush()
    length = len(packed).to_bytes(4, "little")
    path.write_bytes(content[:132] + length + packed)


def declared(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("seg", (10**7, 30, 10**6), "f8", chunks=(1000, 30, 1))


def elsewhere(path: Path) -> None:
    np.zeros(10**6).tofile(path.with_name("secret"))
    with h5py.File(path, "w") as file:
        kept = [(str(path.with_name("secret")), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("seg", (4, 30, 500), "f8", external=kept)


def linked(path: Path) -> None:
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["seg"] = np.zeros((4, 30, 500))
    with h5py.File(path, "w") as file:
        file["seg"] = h5py.ExternalLink("other.h5", "seg")


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"seg": np.zeros((500, 30, 4))}))


def text(path: Path) -> None:
    path.write_text("seg\n" * 1000)


def cells(path: Path) -> None:
    scipy.io.savemat(path, {"seg": np.full((5, 30, 4), "a", object)})


def truncated(path: Path) -> None:
    scipy.io.savemat(path, {"seg": cube(1)}, do_compression=True)
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (bomb, "MB unfold to more than"),
        (declared, "would take .* GB"),
        (elsewhere, "holds what another file holds"),
        (linked, "no variable of a known layout"),
        (pickled, "not a MATLAB file"),
        (text, "not a MATLAB file"),
        (cells, "not numbers"),
        (truncated, "truncated|unreadable"),
    ],
)
def test_hostile_matlab_files_are_refused(tmp_path, monkeypatch, write, said):
    monkeypatch.setattr(matlab, "MAX_BYTES", 2**25)
    path = tmp_path / "a.mat"
    write(path)
    with pytest.raises(RecordingError, match=said) as caught:
        modality.read(path, "0", PARAMS)
    assert "\n" not in str(caught.value)


def test_a_bomb_as_eeglab_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(matlab, "MAX_BYTES", 2**25)
    path = tmp_path / "a.set"
    bomb(path)
    with pytest.raises(RecordingError, match="unfold"):
        modality.probe(path, None)


def test_the_layouts_name_as_many_channels_as_the_datasets_have():
    assert (len(matlab.EAV.channels), len(matlab.DEAP.channels)) == (30, 40)


def test_annotated_pulses_serve_where_no_trigger_channel_does(tmp_path: Path) -> None:
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
        assert open_recording(tmp_path / name, None).pulses().tolist() == firsts.tolist(), name
