"""EEG: recordings of many formats, cleaned, as log band power per channel over time.

All cleaning is within one recording. A causal band-pass, which also removes mains hum, lowers the
sampling rate. Bad channels are detected and interpolated by spherical splines (Perrin et al.
1989), and the average is the reference. Band power is computed in a Hann window that slides over
the signal. Cleaning is linear, and is done stretch by stretch.

Lost data stay missing: samples that a packet counter or the time stamps show to be lost leave a
gap in time, an electrode without contact or marked as bad is NaN, and frames over either are NaN.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.scratch import FRAMES_BYTES, blocks, empty, full, joined, release
from consilience.core.seeds import generator
from consilience.core.wording import counted
from consilience.modalities.base import Modality
from consilience.modalities.params.eeg import EegParams
from consilience.readers.recording import SUFFIXES, Recording, identity, open_recording
from consilience.readers.sample_times import describe_gaps, packets_of, sample_times
from consilience.readers.units import VOLTAGE
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.decimation import Source, decimator
from consilience.signals.eeg_corruptions import ADDED, APPLIED, rms_above_1_hz
from consilience.signals.eeg_quality import FLAT_V, Measures, measures, outliers, spans
from consilience.signals.interpolation import cleaning_matrix
from consilience.signals.montage import (
    duplicate_positions,
    openbci_positions,
    standard_names,
)
from consilience.signals.plausibility import EEG_BAND_HZ, EEG_RMS_UV, eeg_amplitude_uv
from consilience.signals.regular_grid import (
    EvenSignal,
    even_signal,
    interpolated,
    sampling_rate,
)
from consilience.signals.spectrogram import Mixture, Spectrogram, mixed, weighted_products
from consilience.signals.types import Features, Header, Signal

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

MICRO, MILLI = 1e-6, 1e-3
REPORTED_SHARE = 0.01  # findings that concern less of the time are not reported
MAINS_HZ = (50.0, 60.0)
HUM_DB = 20.0  # from which hum lowers the quality
MAX_FLAT = 0.1  # share of seconds from which a channel is flat


@dataclass(frozen=True)
class Cleaned:
    """A cleaned recording, at the rate of the decimator.

    Attributes
    ----------
    values : ndarray of float32, shape (n_channels, n_samples)
        In volts, channels in the order of the parameters.
    rate_hz : float
    missing : ndarray of bool, shape (n_samples,)
        Samples at which too many channels have no value.
    quality : dict of str to float
    """

    values: NDArray[np.float32]
    rate_hz: float
    missing: NDArray[np.bool_]
    quality: dict[str, float]


@dataclass(frozen=True)
class Prepared:
    """A recording on a regular time grid, before its bad channels are known.

    Attributes
    ----------
    channels : tuple of str
        As recorded.
    rate_hz : float
        As recorded.
    even : EvenSignal
    spectrogram : Spectrogram
    absent : ndarray of bool, shape (n_frames,)
        Frames over samples at which too many channels have no value.
    """

    channels: tuple[str, ...]
    rate_hz: float
    even: EvenSignal
    spectrogram: Spectrogram
    absent: NDArray[np.bool_]


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
        return self.stream_signal(open_recording(path, item), params)

    def stream_signal(self, recording: Recording, params: EegParams) -> Signal:
        """Return the EEG channels of an open recording, and the pulses on its trigger channel.

        Raises
        ------
        RecordingError
            As `read`.
        """
        recording, names = _at_eeg_rate(recording, params.aliases)
        values = recording.values(list(names), MICRO)
        if len(values):
            what = EEG_RMS_UV.violation(eeg_amplitude_uv(values, recording.rate_hz))
            if what is not None:
                raise RecordingError(what, str(recording.path), _unit_remedy(recording, names))
        bads = [name in recording.bads for name in names]
        without_contact = _without_contact(recording, names, params.min_contact)
        if any(bads) or without_contact:
            for rows in blocks(values):
                values[rows][:, bads] = np.nan
                for channel, lost in without_contact.items():
                    values[rows][lost[rows], channel] = np.nan
        kept, times_s, pulses_s = sample_times(recording, params.sync_code)
        if not kept.all():
            values, times_s = (
                joined(array[rows][kept[rows]] for rows in blocks(array))
                for array in (values, times_s)
            )
        return Signal(
            values,
            times_s,
            tuple(names.values()),
            pulses_s,
            recording.anchors_s(),
        )

    def least_stream_hz(self, params: EegParams) -> float:
        """Return the least rate in Hz from which the bands can be computed."""
        return _least_hz(params)

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
        findings += _describe_measures(values, recording.rate_hz, names)
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
        prepared = prepare(signal, params)
        matrix, quality = _assess(prepared, params)
        spectrogram, weights = prepared.spectrogram, _band_weights(prepared.spectrogram.hz, params)
        names = tuple(
            f"{ch}_{band}_log10_uv2" for ch in params.channels for band in params.bands_hz
        )
        frames: Array32 = empty((len(spectrogram.starts), len(names)), np.float32, FRAMES_BYTES)
        for group in spectrogram.groups:
            clean = mixed(matrix, spectrogram.spectra(group))
            frames[group] = _log_power(weighted_products(clean, clean, weights))
            frames[group][prepared.absent[group]] = np.nan
            release(frames)
        times_s = signal.times_s[0] + spectrogram.centres_s
        return Features(frames, times_s, names, quality)

    def cleaned(self, signal: Signal, params: EegParams) -> Cleaned:
        """Resample a recording to an even grid and clean it.

        Raises
        ------
        RecordingError
            See `features`.
        """
        prepared = prepare(signal, params)
        matrix, quality = _assess(prepared, params)
        even, slow = prepared.even, prepared.spectrogram.decimator
        n_samples = even.n_samples // slow.factor
        absent = even.without_most(params.max_bad_fraction) // slow.factor
        return Cleaned(
            matrix @ slow.output(even.source, even.n_samples, 0, n_samples),
            slow.rate_hz,
            np.isin(np.arange(n_samples), absent),
            quality,
        )

    def corrupt(
        self,
        signal: Signal,
        kind: str,
        severity: int,
        params: EegParams,
        rng: np.random.Generator,
    ) -> Signal:
        """Corrupt the working channels as they leave the amplifier; missing samples stay so.

        What is added depends on the generator alone; severities scale it.
        """
        values = np.asarray(signal.values, np.float64)
        missing = ~np.isfinite(values)
        whole = interpolated(values)
        alive = ~missing.all(axis=0) & (np.ptp(whole, axis=0) > FLAT_V)
        if not alive.any():
            return signal
        level, rate_hz = params.corruptions[kind][severity - 1], _nominal_hz(signal)
        if kind in ADDED:
            gain = ADDED[kind].gain(level) * rms_above_1_hz(values, rate_hz)
            whole += gain * _added(signal, kind, alive, rng)(0, len(whole)).T
        else:
            whole[:, alive] = APPLIED[kind](whole[:, alive], level, rate_hz, params.mains_hz, rng)
        whole[missing] = np.nan
        return replace(signal, values=whole)

    def corrupted_features(
        self, signal: Signal, clean: Features, kind: str, params: EegParams, recording: str
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the feature frames of a corruption; see `Modality.corrupted_features`.

        What is added to the EEG is drawn, filtered and transformed once for all severities: the
        power of ``x + g n`` is ``|x|² + 2 g Re(x n*) + g² |n|²``.
        """
        if kind not in ADDED:
            yield from super().corrupted_features(signal, clean, kind, params, recording)
            return
        prepared = prepare(signal, params)
        alive = spans(prepared.even.source, prepared.even.n_samples) > FLAT_V
        rng = generator(kind, recording)
        added = _added_spectrogram(signal, prepared, kind, alive, rng)
        rms = rms_above_1_hz(signal.values, _nominal_hz(signal))
        gains = [ADDED[kind].gain(level) * rms for level in params.corruptions[kind]]
        levels = _levels_of_mixtures(prepared, added, gains)
        matrices = _matrices(prepared, levels, alive, params)
        weights = _band_weights(added.hz, params)
        frames: Array32 = full((len(gains), *clean.values.shape), np.nan, np.float32, FRAMES_BYTES)
        for group in added.groups:
            x, n = prepared.spectrogram.spectra(group), added.spectra(group)
            for matrix, severities in matrices:
                mixture = Mixture.of(mixed(matrix, x), mixed(matrix, n), weights)
                for severity in severities:
                    frames[severity, group] = _log_power(mixture.power(gains[severity]))
                    frames[severity, group][prepared.absent[group]] = np.nan
            release(frames)
        for values in frames:
            yield values
            release(frames)


