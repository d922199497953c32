"""Interpolation and average reference as one matrix."""

from __future__ import annotations

import mne
import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.signals.interpolation import cleaning_matrix

RECORDED = ("Fp1", "FP2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "Cz")
WANTED = ("Cz", "Fp2", "Pz", "O1")


@pytest.mark.parametrize("bads", [(), ("Cz",), ("FP2", "C3")])
def test_it_does_what_mne_does(bads: tuple[str, ...]) -> None:
    values = 1e-5 * generator("montage").standard_normal((len(RECORDED), 500))
    info = mne.create_info([*RECORDED, "Pz"], 250.0, "eeg")
    raw = mne.io.RawArray(np.concatenate([values, np.zeros((1, 500))]), info, verbose="error")
    raw.set_montage("colin27_1020", match_case=False, verbose="error")
    raw.info["bads"] = [*bads, "Pz"]
    raw.interpolate_bads(origin=(0.0, 0.0, 0.0), verbose="error")
    raw.set_eeg_reference("average", verbose="error")
    expected = raw.get_data(["Cz", "FP2", "Pz", "O1"])
    matrix = cleaning_matrix(RECORDED, bads, WANTED)
    assert matrix.dtype == np.float32
    assert matrix @ values == pytest.approx(expected, abs=1e-6 * np.abs(expected).max())


def test_without_bad_channels_it_is_the_average_reference() -> None:
    expected = np.eye(len(RECORDED))[:3] - 1 / len(RECORDED)
    assert cleaning_matrix(RECORDED, (), ("fp1", "fp2", "f3")) == pytest.approx(expected)
