"""EEG: recordings of many formats, cleaned by MNE-Python, as log band power per channel over time.

All cleaning is within one recording. Bad channels are detected and interpolated by spherical
splines (Perrin et al. 1989), mains hum is removed by notch filters, and the signal is band-passed
and referenced to the average. Band power is computed in a Hann window that slides over the signal.

Lost data stay missing: samples that a packet counter or the time stamps show to be lost leave a
gap in time, an electrode without contact or marked as bad is NaN, and frames over either are NaN.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import mne
import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.modalities.base import Modality
from consilience.modalities.params.eeg import EegParams
from consilience.readers.recording import SUFFIXES, Recording, identity, open_recording
from consilience.readers.sample_times import describe_gaps, packets_of, sample_times
from consilience.readers.units import VOLTAGE
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.eeg_corruptions import APPLY
from consilience.signals.montage import (
    duplicate_positions,
    openbci_positions,
    standard_names,
)
from consilience.signals.plausibility import EEG_BAND_HZ, EEG_RMS_UV, eeg_amplitude_uv
from consilience.signals.regular_grid import interpolated, sampling_rate, to_regular_grid
from consilience.signals.robust import MAD_TO_SD
from consilience.signals.types import Features, Header, Signal

Array = NDArray[np.float64]

MICRO, MILLI = 1e-6, 1e-3
REPORTED_SHARE = 0.01  # findings that concern less of the time are not reported
MAINS_HZ = (50.0, 60.0)
HUM_DB = 20.0  # from which hum lowers the quality
FLAT_V = 1e-8  # peak to peak within a second: below the noise of any amplifier
SPREAD_FLOOR = 0.1  # decades: channels of a good recording differ by as much


class Cleaned(NamedTuple):
    """A cleaned recording.

    Attributes
    ----------
    values : ndarray of float64, shape (n_channels, n_samples)
        In volts, channels in the order of the parameters.
    rate_hz : float
    missing : ndarray of bool, shape (n_samples,)
        Samples at which too many channels have no value.
    quality : dict of str to float
    """

    values: Array
    rate_hz: float
    missing: NDArray[np.bool_]
    quality: dict[str, float]


class Eeg(Modality):
    """The EEG modality."""

    name: ClassVar[str] = "eeg"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    Params: ClassVar[type[ModalityParams]] = EegParams

    aliases: Mapping[str, str] = MappingProxyType({})  # see `EegParams`
    expected: tuple[str, ...] = ()  # channels, of which missing ones are reported
    max_bad_fraction: float = 1.0  # of the expected channels

    def configured(self, params: EegParams) -> Eeg:
        """Return the modality with the aliases and the channels of the parameters."""
        configured = copy.copy(self)
        configured.aliases, configured.expected = params.aliases, params.channels
        configured.max_bad_fraction = params.max_bad_fraction
        return configured

    def probe(self, path: Path, item: str | None) -> Header:
        """Read the header, and check it against the size of the file.

        Raises
        ------
        RecordingError
            If the file is empty, truncated, unreadable, has no EEG channel, or states an unknown
            unit.
        """
        recording, names = _at_eeg_rate(open_recording(path, item), self.aliases)
        return Header(
            rate_hz=recording.rate_hz,
            n_channels=len(names),
            duration_s=recording.duration_s,
            start_time=recording.start_time,
            channels=tuple(names.values()),
        )

    def identity(self, path: Path, item: str | None) -> str:
        """Return the hash of the recording, companions of its file included."""
        return identity(path, item)

    def read(self, path: Path, item: str | None, params: EegParams) -> Signal:
        """Read every EEG channel, and the pulses on the trigger channel.

        Returns
        -------
        Signal
            ``values`` float64 in volts, shape (n_samples, n_channels); NaN where an electrode
            has too little contact, or the file calls it bad. Times leave out what the packet
            counter shows to be missing.

        Raises
        ------
        RecordingError
            As `probe`; or if the amplitude is physically impossible.
        """
        recording, names = _at_eeg_rate(open_recording(path, item), params.aliases)
        values = recording.values(list(names), MICRO)
        what = EEG_RMS_UV.violation(eeg_amplitude_uv(values, recording.rate_hz))
        if what is not None:
            raise RecordingError(what, str(path), _unit_remedy(recording, names))
        values[:, [name in recording.bads for name in names]] = np.nan
        for channel, lost in _without_contact(recording, names, params.min_contact).items():
            values[lost, channel] = np.nan
        kept, times_s, pulses_s = sample_times(recording, params.sync_code)
        return Signal(
            np.ascontiguousarray(values[kept]),
            times_s[kept],
            tuple(names.values()),
            pulses_s,
            recording.anchors_s(),
        )

    def inspect(self, path: Path, item: str | None) -> list[str]:
        """Return findings on a readable recording: lost packets, bad contacts, flat lines.

        Raises
        ------
        RecordingError
            As `probe`.
        """
        all_rates = open_recording(path, item)
        recording, names = _at_eeg_rate(all_rates, self.aliases)
        packets = packets_of(recording)
        findings = recording.findings() + (packets.findings() if packets else [])
        findings += _describe_names(all_rates.names, self.aliases, names)
        findings += recording.other_units(list(names))
        present = {standard.casefold() for standard in names.values()}
        missing = [channel for channel in self.expected if channel.casefold() not in present]
        too_many = len(missing) > self.max_bad_fraction * len(self.expected)
        outcome = ", too many: it will be quarantined" if too_many else ""
        findings += [f"missing channels: {', '.join(missing)}{outcome}"] if missing else []
        bads = [standard for name, standard in names.items() if name in recording.bads]
        findings += [f"the file marks as bad: {', '.join(bads)}"] if bads else []
        lost_contact = _without_contact(recording, names, EegParams().min_contact)
        shares = {channel: float(lost.mean()) for channel, lost in lost_contact.items()}
        findings += [
            f"contact bad on {list(names.values())[channel]} {100 * share:.0f} % of the time"
            for channel, share in shares.items()
            if share >= REPORTED_SHARE
        ]
        values = recording.values(list(names), MICRO)
        findings += _describe_amplitude(values, recording, names)
        findings += _describe_hum(np.nan_to_num(values), recording.rate_hz)
        flat = flat_fraction(np.nan_to_num(values), recording.rate_hz)
        findings += [
            f"{name} is flat {100 * share:.0f} % of the time"
            for name, share in zip(names.values(), flat, strict=True)
            if share >= REPORTED_SHARE
        ]
        return findings + describe_gaps(recording.times_s(), recording.rate_hz)

    def features(self, signal: Signal, params: EegParams) -> Features:
        """Clean the recording and return log10 band power in µV², channel by channel.

        Frames that overlap a gap in time, or samples at which more than ``max_bad_fraction`` of
        the channels have no contact, are NaN.

        Raises
        ------
        RecordingError
            If the rate is too low for the bands, the recording shorter than a window, or too
            many channels are missing, flat, NaN or noisy.
        """
        cleaned = self.cleaned(signal, params)
        power, centres_s = band_power(cleaned.values * 1e6, cleaned.rate_hz, params)
        # 1e-6 µV² lies far below any EEG: it only keeps the logarithm of a flat channel finite.
        frames = np.log10(power + 1e-6).reshape(len(power), -1).astype(np.float32)
        frames[_overlaps(cleaned.missing, cleaned.rate_hz, params)] = np.nan
        names = tuple(
            f"{ch}_{band}_log10_uv2" for ch in params.channels for band in params.bands_hz
        )
        return Features(frames, signal.times_s[0] + centres_s, names, cleaned.quality)

    def cleaned(self, signal: Signal, params: EegParams) -> Cleaned:
        """Resample a recording to an even grid and clean it.

        Raises
        ------
        RecordingError
            See `features`.
        """
        rate_hz = _rate_hz(signal, params)
        values, received = to_regular_grid(signal, rate_hz)
        raw, bads, quality = _assess(values, received, signal.channels, rate_hz, params)
        missing = np.isnan(values).mean(axis=1) > params.max_bad_fraction
        return Cleaned(_clean(raw, bads, params), rate_hz, missing, quality)

    def corrupt(
        self,
        signal: Signal,
        kind: str,
        severity: int,
        params: EegParams,
        rng: np.random.Generator,
    ) -> Signal:
        """Corrupt the working channels as they leave the amplifier; missing samples stay so."""
        values = np.asarray(signal.values, np.float64)
        rate_hz = 1 / float(np.median(np.diff(signal.times_s[:1000])))
        missing = ~np.isfinite(values)
        whole = interpolated(values)
        alive = ~missing.all(axis=0) & (np.ptp(whole, axis=0) > FLAT_V)
        if not alive.any():
            return signal
        level = params.corruptions[kind][severity - 1]
        corrupted = whole.copy()
        corrupted[:, alive] = APPLY[kind](whole[:, alive], level, rate_hz, params.mains_hz, rng)
        corrupted[missing] = np.nan
        return replace(signal, values=corrupted)


def band_power(clean: Array, rate_hz: float, params: EegParams) -> tuple[Array, Array]:
    """Compute the power in each band within a sliding Hann window.

    Parameters
    ----------
    clean : ndarray of float64, shape (n_channels, n_samples)

    Returns
    -------
    power : ndarray of float64, shape (n_frames, n_channels, n_bands)
        In the square of the signal's unit.
    centres_s : ndarray of float64, shape (n_frames,)
        Seconds from the first sample.
    """
    size, starts = _frames(clean.shape[1], rate_hz, params)
    window = scipy.signal.windows.hann(size, sym=False)
    frames = np.lib.stride_tricks.sliding_window_view(clean, size, axis=1)[:, starts] * window
    spectrum = scipy.fft.rfft(frames, axis=2)
    # One-sided: every frequency but 0 stands for its negative one too.
    density = 2 * (spectrum.real**2 + spectrum.imag**2) / (size * np.sum(window**2))
    hz = scipy.fft.rfftfreq(size, 1 / rate_hz)
    inside = [(hz >= low) & (hz < high) for low, high in params.bands_hz.values()]
    power = np.stack([density[:, :, band].sum(axis=2) for band in inside], axis=2)
    centres_s: Array = np.asarray((starts + (size - 1) / 2) / rate_hz, np.float64)
    return power.transpose(1, 0, 2), centres_s


def bad_channels(values: Array, rate_hz: float, params: EegParams) -> dict[int, str]:
    """Detect channels without contact, flat, or outlying in amplitude or high-frequency noise.

    Channels that the file marks as bad have no values, and so count as without contact.

    Parameters
    ----------
    values : ndarray of float64, shape (n_samples, n_channels)
        In volts.

    Returns
    -------
    dict of int to str
        Reason by the channel's index.
    """
    lost = _lost(~np.isfinite(values), params)
    values = interpolated(values)
    bads = {int(i): "without contact or marked as bad" for i in np.flatnonzero(lost)}
    flat = flat_fraction(values, rate_hz) > 0.1
    bads |= {int(i): "flat" for i in np.flatnonzero(flat) if int(i) not in bads}
    good = np.array([i for i in range(values.shape[1]) if i not in bads], int)
    if len(good) < 4:  # too few to define what is usual
        return bads
    high_hz = max(high for _, high in params.bands_hz.values())
    bandpass = scipy.signal.butter(2, (1.0, high_hz), "bandpass", fs=rate_hz, output="sos")
    slow = scipy.signal.sosfiltfilt(bandpass, values[:, good], axis=0)
    # The second difference is a high-pass filter: it shows muscle and contact noise.
    for measure, values in (("amplitude", slow), ("noise", np.diff(slow, n=2, axis=0))):
        spread = np.log10(np.median(np.abs(values), axis=0) + 1e-12)
        centre = np.median(spread)
        scale = max(MAD_TO_SD * float(np.median(np.abs(spread - centre))), SPREAD_FLOOR)
        out = np.abs(spread - centre) / scale > params.bad_z
        bads |= {int(i): f"unusual {measure}" for i in good[out] if int(i) not in bads}
    return bads


def flat_fraction(values: Array, rate_hz: float) -> Array:
    """Return the share of seconds in which each channel is flat, shape (n_channels,)."""
    size = min(round(rate_hz), len(values))
    whole = values[: len(values) // size * size].reshape(-1, size, values.shape[1])
    flat: Array = (np.ptp(whole, axis=1) < FLAT_V).mean(axis=0)
    return flat


def _lost(missing: NDArray[np.bool_], params: EegParams) -> NDArray[np.bool_]:
    """Return the channels that lack too many samples, shape (n_channels,)."""
    # Samples that all channels lack were lost in transmission, not at an electrode.
    received = ~missing.all(axis=1)
    if not received.any():
        return np.ones(missing.shape[1], bool)
    lost: NDArray[np.bool_] = missing[received].mean(axis=0) > params.max_contact_loss
    return lost


def _overlaps(missing: NDArray[np.bool_], rate_hz: float, params: EegParams) -> NDArray[np.bool_]:
    """Return the frames of `band_power` that contain missing samples, shape (n_frames,)."""
    size, starts = _frames(len(missing), rate_hz, params)
    before = np.concatenate([[0], np.cumsum(missing)])
    over: NDArray[np.bool_] = before[starts + size] > before[starts]
    return over


def _frames(n_samples: int, rate_hz: float, params: EegParams) -> tuple[int, NDArray[np.intp]]:
    """Return the length of a frame and the start of every frame, in samples."""
    size = round(params.window_s * rate_hz)
    n_frames = 1 + int((n_samples - size) / (params.hop_s * rate_hz))
    return size, np.rint(np.arange(n_frames) * params.hop_s * rate_hz).astype(np.intp)


def _assess(
    values: Array,
    received: NDArray[np.bool_],
    channels: tuple[str, ...],
    rate_hz: float,
    params: EegParams,
) -> tuple[mne.io.RawArray, list[str], dict[str, float]]:
    """Return the channels with their positions, the names of bad ones, and the quality."""
    index = {name.casefold(): i for i, name in enumerate(channels)}
    missing = [name for name in params.channels if name.casefold() not in index]
    bads = bad_channels(values, rate_hz, params)
    reasons = {channels[i]: reason for i, reason in bads.items()}
    required = {name.casefold() for name in params.channels}
    lost = {name: "missing" for name in missing} | {
        name: reason for name, reason in reasons.items() if name.casefold() in required
    }
    if len(lost) > params.max_bad_fraction * len(params.channels):
        listed = ", ".join(f"{name} {reason}" for name, reason in lost.items())
        raise RecordingError(
            f"{len(lost)} of {len(params.channels)} channels are unusable: {listed}",
            "eeg",
            f"the recording has {', '.join(channels)}; select channels in "
            "params.modalities.eeg.channels",
        )
    info = mne.create_info([*channels, *missing], rate_hz, "eeg")
    data = np.zeros((len(info.ch_names), len(values)))
    whole = interpolated(values)
    data[: values.shape[1]] = (whole - whole.mean(axis=0)).T
    raw = mne.io.RawArray(data, info, verbose="error")
    raw.set_montage(_montage(), match_case=False, verbose="error")
    quality = _quality(values, received, rate_hz, len(lost) / len(params.channels), params)
    return raw, [*reasons, *missing], quality


def _clean(raw: mne.io.RawArray, bads: list[str], params: EegParams) -> Array:
    """Notch, band-pass, interpolate and re-reference; channels in the order of the parameters."""
    rate_hz = raw.info["sfreq"]
    high_hz = max(high for _, high in params.bands_hz.values())
    low_hz = min(low for low, _ in params.bands_hz.values())
    data = raw.get_data()
    # Harmonics up to twice the highest band: beyond, the band-pass removes them.
    for hum_hz in np.arange(params.mains_hz, min(rate_hz / 2, 2 * high_hz), params.mains_hz):
        b, a = scipy.signal.iirnotch(hum_hz, 25, rate_hz)
        data = scipy.signal.filtfilt(b, a, data)
    band = scipy.signal.butter(4, (low_hz / 2, high_hz), "bandpass", fs=rate_hz, output="sos")
    raw = mne.io.RawArray(scipy.signal.sosfiltfilt(band, data), raw.info, verbose="error")
    raw.info["bads"] = bads
    if bads:
        # A fixed origin: fitting a sphere needs digitised head points, which few files have.
        raw.interpolate_bads(reset_bads=True, origin=(0.0, 0.0, 0.0), verbose="error")
    raw.set_eeg_reference("average", verbose="error")
    order = {name.casefold(): i for i, name in enumerate(raw.ch_names)}
    clean: Array = raw.get_data()[[order[name.casefold()] for name in params.channels]]
    return clean


def _quality(
    values: Array,
    received: NDArray[np.bool_],
    rate_hz: float,
    bad_fraction: float,
    params: EegParams,
) -> dict[str, float]:
    """Return measures of quality; hum 20 dB above its neighbourhood starts to lower the total."""
    finite = ~_lost(np.isnan(values), params)
    kept = interpolated(values[:, finite])
    hum = _hum_ratio_db(kept, rate_hz, params.mains_hz)
    flat = float(flat_fraction(kept, rate_hz).mean()) if finite.any() else 1.0
    clipped = float(_clipped_fraction(kept).mean()) if finite.any() else 1.0
    return {
        "bad_channel_fraction": bad_fraction,
        "contact_bad_fraction": float(np.isnan(values[received]).mean()),
        "packet_losses": float(np.count_nonzero(received[:-1] & ~received[1:])),
        "packet_loss_fraction": float(np.mean(~received)),
        "flat_fraction": flat,
        "clipped_fraction": clipped,
        "line_noise_db": hum,
        "quality": float(
            (1 - bad_fraction) * received.mean() * (1 - clipped) * np.clip(1.5 - hum / 40, 0.2, 1)
        ),
    }


def _clipped_fraction(values: Array) -> Array:
    """Return the share of samples that stay at a channel's extremes, shape (n_channels,)."""
    # Two equal extremes in a row: an amplifier at its limit, rather than a peak.
    extreme = (values == values.max(axis=0)) | (values == values.min(axis=0))
    stays = extreme[1:] & extreme[:-1] & (np.ptp(values, axis=0) > FLAT_V)
    share: Array = stays.mean(axis=0)
    return share