def prepare(signal: Signal, params: EegParams) -> Prepared:
    """Place a recording on a regular grid, measure its channels and set up its spectrogram.

    Raises
    ------
    RecordingError
        If the rate is too low for the bands, or the recording too short or too incomplete.
    """
    rate_hz = _rate_hz(signal, params)
    even = even_signal(signal, rate_hz)
    slow = decimator(rate_hz, params.band_hz, params.mains_hz, params.least_rate_hz)
    spectrogram = Spectrogram(
        even.source, even.n_samples, slow, params.band_hz, params.window_s, params.hop_s
    )
    return Prepared(
        signal.channels,
        rate_hz,
        even,
        spectrogram,
        spectrogram.overlaps(even.without_most(params.max_bad_fraction)),
    )


def bad_channels(
    prepared: Prepared, levels: Array32, flat: Array, params: EegParams
) -> dict[int, str]:
    """Detect channels without contact, flat, or outlying in amplitude or high-frequency noise.

    Channels that the file marks as bad have no values, and so count as without contact.

    Parameters
    ----------
    prepared : Prepared
    levels : ndarray of float32, shape (n_channels, 2)
        Of the channel, and of its third derivative; see `channel_levels`.
    flat : ndarray of float64, shape (n_channels,)
        Share of seconds in which the channel is flat.
    params : EegParams

    Returns
    -------
    dict of int to str
        Reason by the channel's index.
    """
    lost = np.flatnonzero(prepared.even.lost_share > params.max_contact_loss)
    bads = {int(i): "without contact or marked as bad" for i in lost}
    bads |= {int(i): "flat" for i in np.flatnonzero(flat > MAX_FLAT) if int(i) not in bads}
    good = np.array([i for i in range(len(flat)) if i not in bads], int)
    if len(good) < 4:  # too few to define what is usual
        return bads
    amplitude, noise = 0.5 * np.log10(levels[good] + 1e-24).T
    for measure, spread in (("amplitude", amplitude), ("noise", noise)):
        out = good[outliers(spread, params.bad_z)]
        bads |= {int(i): f"unusual {measure}" for i in out if int(i) not in bads}
    return bads


