from __future__ import annotations

import mne
import pytest

from consilience.signals.montage import (
    POSITIONS,
    duplicate_positions,
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
        *("{} (uV)", "{}[µV]", "EEG {}-Ref (uV)", "{}-Average", "{}-Reference", " {} "),
    ],
)
@pytest.mark.parametrize("name", ["Fp1", "AFz", "O2", "CP4"])
def test_the_usual_labellings_lead_to_the_position(way: str, name: str) -> None:
    assert standard_name(way.format(name)) == name
    assert standard_name(way.format(name).upper()) == name
    assert standard_name(way.format(name).lower()) == name


@pytest.mark.parametrize("name", ["Fp1-F7", "C3-Cz", "F7-T3", "EEG", "ECG-Ref", "CQ_Fp1", "Fp", ""])
def test_bipolar_derivations_and_other_channels_have_no_position(name: str) -> None:
    assert standard_name(name) is None


def test_channels_of_one_position_are_listed() -> None:
    assert duplicate_positions(["T3", "EEG T7-Ref", "Cz", "ECG"]) == {"T7": ["T3", "EEG T7-Ref"]}