def _hum_ratio_db(values: Array, rate_hz: float, mains_hz: float) -> float:
    """Return the power at the mains frequency relative to its neighbourhood, in dB.

    The median over channels; 0 if the rate is too low to contain the frequency.
    """
    if mains_hz + 5 > rate_hz / 2 or not values.shape[1]:
        return 0.0
    hz, density = scipy.signal.welch(values, rate_hz, nperseg=min(len(values), 512), axis=0)
    away = np.abs(hz - mains_hz)
    line = density[away <= 1.0].mean(axis=0)
    beside = np.median(density[(away > 2) & (away < 6)], axis=0)
    return float(np.median(10 * np.log10((line + 1e-20) / (beside + 1e-20))))


def _rate_hz(signal: Signal, params: EegParams) -> float:
    """Return the sampling rate. Raises RecordingError if it is too low for the bands."""
    rate_hz = sampling_rate(signal, "eeg", params.window_s + 1)
    high_hz = max(high for _, high in params.bands_hz.values())
    if rate_hz < 2.2 * high_hz:
        raise RecordingError(
            f"{rate_hz:g} samples a second are too few for bands up to {high_hz:g} Hz",
            "eeg",
            "lower params.modalities.eeg.bands_hz",
        )
    return rate_hz


@lru_cache(maxsize=1)
def _montage() -> Any:
    """Return the positions of the electrodes; `POSITIONS` lists their names."""
    return mne.channels.make_standard_montage("colin27_1020")


