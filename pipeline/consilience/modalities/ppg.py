"""PPG (photoplethysmogram, blood volume pulse): pulse rate, its variability and the pulses' size.

Systolic peaks are detected in 0.5 to 8 Hz by two moving averages (Elgendi et al. 2013). The
polarity of the signal does not matter: the side with the sharper peaks is used.
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import scipy.signal
import scipy.stats

from consilience.modalities.params.single_channel import SingleChannelParams
from consilience.modalities.single_channel import Array, FrameGrid, SingleChannel
from consilience.signals.heartbeats import beat_features, detect_beats, refined

PULSE_HZ = (0.5, 8.0)
PEAK_S, BEAT_S, OFFSET = 0.111, 0.667, 0.02


class Ppg(SingleChannel):
    """The PPG modality."""

    name: ClassVar[str] = "ppg"
    channel_pattern: ClassVar[re.Pattern[str]] = re.compile(r"ppg|plet|bvp|^ir$", re.IGNORECASE)
    feature_names: ClassVar[tuple[str, ...]] = ("pulse_rate_per_min", "rmssd_ms", "pulse_relative")
    min_rate_hz: ClassVar[float] = 20.0

    def measure(
        self, values: Array, rate_hz: float, frames: FrameGrid, params: SingleChannelParams
    ) -> tuple[Array, dict[str, float]]:
        """Compute pulse rate, RMSSD and size of the pulse; see `SingleChannel.measure`."""
        sos = scipy.signal.butter(3, PULSE_HZ, "bandpass", fs=rate_hz, output="sos")
        clean = scipy.signal.sosfiltfilt(sos, values)
        # Systolic peaks are sharper than the troughs between them, hence a positive skewness.
        clean = clean if scipy.stats.skew(clean) >= 0 else -clean
        beats = detect_beats(np.clip(clean, 0, None) ** 2, rate_hz, PEAK_S, BEAT_S, OFFSET)
        return beat_features(refined(clean, beats), clean[beats], rate_hz, frames)


modality = Ppg()
