"""PPG (photoplethysmogram, blood volume pulse): pulse rate, its variability and the pulses' size.

Systolic peaks are detected in 0.5 to 8 Hz by two moving averages (Elgendi et al. 2013). The
polarity of the signal does not matter: the side with the sharper peaks in most of the time is used.
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import scipy.signal
import scipy.stats

from consilience.modalities.params.single_channel import SingleChannelParams
from consilience.modalities.single_channel import Array, FrameGrid, SingleChannel
from consilience.readers.base import Recording
from consilience.signals.heartbeats import beat_features, detect_beats, refined
from consilience.signals.regular_grid import interpolated

PULSE_HZ = (0.5, 8.0)
DARK = re.compile(r"ambient|dark|lux", re.IGNORECASE)
CHOICE_S = 10.0  # frames in which the pulses of several channels are compared
SAME_PER_MIN = 3.0
BLOCK_S = 10.0  # in which the polarity is estimated
PEAK_S, BEAT_S, OFFSET = 0.111, 0.667, 0.02


class Ppg(SingleChannel):
    """The PPG modality."""

    name: ClassVar[str] = "ppg"
    channel_pattern: ClassVar[re.Pattern[str]] = re.compile(
        r"(?<![A-Za-z])(?i:ppg|plet|bvp)|(?<=[a-z])(PPG|BVP)(?![a-z])|^(?i:ir)$"
    )
    feature_names: ClassVar[tuple[str, ...]] = ("pulse_rate_per_min", "rmssd_ms", "pulse_relative")
    min_rate_hz: ClassVar[float] = 20.0

    def choose(self, recording: Recording, candidates: list[str]) -> str:
        """Return the first of the channels whose pulses agree.

        Ambient light flickers as regularly as a heart, but two channels of one finger agree. A
        channel with beats is used alone only if no other has any.
        """
        lit = [name for name in candidates if not DARK.search(name)] or candidates
        at_rate = recording.at_rate_of(lit)
        lit = [name for name in lit if name in at_rate.names]
        values = interpolated(at_rate.values(lit, 1.0))
        rates = [self._pulse_rates(column, at_rate.rate_hz) for column in values.T]
        beating = [
            index
            for index, rate in enumerate(rates)
            if np.isfinite(rate).sum() >= len(rate) / 2 > 0
        ]
        partners = {
            index: sum(_agree(rates[index], rates[other]) for other in beating if other != index)
            for index in beating
        }
        most = max(partners.values(), default=0)
        best = [index for index in beating if partners[index] == most]
        if len(best) == 1 or (best and all(_agree(rates[best[0]], rates[i]) for i in best)):
            return lit[best[0]]
        described = [f"{name} ({_rate_text(rate)})" for name, rate in zip(lit, rates, strict=True)]
        raise self._ambiguous(recording, described)

    def _pulse_rates(self, values: Array, rate_hz: float) -> Array:
        """Return the pulse rate of every frame of a channel, NaN where it is not plausible."""
        frames = FrameGrid.over(len(values), rate_hz, CHOICE_S, CHOICE_S)
        if rate_hz < self.min_rate_hz or not len(frames.starts):
            return np.empty(0)
        measured, _ = self.measure(values, rate_hz, frames, SingleChannelParams())
        return measured[:, 0]

    def measure(
        self, values: Array, rate_hz: float, frames: FrameGrid, params: SingleChannelParams
    ) -> tuple[Array, dict[str, float]]:
        """Compute pulse rate, RMSSD and size of the pulse; see `SingleChannel.measure`."""
        sos = scipy.signal.butter(3, PULSE_HZ, "bandpass", fs=rate_hz, output="sos")
        clean = scipy.signal.sosfiltfilt(sos, values)
        clean = clean if _skewness(clean, rate_hz) >= 0 else -clean
        beats = detect_beats(np.clip(clean, 0, None) ** 2, rate_hz, PEAK_S, BEAT_S, OFFSET)
        return beat_features(refined(clean, beats), clean[beats], rate_hz, frames)


def _skewness(values: Array, rate_hz: float) -> float:
    """Return the median skewness of blocks: positive, as systolic peaks are sharper than troughs.

    Over the whole signal a few jolts of the arm would decide.
    """
    size = max(min(round(BLOCK_S * rate_hz), len(values)), 1)
    blocks = values[: len(values) // size * size].reshape(-1, size)
    with np.errstate(invalid="ignore"):  # of a flat block, which has none
        return float(np.median(np.nan_to_num(scipy.stats.skew(blocks, axis=1))))


def _agree(first: Array, second: Array) -> bool:
    """Return whether two channels have the same pulse rate in most frames."""
    if not len(first):
        return False
    return bool(np.mean(np.abs(first - second) < SAME_PER_MIN) > 0.5)


def _rate_text(rates: Array) -> str:
    finite = rates[np.isfinite(rates)]
    return f"{np.median(finite):.0f} a minute" if len(finite) else "no pulse"


modality = Ppg()