def _at_eeg_rate(
    recording: Recording, aliases: Mapping[str, str]
) -> tuple[Recording, dict[str, str]]:
    """Return a recording at the rate of its EEG channels, and the names of these channels.

    Returns
    -------
    recording : Recording
    names : dict of str to str
        The EEG channels of that rate: the file's name to the standard one.

    Raises
    ------
    RecordingError
        As `Eeg.probe`.
    """
    recording = recording.at_rate_of(list(_eeg_names(recording, aliases)))
    names = _eeg_names(recording, aliases)
    recording.without_unit(list(names), VOLTAGE)
    return recording, names


def _describe_names(
    every: Sequence[str], aliases: Mapping[str, str], names: Mapping[str, str]
) -> list[str]:
    """Describe the channels of an electrode that are not used: duplicates, and of other rates."""
    duplicates = duplicate_positions(every, aliases)
    chosen = {standard: name for name, standard in names.items()}
    slower = [name for name in standard_names(every, aliases) if name not in names]
    return [
        f"{', '.join(channels)} are one electrode: {chosen[standard]} is used"
        for standard, channels in duplicates.items()
        if standard in chosen
    ] + ([f"another sampling rate, not used: {', '.join(slower)}"] if slower else [])


def _describe_amplitude(values: Array, recording: Recording, names: Mapping[str, str]) -> list[str]:
    """Describe an impossible amplitude, and a unit that the file does not state."""
    amplitude_uv = eeg_amplitude_uv(values, recording.rate_hz)
    what = EEG_RMS_UV.violation(amplitude_uv)
    if what is not None:
        return [f"{what} ({_unit_remedy(recording, names)})"]
    unknown = recording.without_unit(list(names), VOLTAGE)
    if not unknown:
        return []
    listed = ", ".join(unknown[:4]) + (", …" if len(unknown) > 4 else "")
    low_hz, high_hz = EEG_BAND_HZ
    return [
        f"no unit is stated for {len(unknown)} channels ({listed}): taken as µV, "
        f"which gives a median RMS of {amplitude_uv:.3g} µV in {low_hz:g} to {high_hz:g} Hz"
    ]


