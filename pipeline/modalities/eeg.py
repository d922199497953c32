"""EEG: EDF and its relatives, cleaned by MNE-Python, as log band power per channel over time.

Everything happens inside one recording: bad channels are found and interpolated by spherical
splines (Perrin et al. 1989), the mains hum is notched out, the signal band-passed and referred
to the average. Band power is taken from a Hann window that slides over the cleaned signal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import mne
import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.errors import RecordingError
from pipeline.files import content_hash, text_hash
from pipeline.modalities._corrupt_eeg import CORRUPTIONS
from pipeline.modalities.base import (
    Corruption,
    Features,
    Header,
    ModalityParams,
    Severities,
    Signal,
    default_corruptions,
)
from pipeline.model.encoders import FunctionalsEncoder

Array = NDArray[np.float64]

SAMPLE_BYTES = {".edf": 2, ".bdf": 3}
TRIGGERS = re.compile(r"^(trig(ger)?|status|marker|sti.*|stim)$", re.IGNORECASE)
OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
MAX_RATE_HZ = 50_000.0
FLAT_V = 1e-8  # peak to peak within a second: below any amplifier's own noise
BANDS_HZ = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}
SPREAD_FLOOR = 0.1  # decades: channels of a good recording differ by as much


class EegParams(ModalityParams):
    """Parameters of the EEG."""

    channels: tuple[str, ...] = Field(
        (
            *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8"),
            *("T7", "C3", "Cz", "C4", "T8"),
            *("P7", "P3", "Pz", "P4", "P8", "O1", "O2"),
        ),
        min_length=1,
    )
    mains_hz: float = Field(50.0, gt=0)
    bands_hz: dict[str, tuple[float, float]] = Field(default=BANDS_HZ, min_length=1)
    window_s: float = Field(1.0, gt=0)
    hop_s: float = Field(0.25, gt=0)
    bad_z: float = Field(5.0, gt=0)
    max_bad_fraction: float = Field(0.5, gt=0, lt=1)
    KNOWN: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS
    corruptions: dict[str, Severities] = default_corruptions(CORRUPTIONS)

    @model_validator(mode="after")
    def _consistent(self) -> EegParams:
        if any(not 0 < low < high for low, high in self.bands_hz.values()):
            raise ValueError("each of bands_hz must be two rising frequencies above 0")
        if len({name.casefold() for name in self.channels}) < len(self.channels):
            raise ValueError("channels must not name one twice")
        known = {name.casefold() for name in _montage().ch_names}
        unknown = [name for name in self.channels if name.casefold() not in known]
        if unknown:
            raise ValueError(f"channels are no 10-20 names: {', '.join(unknown)}")
        return self


class Eeg:
    """The EEG modality."""

    name: ClassVar[str] = "eeg"
    suffixes: ClassVar[tuple[str, ...]] = (".edf", ".bdf", ".vhdr", ".fif")
    Params: ClassVar[type[ModalityParams]] = EegParams

    def probe(self, path: Path, item: str | None) -> Header:
        """Read the header, and check it against the size of the file.

        Raises
        ------
        RecordingError
            If the file is empty, truncated, unreadable, or has no EEG channel.
        """
        raw = _open(path)
        names = _eeg_names(raw, path)
        date = raw.info["meas_date"]
        return Header(
            rate_hz=float(raw.info["sfreq"]),
            n_channels=len(names),
            duration_s=float(raw.n_times / raw.info["sfreq"]),
            start_time=date.isoformat() if date else None,
        )

    def identity(self, path: Path, item: str | None) -> str:
        """Return the hash of the file, and of its companions if it is BrainVision's."""
        if path.suffix.lower() != ".vhdr":
            return content_hash(path)
        parts = (path, *(path.with_suffix(suffix) for suffix in (".eeg", ".vmrk")))
        return text_hash(*(content_hash(part) for part in parts if part.is_file()))

    def read(self, path: Path, item: str | None, params: EegParams) -> Signal:
        """Read every EEG channel, and the pulses on the trigger channel.

        Returns
        -------
        Signal
            ``values`` float64 in volts, shape (n_samples, n_channels).
        """
        raw = _open(path)
        names = _eeg_names(raw, path)
        try:
            values = raw.get_data(picks=list(names), verbose="error").T
            triggers = [name for name in raw.ch_names if TRIGGERS.match(name)]
            lines = [raw.get_data(picks=[name], verbose="error")[0] for name in triggers]
        except (ValueError, OSError, RuntimeError) as error:
            raise RecordingError(f"the samples are unreadable: {error}", str(path)) from None
        rate_hz = float(raw.info["sfreq"])
        edges = np.concatenate([np.empty(0), *map(rising_edges, lines)])
        pulses_s = np.unique(edges) / rate_hz
        times_s = np.arange(len(values)) / rate_hz
        return Signal(np.ascontiguousarray(values), times_s, tuple(names.values()), pulses_s)

    def features(self, signal: Signal, params: EegParams) -> Features:
        """Clean the recording and return log10 band power in µV², channel by channel.

        Raises
        ------
        RecordingError
            If the rate is too low for the bands, the recording shorter than a window, or too
            many channels are missing, flat, NaN or noisy.
        """
        rate_hz = _rate_hz(signal, params)
        raw, bads, quality = _assess(signal, rate_hz, params)
        clean = _clean(raw, bads, params)
        power, centres_s = band_power(clean * 1e6, rate_hz, params)
        values = np.log10(power + 1e-6).reshape(len(power), -1).astype(np.float32)
        names = tuple(
            f"{ch}_{band}_log10_uv2" for ch in params.channels for band in params.bands_hz
        )
        return Features(values, signal.times_s[0] + centres_s, names, quality)

    def corrupt(
        self,
        signal: Signal,
        kind: str,
        severity: int,
        params: EegParams,
        rng: np.random.Generator,
    ) -> Signal:
        """Spoil the working channels as they come out of the amplifier."""
        values = np.asarray(signal.values, np.float64)
        rate_hz = 1 / float(np.median(np.diff(signal.times_s[:1000])))
        alive = np.isfinite(values).all(axis=0) & (np.ptp(values, axis=0) > FLAT_V)
        if not alive.any():
            return signal
        level = params.corruptions[kind][severity - 1]
        spoilt = values.copy()
        spoilt[:, alive] = CORRUPTIONS[kind].apply(
            values[:, alive], level, rate_hz, params.mains_hz, rng
        )
        return replace(signal, values=spoilt)

    def frame_rate_hz(self, params: EegParams) -> float:
        """Return the frames a second."""
        return 1 / params.hop_s

    def encoder(self, n_features: int, width: int, dropout: float) -> FunctionalsEncoder:
        """Return functionals over time and a small network."""
        return FunctionalsEncoder(n_features, width, dropout)


