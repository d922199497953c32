"""Simulated EEG: dipoles in MNE's spherical head model plus artefacts, written as EDF."""

from __future__ import annotations

import datetime
from pathlib import Path

import mne
import numpy as np
from edfio import Edf, EdfSignal, Recording

from consilience.core.seeds import generator
from consilience.synthesis.plan import RATES_HZ, Floats, Session

CHANNELS = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8"),
    *("T7", "C3", "Cz", "C4", "T8"),
    *("P7", "P3", "Pz", "P4", "P8", "O1", "O2"),
)
TRIGGER = "TRIG"
TRIGGER_S = 0.02
RATE_HZ = RATES_HZ["eeg"]
RECORDED_ON = datetime.date(2024, 1, 15)  # fixed, so that the bytes are reproducible
RANGE_UV = 800.0

# Radially oriented dipoles: position from the centre of the head in metres (right, front, up).
DIPOLES = {
    "frontal left": (-0.035, 0.052, 0.040),
    "frontal right": (0.035, 0.052, 0.040),
    "frontal midline": (0.0, 0.045, 0.058),
    "occipital left": (-0.025, -0.068, 0.022),
    "occipital right": (0.025, -0.068, 0.022),
    "central left": (-0.050, 0.0, 0.052),
    "central right": (0.050, 0.0, 0.052),
}
N_BACKGROUND = 14
BANDS_HZ = {
    "theta": (4.0, 7.0),
    "alpha": (-1.5, 1.5),  # relative to the subject's alpha peak
    "beta": (15.0, 27.0),
}

# Amplitude in microvolts at the nearest electrode, and change of the log-amplitude per unit of
# expressed valence and of expressed arousal: frontal alpha asymmetry follows valence, alpha falls
# and beta rises with arousal, frontal midline theta rises with both.
RHYTHMS = {
    ("frontal left", "alpha"): (7.0, -0.60, -0.30),
    ("frontal right", "alpha"): (7.0, 0.60, -0.30),
    ("occipital left", "alpha"): (9.0, 0.0, -0.45),
    ("occipital right", "alpha"): (9.0, 0.0, -0.45),
    ("central left", "beta"): (3.5, -0.15, 0.40),
    ("central right", "beta"): (3.5, 0.15, 0.40),
    ("frontal midline", "theta"): (4.0, 0.25, 0.15),
}

MAINS_HZ = 50
# Share of a blink or a muscle burst that reaches an electrode; a small one reaches all others.
BLINK_GAINS = {"Fp1": 1.0, "Fp2": 1.0, "F7": 0.35, "F3": 0.4, "Fz": 0.4, "F4": 0.4, "F8": 0.35}
MUSCLE_GAINS = {"T7": 1.0, "F7": 0.6, "T8": 1.0, "F8": 0.6}


def leadfield() -> Floats:
    """Compute the potentials of the dipoles at the electrodes (the gain matrix).

    Returns
    -------
    ndarray of float64, shape (n_channels, len(DIPOLES) + N_BACKGROUND)
        Per unit of dipole strength, scaled so that the largest gain of each dipole is 1 in
        magnitude; the columns of the background dipoles come last.
    """
    info = mne.create_info(list(CHANNELS), RATE_HZ, "eeg", verbose="error")
    info.set_montage("colin27_1020", verbose="error")
    sphere = mne.make_sphere_model("auto", "auto", info, verbose="error")
    rng = generator("demo", "background dipoles")
    # Towards the upper half of the head, where the electrodes are.
    directions = rng.normal(size=(N_BACKGROUND, 3)) * (1, 1, 0.5) + (0, 0, 0.5)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    positions = np.vstack([list(DIPOLES.values()), 0.065 * directions])
    # Radial: the potential then has a single extremum, at the electrode above the dipole.
    normals = positions / np.linalg.norm(positions, axis=1, keepdims=True)
    sources = mne.setup_volume_source_space(
        pos={"rr": positions + sphere["r0"], "nn": normals}, sphere=sphere, verbose="error"
    )
    forward = mne.make_forward_solution(
        info, trans=None, src=sources, bem=sphere, meg=False, verbose="error"
    )
    forward = mne.convert_forward_solution(forward, force_fixed=True, verbose="error")
    gains = np.asarray(forward["sol"]["data"], dtype=np.float64)
    return gains / np.abs(gains).max(axis=0)


