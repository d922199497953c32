"""The files open with readers of their own, and the pulses are where the truth says."""

import warnings
from pathlib import Path

import av
import cv2
import mne
import numpy as np
import polars as pl
import pytest
import soundfile
from numpy.typing import NDArray

from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis import eeg, face, voice
from consilience.synthesis.plan import Clock, Session, sessions

CASCADES = Path(cv2.__file__).parent / "data"
PLAN = sessions(SynthesisParams(subjects=1, sessions=1, trials=2))[0]


def expected_pulses_s(corpus: tuple[Path, Path], recording: str) -> NDArray[np.float64]:
    """From the tables alone, not from the code that made them."""
    raw, truth = corpus
    clock = pl.read_csv(truth / "clocks.csv").row(
        by_predicate=pl.col("recording") == recording, named=True
    )
    session = recording.rsplit("_", 1)[0]
    pulses = pl.read_csv(raw / "pulses.csv").filter(pl.col("session") == session)
    times_s = pulses["time_s"].to_numpy()
    return (times_s - clock["offset_s"]) / (1 + 1e-6 * clock["drift_ppm"])


def variant(**changes: object) -> Session:
    return Session(**{**vars(PLAN), **changes})


def frames(path: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        decoded = [(f.time, f.to_ndarray(format="gray")) for f in container.decode(video=0)]
    return np.array([time for time, _ in decoded]), np.stack([grey for _, grey in decoded])


def test_eeg_opens_in_mne_with_triggers_within_a_sample(corpus: tuple[Path, Path]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raw = mne.io.read_raw_edf(corpus[0] / "sub-01/ses-1/eeg.edf", verbose="error")
    assert raw.ch_names == [*eeg.CHANNELS, eeg.TRIGGER]
    assert raw.info["sfreq"] == 250
    trigger = raw.get_data(picks=[eeg.TRIGGER])[0]
    edges = np.flatnonzero(np.diff((trigger > trigger.max() / 2).astype(int)) == 1) + 1
    expected_s = expected_pulses_s(corpus, "sub-01_ses-1_eeg")
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


def test_voice_has_clicks_within_a_sample(corpus: tuple[Path, Path]) -> None:
    sound, rate_hz = soundfile.read(corpus[0] / "sub-02/ses-1/voice.flac")
    assert rate_hz == 16000
    assert sound.ndim == 1
    for time_s in expected_pulses_s(corpus, "sub-02_ses-1_audio"):
        first = int(np.ceil(time_s * rate_hz))
        assert np.abs(sound[first : first + 2]).max() > 0.25
        assert np.abs(sound[first - 32 : first - 1]).max() < 0.1


def test_voice_is_silent_between_trials_and_pitched_within(corpus: tuple[Path, Path]) -> None:
    sound, rate_hz = soundfile.read(corpus[0] / "sub-01/ses-1/voice.flac")
    trials = pl.read_csv(corpus[0] / "trials.csv").filter(pl.col("session") == "sub-01_ses-1")
    clock = sessions(SynthesisParams(subjects=1, sessions=1))[0].clocks["audio"]
    start_s = clock.native_s(trials["start_s"].to_numpy())[0]
    end_s = clock.native_s(trials["end_s"].to_numpy())[0]
    speech = sound[int(start_s * rate_hz) : int(end_s * rate_hz)]
    rest = sound[int((end_s + 0.02) * rate_hz) : int((end_s + 0.08) * rate_hz)]
    assert speech.std() > 5 * rest.std()
    spectrum = np.abs(np.fft.rfft(speech)) ** 2
    hz = np.fft.rfftfreq(len(speech), 1 / rate_hz)
    assert spectrum[(hz > 80) & (hz < 3000)].sum() > 0.7 * spectrum.sum()


def test_flash_begins_at_the_first_frame_after_the_pulse(corpus: tuple[Path, Path]) -> None:
    times_s, grey = frames(corpus[0] / "sub-01/ses-1/face.mp4")
    assert times_s[0] == 0
    assert grey.shape[1:] == (240, 320)
    corner = grey[:, :40, :40].mean(axis=(1, 2))
    onsets_s = times_s[1:][np.diff(corner) > 20]
    expected_s = expected_pulses_s(corpus, "sub-01_ses-1_video")
    assert len(onsets_s) == len(expected_s)
    late_s = onsets_s - expected_s
    assert (late_s >= -1e-6).all()
    assert (late_s < 1 / 25 + 1e-6).all()


def test_a_face_detector_finds_the_face(corpus: tuple[Path, Path]) -> None:
    finder = cv2.CascadeClassifier(str(CASCADES / "haarcascade_frontalface_default.xml"))
    for subject in ("sub-01", "sub-02"):
        _, grey = frames(corpus[0] / subject / "ses-1/face.mp4")
        found = [len(finder.detectMultiScale(picture, 1.1, 4)) == 1 for picture in grey[::20]]
        assert np.mean(found) > 0.9


def test_lost_frames_leave_gaps_in_the_time_stamps(tmp_path: Path) -> None:
    faults = face.write_face(variant(faulty="video"), tmp_path / "face.mp4")
    times_s, _ = frames(tmp_path / "face.mp4")
    gaps = np.round(np.diff(times_s) * face.RATE_HZ).astype(int)
    lost = int((gaps - 1).sum())
    assert faults == [f"dropped {lost} of {lost + len(times_s)} frames"]
    assert gaps.max() > face.RATE_HZ
    whole_s = np.ceil(PLAN.native_duration_s("video") * face.RATE_HZ) / face.RATE_HZ
    assert times_s[-1] == pytest.approx(whole_s - 1 / face.RATE_HZ)


def test_clipped_voice_sits_at_its_limit(tmp_path: Path) -> None:
    assert voice.write_voice(variant(faulty="audio"), tmp_path / "voice.flac")
    sound, _ = soundfile.read(tmp_path / "voice.flac")
    assert np.abs(sound).max() == pytest.approx(0.5, abs=1e-3)
    assert (np.abs(sound) > 0.499).mean() > 0.005


def test_flat_channel_is_named(tmp_path: Path) -> None:
    gains = np.ones((len(eeg.CHANNELS), len(eeg.DIPOLES) + eeg.N_BACKGROUND))
    faults = eeg.write_eeg(variant(faulty="eeg"), gains, tmp_path / "eeg.edf")
    raw = mne.io.read_raw_edf(tmp_path / "eeg.edf", verbose="error")
    flat = [name for name in eeg.CHANNELS if np.ptp(raw.get_data(picks=[name])) < 1e-7]
    assert f"flat channel {flat[0]}" in faults
    assert len(flat) == 1


def test_leadfield_sees_the_left_on_the_left() -> None:
    gains = eeg.leadfield()
    assert gains.shape == (len(eeg.CHANNELS), len(eeg.DIPOLES) + eeg.N_BACKGROUND)
    for column, dipole in enumerate(eeg.DIPOLES):
        best = eeg.CHANNELS[int(np.abs(gains[:, column]).argmax())]
        side = {"left": "odd", "right": "even"}.get(dipole.split()[1], "midline")
        number = best[-1]
        expected = "midline" if number == "z" else ("odd" if int(number) % 2 else "even")
        assert side == expected, (dipole, best)


def test_drift_moves_the_last_pulse(tmp_path: Path) -> None:
    """Two devices that differ in drift alone disagree by the drift times the time elapsed."""
    last_s = PLAN.pulses_s[-1]
    for drift_ppm in (-300.0, 300.0):
        clocks = {**PLAN.clocks, "audio": Clock(0.0, drift_ppm)}
        voice.write_voice(variant(clocks=clocks), tmp_path / "voice.flac")
        sound, rate_hz = soundfile.read(tmp_path / "voice.flac")
        first = round((last_s - 0.1) * rate_hz)
        click_s = (first + np.flatnonzero(np.abs(sound[first:]) > 0.25)[0]) / rate_hz
        assert click_s - last_s == pytest.approx(-1e-6 * drift_ppm * last_s, abs=2 / rate_hz)
