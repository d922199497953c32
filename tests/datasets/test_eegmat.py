"""The files written here have the names, channels and rates of the published ones."""

from __future__ import annotations

from pathlib import Path

import edfio
import numpy as np
import pytest

from consilience import params
from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.datasets.eegmat import dataset
from consilience.ingest.catalog import build_catalog
from consilience.modalities.ecg import modality as ecg
from consilience.modalities.eeg import modality as eeg
from consilience.modalities.params.eeg import EegParams
from consilience.modalities.params.single_channel import SingleChannelParams
from consilience.schema.tables import Annotations, Trials
from consilience.testing import DATASET_CHECKS, DatasetCase, name_of

RATE_HZ = 500
BEATS_PER_MIN = 80
ELECTRODES = (
    *("Fp1", "Fp2", "F3", "F4", "F7", "F8", "T3", "T4", "C3", "C4"),
    *("T5", "T6", "P3", "P4", "O1", "O2", "Fz", "Cz", "Pz"),
)


def write(path: Path, duration_s: int = 12) -> None:
    """Write EEG, the ears' derivation and an ECG, as the published files have them."""
    rng, n_samples = generator("eegmat", path.name), duration_s * RATE_HZ
    times_s = np.arange(n_samples) / RATE_HZ
    period_s = 60 / BEATS_PER_MIN
    beat = np.exp(-0.5 * (((times_s + period_s / 2) % period_s - period_s / 2) / 0.012) ** 2)
    common = rng.normal(0, 20, n_samples)  # all electrodes share most of the signal

    def line(label: str, values: np.ndarray, unit: str) -> edfio.EdfSignal:
        return edfio.EdfSignal(values, RATE_HZ, label=label, physical_dimension=unit)

    brain = [
        line(f"EEG {n}", common + rng.normal(0, 10, n_samples), "uV")
        for n in (*ELECTRODES, "A2-A1")
    ]
    heart = line("ECG ECG", beat + rng.normal(0, 0.02, n_samples), "mV")
    notes = [edfio.EdfAnnotation(0, None, "Total time")]
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Edf([*brain, heart], data_record_duration=1, annotations=notes).write(path)


def write_root(root: Path) -> None:
    for person in ("00", "01"):
        for condition in "12":
            write(root / f"Subject{person}_{condition}.edf")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> DatasetCase:
    root = tmp_path_factory.mktemp("eegmat")
    write_root(root)
    return DatasetCase(dataset, root)


@pytest.mark.parametrize("check", DATASET_CHECKS, ids=name_of)
def test_it_keeps_the_contract(check, case: DatasetCase) -> None:
    check(case)


def test_a_file_is_a_session_of_one_trial_that_is_its_label(case: DatasetCase) -> None:
    listing = dataset.list(case.root)
    assert Trials.validate(listing.trials).rows() == [
        ("Subject00_1", "rest", 0.0, 12.0),
        ("Subject00_2", "arithmetic", 0.0, 12.0),
        ("Subject01_1", "rest", 0.0, 12.0),
        ("Subject01_2", "arithmetic", 0.0, 12.0),
    ]
    labels = Annotations.validate(listing.annotations)
    assert labels["label"].to_list() == ["rest", "arithmetic"] * 2
    assert {(e.session, e.subject) for e in listing.entries if e.modality == "ecg"} == {
        (f"Subject{person}_{condition}", f"Subject{person}")
        for person in ("00", "01")
        for condition in "12"
    }
    assert not listing.problems


def test_both_sensors_are_read_from_one_file_without_each_others_channels(
    case: DatasetCase,
) -> None:
    path = case.root / "Subject00_1.edf"
    channels = eeg.read(path, None, EegParams()).channels
    assert len(channels) == 19
    assert set(channels) == set(EegParams().channels)
    signal = ecg.read(path, None, SingleChannelParams())
    assert signal.channels == ("ECG ECG",)
    rate = ecg.features(signal, SingleChannelParams()).values[:, 0]
    assert np.median(rate) == pytest.approx(BEATS_PER_MIN, rel=0.01)


def test_another_name_is_reported_and_a_damaged_file_has_no_trial(tmp_path: Path) -> None:
    write(tmp_path / "a/Subject00_1.edf")
    for name in ("Subject00_2.edf", "rest.edf"):
        (tmp_path / name).write_bytes(b"0")
    listing = dataset.list(tmp_path)
    assert listing.problems == [
        ("rest.edf", "not an EEGMAT file name", "rename it, as Subject00_1.edf")
    ]
    assert listing.trials["session"].to_list() == ["Subject00_1"]
    counts = build_catalog(dataset, tmp_path, ["eeg"]).summary()["modalities"]["eeg"]
    assert (counts["ok"], counts["quarantined"]) == (1, 1)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match=r"no EEGMAT file found"):
        dataset.list(tmp_path)


def test_the_preset_names_a_trial_that_every_person_has() -> None:
    content = params.parse(params.defaults("eegmat", "somewhere"))
    assert content.training.enrolment == "rest"
    assert content.windows.length_s == 10


@pytest.mark.real_data
def test_the_real_recordings(real_data: Path) -> None:
    listing = dataset.list(real_data / "eegmat")
    assert (len(listing.entries), listing.trials.height, listing.problems) == (112, 56, [])
    assert set(listing.trials["end_s"]) == {60.0}
    medians = []
    for condition in "12":  # the task drives the heart
        path = real_data / "eegmat" / f"Subject00_{condition}.edf"
        assert eeg.inspect(path, None) == ecg.inspect(path, None) == []
        rate = ecg.features(ecg.read(path, None, SingleChannelParams()), SingleChannelParams())
        medians.append(np.nanmedian(rate.values[:, 0]))
    assert medians[1] > medians[0] + 5
    (detached,) = ecg.inspect(real_data / "eegmat" / "Subject02_1.edf", None)
    assert "may not be ecg: plausible beat fraction 0.00" in detached