def write_eeg(session: Session, gains: Floats, path: Path) -> list[str]:
    """Simulate a session's EEG and write it as EDF.

    Parameters
    ----------
    session : Session
        Plan of the session.
    gains : ndarray of float64
        The gain matrix; see `leadfield`.
    path : Path
        The EDF to write: channels in microvolts, and a trigger channel that is 1 for
        `TRIGGER_S` from every pulse on and 0 otherwise.

    Returns
    -------
    list of str
        Faults beyond the usual artefacts, each with its channel.
    """
    # Whole seconds: EDF stores records of a fixed duration, here one second.
    n_samples = int(np.ceil(session.native_duration_s("eeg")) * RATE_HZ)
    native_s = np.arange(n_samples) / RATE_HZ
    session_s = session.clocks["eeg"].session_s(native_s)
    scalp = gains @ _sources(session, session_s)
    scalp += _artefacts(session, native_s)
    faults = _break_channels(session, scalp)
    signals = [_channel(name, values) for name, values in zip(CHANNELS, scalp, strict=True)]
    trigger = EdfSignal(
        _triggers(session, n_samples),
        RATE_HZ,
        label=TRIGGER,
        physical_range=(0, 1),
        digital_range=(0, 1),
    )
    Edf(
        [*signals, trigger],
        recording=Recording(startdate=RECORDED_ON, equipment_code="simulated"),
        starttime=datetime.time(10, 0),
        data_record_duration=1,
    ).write(path)
    return faults


def _channel(name: str, values_uv: Floats) -> EdfSignal:
    # One range for all channels and sessions, as an amplifier has; beyond it, it saturates.
    return EdfSignal(
        np.clip(values_uv, -RANGE_UV, RANGE_UV),
        RATE_HZ,
        label=name,
        physical_dimension="uV",
        physical_range=(-RANGE_UV, RANGE_UV),
    )


def coloured_noise(rng: np.random.Generator, shape: tuple[int, int], exponent: float) -> Floats:
    """Return noise of unit variance whose power falls as ``1 / f**exponent``, along axis 1.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        (n_signals, n_samples)
    exponent : float
        1 for pink and 2 for brown noise.

    Returns
    -------
    ndarray of float64, shape (n_signals, n_samples)
    """
    spectrum = np.fft.rfft(rng.normal(size=shape), axis=1)
    frequencies = np.fft.rfftfreq(shape[1])
    # Flat below 1/500 of the sampling rate: at frequency zero the power would be infinite.
    spectrum *= np.maximum(frequencies, 0.002) ** (-exponent / 2)
    noise = np.fft.irfft(spectrum, n=shape[1], axis=1)
    return noise / noise.std(axis=1, keepdims=True)


def _sources(session: Session, session_s: Floats) -> Floats:
    """Return the dipoles' strengths, shape (n_dipoles, n_samples).

    Alpha peak and band gains differ between subjects and agree between a subject's sessions.
    """
    subject = generator("demo", session.subject, "eeg")
    peak_hz = subject.uniform(9.0, 11.5)
    gains = {band: np.exp(subject.normal(0, 0.2)) for band in BANDS_HZ}
    rng = generator("demo", session.name, "eeg", "sources")
    valence, arousal = session.expressed("eeg", session_s)
    n_samples = len(session_s)
    names = list(DIPOLES)
    sources = np.zeros((len(names) + N_BACKGROUND, n_samples))
    for (dipole, band), (amplitude_uv, per_valence, per_arousal) in RHYTHMS.items():
        low_hz, high_hz = np.array(BANDS_HZ[band]) + (peak_hz if band == "alpha" else 0)
        rhythm = _rhythm(rng, n_samples, low_hz, high_hz)
        # On the logarithm, so that the amplitude stays positive.
        modulation = np.exp(per_valence * valence + per_arousal * arousal)
        sources[names.index(dipole)] += gains[band] * amplitude_uv * modulation * rhythm
    sources[len(names) :] = 4.0 * coloured_noise(rng, (N_BACKGROUND, n_samples), 1.0)
    return sources


def _rhythm(rng: np.random.Generator, n_samples: int, low_hz: float, high_hz: float) -> Floats:
    """Return band-limited noise of unit variance, shape (n_samples,)."""
    spectrum = np.fft.rfft(rng.normal(size=n_samples))
    frequencies = np.fft.rfftfreq(n_samples, 1 / RATE_HZ)
    # A Gaussian window in frequency has no side lobes in time, unlike a sharp band.
    centre, half = (low_hz + high_hz) / 2, (high_hz - low_hz) / 2
    spectrum *= np.exp(-0.5 * ((frequencies - centre) / half) ** 2)
    rhythm = np.fft.irfft(spectrum, n=n_samples)
    return rhythm / rhythm.std()


