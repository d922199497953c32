"""PPG (photoplethysmogram, blood volume pulse): pulse rate, its variability and the pulses' size.

Systolic peaks are found in 0.5 to 8 Hz by two moving averages (Elgendi et al. 2013). Which way the
signal runs does not matter: whichever side of it has the sharper peaks is taken.
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import scipy.signal
import scipy.stats

from consilience.modalities.params.single_channel import SingleChannelParams
from consilience.modalities.single_channel import (
    Array,
    Frames,
    Peripheral,
    beat_features,
    beats,
)

PULSE_HZ = (0.5, 8.0)
PEAK_S, BEAT_S, OFFSET = 0.111, 0.667, 0.02


class Ppg(Peripheral):
    """The PPG modality."""

    name: ClassVar[str] = "ppg"
    usual: ClassVar[re.Pattern[str]] = re.compile(r"ppg|plet|bvp|^ir$", re.IGNORECASE)
    names: ClassVar[tuple[str, ...]] = ("pulse_rate_per_min", "rmssd_ms", "pulse_relative")
    least_rate_hz: ClassVar[float] = 20.0

    def measure(
        self, values: Array, rate_hz: float, frames: Frames, params: SingleChannelParams
    ) -> tuple[Array, dict[str, float]]:
        """Return pulse rate, RMSSD and size of the pulse; see `Peripheral.measure`."""
        sos = scipy.signal.butter(3, PULSE_HZ, "bandpass", fs=rate_hz, output="sos")
        clean = scipy.signal.sosfiltfilt(sos, values)
        clean = clean if scipy.stats.skew(clean) >= 0 else -clean
        places = beats(np.clip(clean, 0, None) ** 2, rate_hz, PEAK_S, BEAT_S, OFFSET)
        return beat_features(places, clean[places], rate_hz, frames)


modality = Ppg()
