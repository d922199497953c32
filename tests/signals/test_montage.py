from __future__ import annotations

import mne

from consilience.signals.montage import POSITIONS, standard_names


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
