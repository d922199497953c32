"""MATLAB files of version 5 and 7.3: every layout, and files that must be refused."""

from __future__ import annotations

import json
import pickle
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from pydantic import ValidationError

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.datasets import deap, eav
from consilience.modalities.eeg import modality
from consilience.readers import matlab
from consilience.readers.matlab import MatlabLayout
from consilience.readers.recording import open_recording

PARAMS = modality.Params(channels=("Fp1", "Fp2", "C3", "C4", "O1", "O2"))
SMALL = MatlabLayout(
    variables=("x",), axes=("samples", "channels"), rate_hz=100.0, channels=("Fp1", "Cz", "GSR")
)


def cube(n_trials: int = 4) -> np.ndarray:
    """EAV's axes: samples, channels, trials; in microvolts."""
    return 20 * generator("eav").standard_normal((10_000, 30, n_trials))


def write_73(path: Path, **variables: np.ndarray) -> None:
    """Write version 7.3: HDF5 after a text header, with MATLAB's axes in reverse order."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in variables.items():
            file[name] = values.T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


@pytest.mark.parametrize("variable", ["seg", "seg1"])
@pytest.mark.parametrize("packed", [False, True])
def test_trials_of_eav_are_read_one_by_one(tmp_path, variable, packed):
    path, trials = tmp_path / "subject1_eeg.mat", cube()
    scipy.io.savemat(path, {variable: trials, "other": "text"}, do_compression=packed)
    item = eav.LAYOUT.item(2)
    header = modality.probe(path, item)
    signal = modality.read(path, item, PARAMS)
    assert (header.rate_hz, header.n_channels, header.duration_s) == (500, 30, 20)
    assert np.allclose(signal.values, 1e-6 * trials[:, :, 2])
    assert signal.channels[:3] == ("Fp1", "Fp2", "F7")
    assert len({modality.identity(path, eav.LAYOUT.item(trial)) for trial in range(4)}) == 4


def test_version_7_3_is_read(tmp_path):
    path, trials = tmp_path / "subject1_eeg.mat", cube(3)
    write_73(path, seg=trials)
    values = modality.read(path, eav.LAYOUT.item(1), PARAMS).values
    assert np.allclose(values, 1e-6 * trials[:, :, 1])


def test_trials_of_deap_are_read(tmp_path):
    path, item = tmp_path / "s01.mat", deap.LAYOUT.item(1)
    data = generator("deap").standard_normal((3, 40, 1024))
    scipy.io.savemat(path, {"data": data, "labels": np.zeros((3, 4))}, do_compression=True)
    signal = modality.read(path, item, PARAMS)
    assert np.allclose(signal.values, 1e-6 * data[1, :32].T)
    gsr = open_recording(path, item).values(["GSR"], 1.0)
    assert np.allclose(gsr[:, 0], data[1, 36])


@pytest.mark.parametrize("write", [scipy.io.savemat, lambda path, x: write_73(path, **x)])
@pytest.mark.parametrize(
    "axes",
    [
        *[("samples", "channels"), ("channels", "samples")],
        *[("trials", "samples", "channels"), ("channels", "samples", "trials")],
        ("samples", "trials", "channels"),
    ],
)
def test_axes_in_any_order(tmp_path, write, axes):
    sizes = {"trials": 4, "samples": 50, "channels": 3}
    values = generator("axes").standard_normal([sizes[axis] for axis in axes])
    write(tmp_path / "a.mat", {"x": values})
    layout = SMALL.model_copy(update={"axes": axes, "trial": 2 if "trials" in axes else None})
    expected = values.take(2, axes.index("trials")) if "trials" in axes else values
    if axes.index("channels") < axes.index("samples"):
        expected = expected.T
    assert np.array_equal(matlab.read_recording(tmp_path / "a.mat", layout), expected)


@pytest.mark.parametrize("write", [scipy.io.savemat, lambda path, x: write_73(path, **x)])
def test_last_axes_that_matlab_drops_have_length_one(tmp_path, write):
    """MATLAB saves an array of one trial without the axis of trials."""
    values = generator("one trial").standard_normal((50, 3))
    write(tmp_path / "a.mat", {"x": values})
    layout = SMALL.model_copy(update={"axes": ("samples", "channels", "trials"), "trial": 0})
    assert np.array_equal(matlab.read_recording(tmp_path / "a.mat", layout), values)


def test_a_variable_is_chosen_by_pattern_and_shape(tmp_path):
    values = generator("pattern").standard_normal((50, 3))
    content = {"ab_eeg1": values.T, "ab_eeg2": values, "zz": values}
    scipy.io.savemat(tmp_path / "a.mat", content)
    layout = SMALL.model_copy(update={"variables": ("??_eeg*",)})
    assert matlab.find_variable(tmp_path / "a.mat", layout).name == "ab_eeg2"
    item = SMALL.item(variable="zz")
    chosen = matlab.find_variable(tmp_path / "a.mat", matlab.parse_item(tmp_path, item))
    assert chosen.name == "zz"


@pytest.mark.parametrize(
    ("units", "factors"),
    [("", (1e-3, 1e-3, 1e-3)), ("uV", (1e-6,) * 3), (("V", "nV", "uS"), (1.0, 1e-9, 1e-6))],
)
def test_units_are_scaled_to_those_of_the_si(tmp_path, units, factors):
    values = generator("units").standard_normal((50, 3))
    scipy.io.savemat(tmp_path / "a.mat", {"x": values})
    item = SMALL.model_copy(update={"units": units}).item()
    read = open_recording(tmp_path / "a.mat", item).values(SMALL.channels, 1e-3)
    assert np.allclose(read, values * factors, rtol=1e-12)


def test_identity_depends_on_numbers_and_layout_but_not_on_the_trial(tmp_path):
    path, layout = tmp_path / "a.mat", eav.LAYOUT
    trials = cube(3)
    trials[:, :, 2] = trials[:, :, 0]
    scipy.io.savemat(path, {"seg": trials})
    first = modality.identity(path, layout.item(0))
    assert modality.identity(path, layout.item(2)) == first
    assert modality.identity(path, layout.item(1)) != first
    corrected = layout.model_copy(update={"rate_hz": 512.0})
    assert modality.identity(path, corrected.item(0)) != first


def test_an_item_is_text_that_states_the_whole_layout(tmp_path):
    item = eav.LAYOUT.item(np.int64(7))
    assert json.loads(item)["trial"] == 7
    assert " " not in item
    assert matlab.parse_item(tmp_path, item) == eav.LAYOUT.model_copy(update={"trial": 7})


@pytest.mark.parametrize(
    "change",
    [
        {"axes": ("samples",)},
        {"axes": ("samples", "samples", "channels")},
        {"axes": ("samples", "channels", "epochs")},
        {"channels": ("Cz", "Cz", "Fz")},
        {"channels": ()},
        {"units": ("uV",)},
        {"rate_hz": 0.0},
        {"rate_hz": float("inf")},
        {"variables": ()},
        {"chanels": ("Cz",)},
    ],
)
def test_an_inconsistent_layout_is_refused(change):
    with pytest.raises(ValidationError):
        MatlabLayout(**(SMALL.model_dump() | change))


@pytest.mark.parametrize("trial", [None, 4, -1])
def test_a_missing_trial_is_refused(tmp_path, trial):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"seg": np.zeros((500, 30, 4))})
    with pytest.raises(RecordingError, match=r"no trial .*0 to 3"):
        modality.read(path, eav.LAYOUT.item(trial), PARAMS)


def test_a_trial_of_a_layout_without_trials_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.zeros((50, 3))})
    with pytest.raises(RecordingError, match="no trial 0"):
        open_recording(tmp_path / "a.mat", SMALL.item(0))


@pytest.mark.parametrize("item", [None, "", "0", "x", "²", "{}", '{"trial":0}', "[" * 5000])
def test_a_file_without_a_declared_layout_is_refused(tmp_path, item):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"seg": np.zeros((500, 30, 4))})
    with pytest.raises(RecordingError, match=r"MATLAB layout.*adding-a-dataset") as caught:
        modality.read(path, item, PARAMS)
    assert len(str(caught.value)) < 400


def bomb(path: Path) -> None:
    """Write a compressed element of 64 MB, with a small declared shape."""
    scipy.io.savemat(path, {"seg": np.zeros((500, 30, 4))}, do_compression=True)
    content = path.read_bytes()
    element = zlib.decompress(content[136:])
    packer = zlib.compressobj(9)
    packed = packer.compress(element)
    packed += b"".join(packer.compress(bytes(2**24)) for _ in range(4)) + packer.flush()
    length = len(packed).to_bytes(4, "little")
    path.write_bytes(content[:132] + length + packed)


def huge_shape(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("seg", (10**7, 30, 10**6), "f8", chunks=(1000, 30, 1))


def external_data(path: Path) -> None:
    np.zeros(10**6).tofile(path.with_name("secret"))
    with h5py.File(path, "w") as file:
        kept = [(str(path.with_name("secret")), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("seg", (4, 30, 500), "f8", external=kept)


def external_link(path: Path) -> None:
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


def complex_numbers(path: Path) -> None:
    scipy.io.savemat(path, {"seg": np.full((5, 30, 4), 1j)})


def truncated(path: Path) -> None:
    scipy.io.savemat(path, {"seg": cube(1)}, do_compression=True)
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (bomb, "MB decompress to more than"),
        (huge_shape, "would take .* GB"),
        (external_data, "holds data stored in another file"),
        (external_link, "no variable has the declared layout"),
        (pickled, "not a MATLAB file"),
        (text, "not a MATLAB file"),
        (cells, "not numbers"),
        (complex_numbers, "complex numbers"),
        (truncated, "truncated|not a readable"),
    ],
)
def test_hostile_files_are_refused(tmp_path, monkeypatch, write, message):
    monkeypatch.setattr(matlab, "MAX_BYTES", 2**25)
    path = tmp_path / "a.mat"
    write(path)
    with pytest.raises(RecordingError, match=message) as caught:
        modality.read(path, eav.LAYOUT.item(0), PARAMS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("write", [scipy.io.savemat, lambda path, x: write_73(path, **x)])
def test_an_array_keeps_the_order_of_its_axes(tmp_path, write):
    values = generator("label").standard_normal((10, 4))
    write(tmp_path / "a.mat", {"label": values})
    assert np.array_equal(matlab.read_array(tmp_path / "a.mat", "label"), values)


@pytest.mark.parametrize("write", [pickled, text, cells, external_link, external_data])
def test_an_array_that_is_not_numeric_is_refused(tmp_path, write):
    write(tmp_path / "a.mat")
    with pytest.raises(RecordingError, match=r"not a MATLAB file|no numeric array called 'seg'"):
        matlab.read_array(tmp_path / "a.mat", "seg")
