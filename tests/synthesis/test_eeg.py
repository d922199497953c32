import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mne
import numpy as np
import pytest
from numpy.typing import NDArray

from consilience.core.seeds import generator
from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis import eeg
from consilience.synthesis.plan import sessions

Pulses = Callable[[str], NDArray[np.float64]]
PLAN = sessions(SynthesisParams(subjects=1, sessions=1, trials=2))[0]


def test_eeg_opens_in_mne_with_triggers_within_a_sample(
    corpus: tuple[Path, Path], expected_pulses_s: Pulses
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raw = mne.io.read_raw_edf(corpus[0] / "sub-01/ses-1/eeg.edf", verbose="error")
    assert raw.ch_names == [*eeg.CHANNELS, eeg.TRIGGER]
    assert raw.info["sfreq"] == 250
    trigger = raw.get_data(picks=[eeg.TRIGGER])[0]
    edges = np.flatnonzero(np.diff((trigger > trigger.max() / 2).astype(int)) == 1) + 1
    expected_s = expected_pulses_s("sub-01_ses-1_eeg")
    np.testing.assert_allclose(edges / 250, expected_s, atol=0.5 / 250 + 1e-9)


def test_eeg_has_plausible_levels_and_alpha(corpus: tuple[Path, Path]) -> None:
    raw = mne.io.read_raw_edf(corpus[0] / "sub-01/ses-1/eeg.edf", preload=True, verbose="error")
    raw.pick(list(eeg.CHANNELS)).set_eeg_reference(verbose="error")
    level_uv = 1e6 * np.median(raw.get_data().std(axis=1))
    assert 3 < level_uv < 60
    spectrum = raw.compute_psd(fmin=1, fmax=60, n_fft=500, verbose="error")
    power, hz = spectrum.get_data(picks=["O1", "O2"]).mean(axis=0), spectrum.freqs
    alpha = power[(hz >= 8) & (hz <= 12.5)].max()
    assert alpha > 2 * power[(hz > 13) & (hz < 30)].max()
    assert power[hz == 50] > 3 * np.median(power[(hz > 40) & (hz < 60)])
    assert power[(hz > 1) & (hz < 4)].mean() > power[(hz > 20) & (hz < 40)].mean()


def test_flat_channel_is_reported(tmp_path: Path) -> None:
    gains = np.ones((len(eeg.CHANNELS), len(eeg.DIPOLES) + eeg.N_BACKGROUND))
    faults = eeg.write_eeg(replace(PLAN, faulty="eeg"), gains, tmp_path / "eeg.edf")
    raw = mne.io.read_raw_edf(tmp_path / "eeg.edf", verbose="error")
    flat = [name for name in eeg.CHANNELS if np.ptp(raw.get_data(picks=[name])) < 1e-7]
    assert f"flat channel {flat[0]}" in faults
    assert len(flat) == 1


def test_leadfield_is_largest_on_the_side_of_the_dipole() -> None:
    gains = eeg.leadfield()
    assert gains.shape == (len(eeg.CHANNELS), len(eeg.DIPOLES) + eeg.N_BACKGROUND)
    for column, dipole in enumerate(eeg.DIPOLES):
        best = eeg.CHANNELS[int(np.abs(gains[:, column]).argmax())]
        side = {"left": "odd", "right": "even"}.get(dipole.split()[1], "midline")
        number = best[-1]
        expected = "midline" if number == "z" else ("odd" if int(number) % 2 else "even")
        assert side == expected, (dipole, best)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_power_of_coloured_noise_falls_by_the_exponent(exponent: float) -> None:
    noise = eeg.coloured_noise(generator("test", exponent), (20, 4096), exponent)
    np.testing.assert_allclose(noise.std(axis=1), 1)
    power = (np.abs(np.fft.rfft(noise, axis=1)) ** 2).mean(axis=0)
    hz = np.fft.rfftfreq(4096)
    inner = (hz > 0.01) & (hz < 0.4)
    slope = np.polyfit(np.log(hz[inner]), np.log(power[inner]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.1)


def test_frontal_alpha_asymmetry_follows_valence() -> None:
    left, right = (eeg.RHYTHMS[f"frontal {side}", "alpha"] for side in ("left", "right"))
    assert left[1] < 0 < right[1]
    assert left[0] == right[0]