def rising_edges(line: Array) -> NDArray[np.intp]:
    """Return the first samples at which a trigger line stands above half its height."""
    rest, top = np.median(line), np.max(line)
    high = line > (rest + top) / 2
    return np.flatnonzero(high[1:] & ~high[:-1]) + 1


def band_power(clean: Array, rate_hz: float, params: EegParams) -> tuple[Array, Array]:
    """Return the power in each band within a sliding Hann window.

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
    size = round(params.window_s * rate_hz)
    n_frames = 1 + int((clean.shape[1] - size) / (params.hop_s * rate_hz))
    starts = np.rint(np.arange(n_frames) * params.hop_s * rate_hz).astype(int)
    window = scipy.signal.windows.hann(size, sym=False)
    frames = np.lib.stride_tricks.sliding_window_view(clean, size, axis=1)[:, starts] * window
    spectrum = scipy.fft.rfft(frames, axis=2)
    density = 2 * (spectrum.real**2 + spectrum.imag**2) / (size * np.sum(window**2))
    hz = scipy.fft.rfftfreq(size, 1 / rate_hz)
    inside = [(hz >= low) & (hz < high) for low, high in params.bands_hz.values()]
    power = np.stack([density[:, :, band].sum(axis=2) for band in inside], axis=2)
    return power.transpose(1, 0, 2), (starts + (size - 1) / 2) / rate_hz


def bad_channels(values: Array, rate_hz: float, params: EegParams) -> dict[int, str]:
    """Find channels that are NaN, flat, or stand out in amplitude or high-frequency noise.

    Parameters
    ----------
    values : ndarray of float64, shape (n_samples, n_channels)
        In volts.

    Returns
    -------
    dict of int to str
        Reason by the channel's index.
    """
    bads = {int(i): "NaN" for i in np.flatnonzero(~np.isfinite(values).all(axis=0))}
    flat = flat_fraction(values, rate_hz) > 0.1
    bads |= {int(i): "flat" for i in np.flatnonzero(flat) if int(i) not in bads}
    good = np.array([i for i in range(values.shape[1]) if i not in bads], int)
    if len(good) < 4:
        return bads
    high_hz = max(high for _, high in params.bands_hz.values())
    bandpass = scipy.signal.butter(2, (1.0, high_hz), "bandpass", fs=rate_hz, output="sos")
    slow = scipy.signal.sosfiltfilt(bandpass, values[:, good], axis=0)
    for what, part in (("amplitude", slow), ("noise", np.diff(slow, n=2, axis=0))):
        spread = np.log10(np.median(np.abs(part), axis=0) + 1e-12)
        centre = np.median(spread)
        scale = max(1.4826 * float(np.median(np.abs(spread - centre))), SPREAD_FLOOR)
        out = np.abs(spread - centre) / scale > params.bad_z
        bads |= {int(i): f"unusual {what}" for i in good[out] if int(i) not in bads}
    return bads


def flat_fraction(values: Array, rate_hz: float) -> Array:
    """Return the share of seconds in which a channel does not move, shape (n_channels,)."""
    size = min(round(rate_hz), len(values))
    whole = values[: len(values) // size * size].reshape(-1, size, values.shape[1])
    moves: Array = (np.ptp(whole, axis=1) < FLAT_V).mean(axis=0)
    return moves


def _assess(
    signal: Signal, rate_hz: float, params: EegParams
) -> tuple[mne.io.RawArray, list[str], dict[str, float]]:
    """Judge the channels; return those of the montage, the bad ones' names, the quality."""
    values = np.asarray(signal.values, np.float64)
    index = {name.casefold(): i for i, name in enumerate(signal.channels)}
    missing = [name for name in params.channels if name.casefold() not in index]
    bads = bad_channels(values, rate_hz, params)
    reasons = {signal.channels[i]: reason for i, reason in bads.items()}
    wanted = {name.casefold() for name in params.channels}
    lost = {name: "missing" for name in missing} | {
        name: reason for name, reason in reasons.items() if name.casefold() in wanted
    }
    if len(lost) > params.max_bad_fraction * len(params.channels):
        told = ", ".join(f"{name} {reason}" for name, reason in lost.items())
        raise RecordingError(
            f"{len(lost)} of {len(params.channels)} channels are unusable: {told}",
            "eeg",
            f"the recording has {', '.join(signal.channels)}; params.modalities.eeg.channels "
            "says which are wanted",
        )
    info = mne.create_info([*signal.channels, *missing], rate_hz, "eeg")
    data = np.zeros((len(info.ch_names), len(values)))
    data[: values.shape[1]] = np.nan_to_num(values.T - np.nanmean(values, axis=0)[:, None])
    raw = mne.io.RawArray(data, info, verbose="error")
    raw.set_montage(_montage(), match_case=False, verbose="error")
    quality = _quality(values, rate_hz, len(lost) / len(params.channels), params)
    return raw, [*reasons, *missing], quality


