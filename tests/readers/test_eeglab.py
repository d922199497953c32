"""EEGLAB files of MATLAB version 7.3, in the layout in which MATLAB writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.eeg import modality
from consilience.readers import matlab
from consilience.readers.eeglab import read_events

RATE_HZ = 200
NAMES = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")
PARAMS = modality.Params(channels=NAMES)
VALUES = 2e-5 * generator("recording").standard_normal((10 * RATE_HZ, len(NAMES)))


def chars(group: h5py.Group, name: str, text: str) -> h5py.Dataset:
    group[name] = np.frombuffer(text.encode("utf-16-le"), "<u2")[:, None]
    group[name].attrs["MATLAB_class"] = np.bytes_("char")
    return group[name]


def write_set_73(path: Path, inside: bool = True, group: str = "EEG", **changes: object) -> Path:
    """Write what EEGLAB saves with ``-v7.3``: a structure, or its fields alone (``-struct``)."""
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        fields = file.require_group(group)
        header = {"nbchan": len(NAMES), "trials": 1, "pnts": len(VALUES), "srate": RATE_HZ}
        for name, value in (header | changes).items():
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
def test_files_of_version_7_3_are_read(tmp_path, inside, group):
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


def write_events(path: Path, *events: tuple[object, float, float]) -> None:
    """Add events of a type, a latency and a duration in samples, as MATLAB writes a structure."""
    with h5py.File(path, "r+") as file:
        group = file.require_group("EEG/event")
        columns: dict[str, list[h5py.Dataset]] = {"type": [], "latency": [], "duration": []}
        for number, (kind, *numbers) in enumerate(events):
            where = f"#refs#/event{number}"
            if isinstance(kind, str):
                columns["type"].append(chars(file, f"{where}/type", kind))
            else:
                columns["type"].append(file.create_dataset(f"{where}/type", data=[[kind]]))
            for name, value in zip(("latency", "duration"), numbers, strict=True):
                columns[name].append(file.create_dataset(f"{where}/{name}", data=[[value]]))
        for name, values in columns.items():
            references = np.array([value.ref for value in values], h5py.ref_dtype)
            group[name] = references[:, None]


def test_events_and_boundaries_of_version_7_3_are_read(tmp_path):
    path = write_set_73(tmp_path / "a.set")
    assert modality.read(path, None, PARAMS).pulses_s.tolist() == []
    write_events(
        path,
        ("sync", 101, 1),
        ("boundary", 1000.5, 4 * RATE_HZ),
        (7.0, 1100, 1),
        ("sync", 1201, 1),
        ("boundary", 1500.5, np.nan),
    )
    signal = modality.read(path, None, PARAMS)
    assert signal.pulses_s == pytest.approx([0.5, 10])
    assert signal.times_s[[999, 1000, -1]] == pytest.approx([4.995, 9, 13.995])
    assert modality.probe(path, None).duration_s == pytest.approx(14)
    assert "a cut of unknown duration at 7.5 s" in modality.inspect(path, None)
    events = [(event.position, event.text) for event in read_events(path)]
    assert events[2] == (1099, "7")


def replacing(name: str, value: object) -> Callable[[h5py.Group], None]:
    def change(fields: h5py.Group) -> None:
        del fields[name]
        fields[name] = value

    return change


def external_data(fields: h5py.Group) -> None:
    del fields["data"]
    fields.create_dataset("data", VALUES.shape, "f4", external="/etc/hostname")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replacing("trials", [[3.0]]), "divided into 3 epochs"),
        (replacing("nbchan", [[5.0]]), "not \\(2000, 5\\)"),
        (replacing("nbchan", [[np.nan]]), "invalid size"),
        (replacing("srate", [[1.0, 2.0]]), "srate is not a number"),
        (replacing("pnts", h5py.SoftLink("/EEG/srate")), "pnts is not stored in the"),
        (
            replacing("data", h5py.ExternalLink("b.set", "/x")),
            "data is not stored in the",
        ),
        (external_data, "data stored in another file"),
        (lambda fields: replacing("data", chars(fields, "x", "/etc/passwd"))(fields), "missing"),
        (lambda fields: replacing("data", chars(fields, "x", "é" * 101))(fields), "too long"),
        (replacing("chanlocs/labels", np.zeros((6, 1))), "0 different channel names for 6"),
    ],
)
def test_inconsistent_or_hostile_files_are_refused(tmp_path, change, message):
    path = write_set_73(tmp_path / "a.set")
    with h5py.File(path, "r+") as file:
        change(file["EEG"])
    with pytest.raises(RecordingError, match=message):
        modality.probe(path, None)


def test_companion_files_are_checked(tmp_path):
    path = write_set_73(tmp_path / "study/a.set", inside=False)
    samples = path.with_suffix(".fdt")
    outside = samples.rename(tmp_path / "outside.fdt")
    samples.symlink_to(outside)
    with pytest.raises(RecordingError, match="another folder"):
        modality.probe(path, None)
    samples.unlink()
    samples.write_bytes(outside.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(RecordingError, match="conversion of line ends"):
        modality.probe(path, None)
    samples.write_bytes(outside.read_bytes()[:-1])
    with pytest.raises(RecordingError, match="truncated: 47999 of 48000 bytes"):
        modality.probe(path, None)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(matlab, "MAX_BYTES", 2**20)
    path = tmp_path / "a.set"
    scipy.io.savemat(path.with_suffix(".mat"), {"EEG": np.zeros(2**21)}, do_compression=True)
    path.with_suffix(".mat").rename(path)
    with pytest.raises(RecordingError, match="decompress"):
        modality.probe(path, None)