def _describe_hum(values: Array, rate_hz: float) -> list[str]:
    """Describe hum at either mains frequency of the world that lowers the quality."""
    hums_db = {hz: _hum_ratio_db(values, rate_hz, hz) for hz in MAINS_HZ}
    return [
        f"mains hum at {hz:g} Hz, {hum_db:.0f} dB above its neighbourhood: it is removed if "
        f"modalities.eeg.mains_hz is {hz:g}"
        for hz, hum_db in hums_db.items()
        if hum_db >= HUM_DB
    ]


def _unit_remedy(recording: Recording, names: Mapping[str, str]) -> str:
    units = sorted({recording.unit(name) or "none" for name in names})
    return (
        f"check the unit of {', '.join(list(names)[:3])}, …: the header states {', '.join(units)}"
    )


def _eeg_names(recording: Recording, aliases: Mapping[str, str]) -> dict[str, str]:
    """Return the EEG channels: the file's name to the standard one. Raises RecordingError."""
    names = standard_names(recording.names, aliases)
    if not names:
        remedy = (
            "name the channels after the 10-20 system, such as Fp1 or Cz, or state the names in "
            "params.modalities.eeg.aliases"
        )
        if openbci_positions(recording.names):
            remedy += "; 'consilience use' writes those that are usual for OpenBCI"
        raise RecordingError(
            f"no channel has a 10-20 name; there are {', '.join(recording.names[:8])}",
            str(recording.path),
            remedy,
        )
    return names


def _without_contact(
    recording: Recording, names: Mapping[str, str], least: float
) -> dict[int, NDArray[np.bool_]]:
    """Return the samples without contact by the recorder's own measure, by number of channel."""
    by_name = {name.casefold(): name for name in recording.names}
    without: dict[int, NDArray[np.bool_]] = {}
    for number, name in enumerate(names):
        quality_channel = by_name.get(f"cq_{name}".casefold())
        if quality_channel is not None:
            contact = recording.values([quality_channel], 1.0)[:, 0]
            # Some files label contact quality with a unit of volts, and readers then scale it.
            scale = 1 / MICRO if np.abs(contact).max() < MILLI else 1.0
            lost = contact * scale < least - 0.5
            without |= {number: lost} if lost.any() else {}
    return without


modality = Eeg()