def _clean(raw: mne.io.RawArray, bads: list[str], params: EegParams) -> Array:
    """Notch, band-pass, interpolate, average reference; channels as the parameters order them."""
    rate_hz = raw.info["sfreq"]
    high_hz = max(high for _, high in params.bands_hz.values())
    low_hz = min(low for low, _ in params.bands_hz.values())
    data = raw.get_data()
    for hum_hz in np.arange(params.mains_hz, min(rate_hz / 2, 2 * high_hz), params.mains_hz):
        b, a = scipy.signal.iirnotch(hum_hz, 25, rate_hz)
        data = scipy.signal.filtfilt(b, a, data)
    band = scipy.signal.butter(4, (low_hz / 2, high_hz), "bandpass", fs=rate_hz, output="sos")
    raw = mne.io.RawArray(scipy.signal.sosfiltfilt(band, data), raw.info, verbose="error")
    raw.info["bads"] = bads
    if bads:
        raw.interpolate_bads(reset_bads=True, origin=(0.0, 0.0, 0.0), verbose="error")
    raw.set_eeg_reference("average", verbose="error")
    order = {name.casefold(): i for i, name in enumerate(raw.ch_names)}
    clean: Array = raw.get_data()[[order[name.casefold()] for name in params.channels]]
    return clean


def _quality(
    values: Array, rate_hz: float, bad_fraction: float, params: EegParams
) -> dict[str, float]:
    finite = np.isfinite(values).all(axis=0)
    hum = _hum_ratio_db(values[:, finite], rate_hz, params.mains_hz)
    flat = float(flat_fraction(values, rate_hz)[finite].mean()) if finite.any() else 1.0
    clipped = float(_clipped_fraction(values[:, finite]).mean()) if finite.any() else 1.0
    return {
        "bad_channel_fraction": bad_fraction,
        "nan_fraction": float(np.isnan(values).mean()),
        "flat_fraction": flat,
        "clipped_fraction": clipped,
        "line_noise_db": hum,
        "quality": float((1 - bad_fraction) * (1 - clipped) * np.clip(1.5 - hum / 40, 0.2, 1)),
    }