def channel_levels(prepared: Prepared) -> Array32:
    """Return the median power of every channel, and of its third derivative in arbitrary units.

    Returns
    -------
    ndarray of float32, shape (n_channels, 2)
        Over the frames that are not absent. The third derivative shows muscle and contact noise.
    """
    spectrogram, weights = prepared.spectrogram, _noise_weights(prepared.spectrogram.hz)
    power = _power_frames(1, spectrogram)
    for group in spectrogram.groups:
        x = spectrogram.spectra(group)
        power[0, :, group] = weighted_products(x, x, weights)
        release(power)
    return np.stack([_median(channel, prepared.absent) for channel in power[0]])


def _levels_of_mixtures(
    prepared: Prepared, added: Spectrogram, gains: Sequence[float]
) -> list[Array32]:
    """Return `channel_levels` of a recording to which a signal is added at some gains."""
    spectrogram, weights = prepared.spectrogram, _noise_weights(added.hz)
    power = _power_frames(3, spectrogram)
    for group in spectrogram.groups:
        x, n = spectrogram.spectra(group), added.spectra(group)
        power[:, :, group] = Mixture.of(x, n, weights)
        release(power)
    levels = []
    for channel in range(power.shape[1]):
        mixture = Mixture(*power[:, channel])
        levels.append([_median(mixture.power(gain), prepared.absent) for gain in gains])
        release(power)
    return list(np.array(levels, np.float32).transpose(1, 0, 2))


def _power_frames(n_products: int, spectrogram: Spectrogram) -> Array32:
    """Return an array for two weighted products of each channel and frame."""
    n_channels = spectrogram.source(0, 1).shape[0]
    shape = (n_products, n_channels, len(spectrogram.starts), 2)
    frames: Array32 = empty(shape, np.float32, FRAMES_BYTES)
    return frames