def _artefacts(session: Session, native_s: Floats) -> Floats:
    """Return blinks, muscle bursts, mains hum and electrode noise.

    Parameters
    ----------
    session : Session
    native_s : ndarray of float64, shape (n_samples,)

    Returns
    -------
    ndarray of float64, shape (n_channels, n_samples)
        In microvolts.
    """
    rng = generator("demo", session.name, "eeg", "artefacts")
    blinks = _blinks(rng, native_s)
    envelope, activity = _muscle(rng, native_s)
    scalp = _hum_and_noise(rng, native_s)
    for row, name in enumerate(CHANNELS):
        # Even electrode numbers are on the right, odd ones on the left.
        side = int(name[-1] in "2468")
        scalp[row] += BLINK_GAINS.get(name, 0.03) * blinks
        scalp[row] += MUSCLE_GAINS.get(name, 0.05) * envelope[side] * activity[side]
    return scalp


def _blinks(rng: np.random.Generator, native_s: Floats) -> Floats:
    """Return blinks at the forehead in microvolts, shape (n_samples,)."""
    blinks = np.zeros(len(native_s))
    for time_s in _poisson_times(rng, rate_hz=0.25, end_s=native_s[-1]):
        blinks += rng.uniform(60, 130) * np.exp(-0.5 * ((native_s - time_s) / 0.07) ** 2)
    return blinks


def _muscle(rng: np.random.Generator, native_s: Floats) -> tuple[Floats, Floats]:
    """Return envelope (microvolts) and activity of the muscles at the left and right temple.

    Returns
    -------
    envelope, activity : ndarray of float64, shape (2, n_samples)
        The bursts are their product.
    """
    # Differences of white noise: muscle activity is strongest at high frequencies.
    activity = np.diff(rng.normal(size=(2, len(native_s) + 1)), axis=1)
    envelope = np.zeros((2, len(native_s)))
    for time_s in _poisson_times(rng, rate_hz=0.06, end_s=native_s[-1]):
        side = rng.integers(2)
        width_s = rng.uniform(0.15, 0.5)
        envelope[side] += rng.uniform(8, 20) * np.exp(-0.5 * ((native_s - time_s) / width_s) ** 2)
    return envelope, activity


def _hum_and_noise(rng: np.random.Generator, native_s: Floats) -> Floats:
    """Return mains hum and electrode noise in microvolts, shape (n_channels, n_samples)."""
    hum_uv, phases = rng.uniform(1, 5, len(CHANNELS)), rng.uniform(0, 0.6, len(CHANNELS))
    hum = np.sin(2 * np.pi * MAINS_HZ * native_s + phases[:, None])
    return hum_uv[:, None] * hum + rng.normal(0, 1.0, (len(CHANNELS), len(native_s)))


def _poisson_times(rng: np.random.Generator, rate_hz: float, end_s: float) -> Floats:
    """Return the events of a Poisson process from 0 to `end_s`, in seconds."""
    # Given their number, the events of a Poisson process are uniform.
    return np.sort(rng.uniform(0, end_s, rng.poisson(rate_hz * end_s)))


def _break_channels(session: Session, scalp: Floats) -> list[str]:
    """Corrupt channels in place: one in a quarter of the sessions, another in a faulty one.

    Returns
    -------
    list of str
        Faults with their channels.
    """
    rng = generator("demo", session.name, "eeg", "bad channel")
    noisy, flat = rng.permutation(len(CHANNELS))[:2]
    faults = []
    if rng.random() < 0.25:
        drift = coloured_noise(rng, (1, scalp.shape[1]), 2.0)[0]
        scalp[noisy] += 60 * drift + rng.normal(0, 25, scalp.shape[1])
        faults.append(f"noisy channel {CHANNELS[noisy]}")
    if session.faulty == "eeg":
        scalp[flat] = 0
        faults.append(f"flat channel {CHANNELS[flat]}")
    return faults


def _triggers(session: Session, n_samples: int) -> Floats:
    """Return the trigger channel, shape (n_samples,): 1 from the sample nearest to each pulse."""
    trigger = np.zeros(n_samples)
    for time_s in session.clocks["eeg"].native_s(session.pulses_s):
        first = round(time_s * RATE_HZ)
        trigger[first : first + round(TRIGGER_S * RATE_HZ)] = 1
    return trigger