def _clipped_fraction(values: Array) -> Array:
    """Return the share of samples that stay at a channel's own extremes, shape (n_channels,)."""
    extreme = (values == values.max(axis=0)) | (values == values.min(axis=0))
    stays = extreme[1:] & extreme[:-1] & (np.ptp(values, axis=0) > FLAT_V)
    share: Array = stays.mean(axis=0)
    return share


def _hum_ratio_db(values: Array, rate_hz: float, mains_hz: float) -> float:
    """Return how far the mains line stands above its neighbourhood, median over channels."""
    if mains_hz + 5 > rate_hz / 2 or not values.shape[1]:
        return 0.0
    hz, density = scipy.signal.welch(values, rate_hz, nperseg=min(len(values), 512), axis=0)
    away = np.abs(hz - mains_hz)
    line = density[away <= 1.0].mean(axis=0)
    beside = np.median(density[(away > 2) & (away < 6)], axis=0)
    return float(np.median(10 * np.log10((line + 1e-20) / (beside + 1e-20))))


def _rate_hz(signal: Signal, params: EegParams) -> float:
    n_samples = len(signal.times_s)
    if n_samples < 2:
        raise RecordingError(f"{n_samples} samples", "eeg", "record for longer")
    duration_s = float(signal.times_s[-1] - signal.times_s[0])
    rate_hz = (n_samples - 1) / duration_s
    if duration_s < params.window_s + 1:
        raise RecordingError(f"{duration_s:.2f} s are too short", "eeg", "record for longer")
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
    return mne.channels.make_standard_montage("colin27_1020")


@lru_cache(maxsize=1)
def _standard_names() -> dict[str, str]:
    names = {name.casefold(): name for name in _montage().ch_names}
    return names | {old.casefold(): new for old, new in OLD_NAMES.items()}


def _eeg_names(raw: Any, path: Path) -> dict[str, str]:
    """Return the EEG channels: the file's name to the standard 10-20 one."""
    known = _standard_names()
    names: dict[str, str] = {}
    for name in raw.ch_names:
        bare = re.sub(r"^EEG[ _-]+|[ _-](REF|LE|AVG|A1|A2|M1|M2)$|\.+$", "", name, flags=re.I)
        standard = known.get(bare.casefold())
        if standard and standard not in names.values():
            names[name] = standard
    if not names:
        raise RecordingError(
            f"no channel has a 10-20 name; there are {', '.join(raw.ch_names[:8])}",
            str(path),
            "name the channels after the 10-20 system, such as Fp1 or Cz",
        )
    return names


def _open(path: Path) -> Any:
    """Open a recording without reading its samples. Raises RecordingError."""
    if path.stat().st_size == 0:
        raise RecordingError("the file is empty", str(path), "copy it again from the recorder")
    if path.suffix.lower() in SAMPLE_BYTES:
        _check_size(path)
    try:
        raw = mne.io.read_raw(path, preload=False, verbose="error")
    except Exception as error:  # MNE's readers raise whatever the bytes lead them to
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise RecordingError(
            f"not a readable EEG file: {first}", str(path), "export it again"
        ) from None
    if raw.n_times == 0:
        raise RecordingError("there are no samples", str(path), "copy it again from the recorder")
    if not 1 <= raw.info["sfreq"] <= MAX_RATE_HZ:
        raise RecordingError(
            f"{raw.info['sfreq']:g} samples a second cannot be", str(path), "correct the header"
        )
    return raw


def _check_size(path: Path) -> None:
    """Check the header of an EDF or BDF file against the file's size."""
    with path.open("rb") as file:
        head = file.read(256)
        try:
            header_bytes, n_records = int(head[184:192]), int(head[236:244])
            n_channels = int(head[252:256])
            record_s = float(head[244:252])
            file.seek(256 + 216 * n_channels)
            per_record = sum(int(file.read(8)) for _ in range(n_channels))
        except ValueError:
            raise RecordingError(
                f"not a readable {path.suffix[1:].upper()} header", str(path), "export it again"
            ) from None
    if n_records == 0 or per_record == 0 or record_s <= 0:
        raise RecordingError("there are no samples", str(path), "copy it again from the recorder")
    expected = header_bytes + n_records * per_record * SAMPLE_BYTES[path.suffix.lower()]
    actual = path.stat().st_size
    if n_records > 0 and actual < expected:
        raise RecordingError(
            f"the file is truncated: {actual} of {expected} bytes",
            str(path),
            "copy it again from the recorder",
        )


modality = Eeg()