def _median(power: Array32, absent: NDArray[np.bool_]) -> Array32:
    """Return the median over the frames, shape (n_frames, 2), that are not absent."""
    seen = power if absent.all() else power[~absent]
    return np.asarray(np.median(seen, axis=0), np.float32)


def _noise_weights(hz: Array) -> Array32:
    weights = np.stack([np.ones_like(hz), (hz / hz[-1]) ** 6], axis=1)
    return np.tile(weights, (2, 1)).astype(np.float32)


def _assess(prepared: Prepared, params: EegParams) -> tuple[Array32, dict[str, float]]:
    """Return the matrix that interpolates and re-references the channels, and the quality.

    Raises
    ------
    RecordingError
        If too many channels are unusable.
    """
    even = prepared.even
    measured = measures(even.source, even.n_samples, prepared.rate_hz, params.mains_hz)
    bads = bad_channels(prepared, channel_levels(prepared), measured.flat, params)
    bad_fraction = _bad_fraction(prepared.channels, bads, params)
    matrix = cleaning_matrix(
        prepared.channels, tuple(prepared.channels[i] for i in sorted(bads)), params.channels
    )
    return matrix, _quality(even, measured, bad_fraction, params)


def _bad_fraction(channels: tuple[str, ...], bads: dict[int, str], params: EegParams) -> float:
    """Return the share of required channels that are bad. Raises RecordingError if too many are."""
    index = {name.casefold() for name in channels}
    lost = {name: "missing" for name in params.channels if name.casefold() not in index}
    required = {name.casefold() for name in params.channels}
    lost |= {
        channels[i]: reason for i, reason in bads.items() if channels[i].casefold() in required
    }
    if len(lost) > params.max_bad_fraction * len(params.channels):
        listed = ", ".join(f"{name} {reason}" for name, reason in lost.items())
        raise RecordingError(
            f"{len(lost)} of {len(params.channels)} channels are unusable: {listed}",
            "eeg",
            f"the recording has {', '.join(channels)}; select channels in "
            "params.modalities.eeg.channels",
        )
    return len(lost) / len(params.channels)


def _matrices(
    prepared: Prepared, levels: Sequence[Array32], alive: NDArray[np.bool_], params: EegParams
) -> list[tuple[Array32, list[int]]]:
    """Return the cleaning matrices of some mixtures, and the numbers of those that each serves.

    Parameters
    ----------
    prepared : Prepared
    levels : sequence of ndarray of float32
        `channel_levels` of each mixture.
    alive : ndarray of bool, shape (n_channels,)
        Channels that are not flat, whatever they were.
    params : EegParams
    """
    numbers: dict[tuple[str, ...], list[int]] = {}
    for number, of_mixture in enumerate(levels):
        bads = bad_channels(prepared, of_mixture, np.where(alive, 0.0, 1.0), params)
        try:
            _bad_fraction(prepared.channels, bads, params)
        except RecordingError:
            continue  # nothing usable is left
        names = tuple(prepared.channels[i] for i in sorted(bads))
        numbers.setdefault(names, []).append(number)
    return [
        (cleaning_matrix(prepared.channels, names, params.channels), members)
        for names, members in numbers.items()
    ]


def _added(signal: Signal, kind: str, alive: NDArray[np.bool_], rng: np.random.Generator) -> Source:
    """Return a source of what is added to the working channels, at unit level."""
    n_samples = len(signal.values)
    drawn = ADDED[kind].source(n_samples, int(alive.sum()), _nominal_hz(signal), rng)

    def source(start: int, stop: int) -> Array32:
        values = np.zeros((len(alive), stop - start), np.float32)
        values[alive] = drawn(start, stop)
        return values

    return drawn if alive.all() else source


