from __future__ import annotations

import mne
import pytest

from consilience.signals.montage import (
    OPENBCI,
    POSITIONS,
    duplicate_positions,
    openbci_positions,
    standard_name,
    standard_names,
)


def test_the_positions_are_those_of_the_montage_that_cleaning_uses() -> None:
    assert list(POSITIONS) == mne.channels.make_standard_montage("colin27_1020").ch_names


def test_decorations_and_old_names_lead_to_the_standard_position() -> None:
    names = ["EEG Fp1-REF", "Cz..", "C3-A2", "T3", "fz", "ECG", "T7"]
    assert standard_names(names) == {
        "EEG Fp1-REF": "Fp1",
        "Cz..": "Cz",
        "C3-A2": "C3",
        "T3": "T7",  # the first channel of a position is used: not "T7"
        "fz": "Fz",
    }


@pytest.mark.parametrize(
    "way",
    [
        *("{}", "EEG {}", "EEG-{}", "EEG_{}_ref", "EEG.{}", "EEG: {}", "POL {}", "{}."),
        *("{}-Ref", "EEG {}-REF", "{} - REF", "{}_LE", "EEG {}-CLE", "{}-Avg", "{}-AV", "{}-CAR"),
        *("{}-A1", "{}-A1A2", "EEG {}-A1+A2", "{}-(A1+A2)/2", "{}-M1M2", "{}-M1/M2", "{}-Org"),
        *("EEG{}", "RAW_{}", "EEG {}-REFERENC", "{}-Ref1", "{}A2", "{}:M2", "{}/A1", "{}-AVE"),
        *("{} (uV)", "{}[µV]", "EEG {}-Ref (uV)", "{}-Average", "{}-Reference", " {} "),
    ],
)
@pytest.mark.parametrize("name", ["Fp1", "AFz", "O2", "CP4"])
def test_the_usual_labellings_lead_to_the_position(way: str, name: str) -> None:
    assert standard_name(way.format(name)) == name
    assert standard_name(way.format(name).upper()) == name
    assert standard_name(way.format(name).lower()) == name


@pytest.mark.parametrize(
    "name",
    [
        *("Fp1-F7", "C3-Cz", "F7-T3", "EEG A2-A1", "M1-M2", "A1A2"),
        *("EEG", "ECG-Ref", "CQ_Fp1", "Fp", ""),
    ],
)
def test_bipolar_derivations_and_other_channels_have_no_position(name: str) -> None:
    assert standard_name(name) is None


@pytest.mark.parametrize("way", ["{}", "EEG {}", "EEG{}"])
def test_electrodes_of_a_numbered_cap_are_not_ears(way: str) -> None:
    cap = [way.format(f"{row}{number}") for row in "AB" for number in range(1, 33)]
    assert standard_names(cap) == {}
    assert standard_names(cap, {way.format("A1"): "Cz"}) == {way.format("A1"): "Cz"}
    assert list(standard_names(["Cz", "A1", "A2"])) == ["Cz", "A1", "A2"]


def test_anonymous_channels_of_openbci_have_usual_positions() -> None:
    names = ["COUNTER", *(f"EXG Channel {number}" for number in (0, 7, 15, 16)), "EXG1"]
    assert openbci_positions(names) == {
        "EXG Channel 0": "Fp1",
        "EXG Channel 7": "O2",
        "EXG Channel 15": "P4",
    }
    assert len(set(OPENBCI)) == 16 == len(set(OPENBCI) & set(POSITIONS))


def test_channels_of_one_position_are_listed() -> None:
    assert duplicate_positions(["T3", "EEG T7-Ref", "Cz", "ECG"]) == {"T7": ["T3", "EEG T7-Ref"]}