def _added_spectrogram(
    signal: Signal,
    prepared: Prepared,
    kind: str,
    alive: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Spectrogram:
    """Return the spectrogram of what is added, missing where the recording is."""
    source = _added(signal, kind, alive, rng)
    if not prepared.even.complete:
        values = joined(
            np.where(np.isfinite(signal.values[rows]), source(rows.start, rows.stop).T, np.nan)
            for rows in blocks(signal.values)
        )
        source = even_signal(replace(signal, values=values), prepared.rate_hz).source
    return prepared.spectrogram.of(source)


def _band_weights(hz: Array, params: EegParams) -> Array32:
    """Return the matrix that sums a spectrum's squares over bands, shape (2 * n_hz, n_bands)."""
    inside = [(hz >= low) & (hz < high) for low, high in params.bands_hz.values()]
    return np.tile(np.stack(inside, axis=1), (2, 1)).astype(np.float32)


def _log_power(power: Array32) -> Array32:
    """Return log10 of powers in V², (n_channels, n_frames, n_bands), as frames in µV²."""
    # 1e-6 µV² lies far below any EEG: it only keeps the logarithm of a flat channel finite.
    by_frame = np.log10(1e12 * power.astype(float) + 1e-6).transpose(1, 0, 2)
    return by_frame.reshape(len(by_frame), -1).astype(np.float32)


def _quality(
    even: EvenSignal, measured: Measures, bad_fraction: float, params: EegParams
) -> dict[str, float]:
    """Return measures of quality; hum 20 dB above its neighbourhood starts to lower the total."""
    kept = even.lost_share <= params.max_contact_loss
    hum = float(np.median(measured.hum_db[kept])) if kept.any() else 0.0
    flat, clipped = (
        float(share[kept].mean()) if kept.any() else 1.0
        for share in (measured.flat, measured.clipped)
    )
    return {
        "bad_channel_fraction": bad_fraction,
        "contact_bad_fraction": even.contact_bad_fraction,
        "packet_losses": float(even.n_losses),
        "packet_loss_fraction": (even.n_samples - even.n_received) / even.n_samples,
        "flat_fraction": flat,
        "clipped_fraction": clipped,
        "line_noise_db": hum,
        "quality": float(
            (1 - bad_fraction)
            * (even.n_received / even.n_samples)
            * (1 - clipped)
            * np.clip(1.5 - hum / 40, 0.2, 1)
        ),
    }


def _nominal_hz(signal: Signal) -> float:
    return 1 / float(np.median(np.diff(signal.times_s[:1000])))


def _rate_hz(signal: Signal, params: EegParams) -> float:
    """Return the sampling rate. Raises RecordingError if it is too low for the bands."""
    rate_hz = sampling_rate(signal, "eeg", params.window_s + 1)
    _, high_hz = params.band_hz
    if rate_hz < _least_hz(params):
        raise RecordingError(
            f"{rate_hz:g} samples a second are too few for bands up to {high_hz:g} Hz",
            "eeg",
            "lower params.modalities.eeg.bands_hz",
        )
    return rate_hz


def _least_hz(params: EegParams) -> float:
    """Return the sampling rate that the highest band needs."""
    return 2.2 * params.band_hz[1]


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
        f"no unit is stated for {counted(len(unknown), 'channel')} ({listed}): taken as µV, "
        f"which gives a median RMS of {amplitude_uv:.3g} µV in {low_hz:g} to {high_hz:g} Hz"
    ]


def _describe_measures(values: Array, rate_hz: float, names: Mapping[str, str]) -> list[str]:
    """Describe hum that lowers the quality, at either mains frequency, and flat channels.

    ``values`` are in volts, shape (n_samples, n_channels).
    """
    offset = np.nan_to_num(values[0])

    def source(start: int, stop: int) -> Array32:
        stretch = np.asarray(np.nan_to_num(values[start:stop]) - offset, np.float32)
        release(values)
        return np.ascontiguousarray(stretch.T)

    measured = {hz: measures(source, len(values), rate_hz, hz) for hz in MAINS_HZ}
    hums_db = {hz: float(np.median(each.hum_db)) for hz, each in measured.items()}
    return [
        f"mains hum at {hz:g} Hz, {hum_db:.0f} dB above its neighbourhood: it is removed if "
        f"modalities.eeg.mains_hz is {hz:g}"
        for hz, hum_db in hums_db.items()
        if hum_db >= HUM_DB
    ] + [
        f"{name} is flat {100 * share:.0f} % of the time"
        for name, share in zip(names.values(), measured[MAINS_HZ[0]].flat, strict=True)
        if share >= REPORTED_SHARE
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
