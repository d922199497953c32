"""ECG: heart rate, its variability and the size of the R waves over time.

R waves are detected in 8 to 20 Hz by two moving averages (Elgendi, Jonkman & De Boer 2010).
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import scipy.signal

from consilience.modalities.params.single_channel import SingleChannelParams
from consilience.modalities.single_channel import Array, FrameGrid, SingleChannel
from consilience.readers.base import Recording
from consilience.signals.heartbeats import beat_features, detect_beats, refined

QRS_HZ = (8.0, 20.0)
ANY_ELECTRODE = re.compile(r"exg", re.IGNORECASE)  # of BioSemi and OpenBCI, EEG included
PEAK_S, BEAT_S, OFFSET = 0.097, 0.611, 0.08


class Ecg(SingleChannel):
    """The ECG modality."""

    name: ClassVar[str] = "ecg"
    channel_pattern: ClassVar[re.Pattern[str]] = re.compile(
        r"(?<![A-Za-z])(?i:ecg|ekg)|(?<=[a-z])E[CK]G(?![a-z])|^(?i:exg)"
    )
    feature_names: ClassVar[tuple[str, ...]] = (
        "heart_rate_per_min",
        "rmssd_ms",
        "r_wave_relative",
    )
    min_rate_hz: ClassVar[float] = 100.0

    def choose(self, recording: Recording, candidates: list[str]) -> str:
        """Return the first channel that is named after the ECG, and not after any electrode."""
        named = [name for name in candidates if not ANY_ELECTRODE.match(name)]
        if not named:
            raise self._ambiguous(recording, candidates)
        return super().choose(recording, named)

    def measure(
        self, values: Array, rate_hz: float, frames: FrameGrid, params: SingleChannelParams
    ) -> tuple[Array, dict[str, float]]:
        """Compute heart rate, RMSSD and size of the R wave; see `SingleChannel.measure`."""
        sos = scipy.signal.butter(3, QRS_HZ, "bandpass", fs=rate_hz, output="sos")
        clean = scipy.signal.sosfiltfilt(sos, values)
        # Squared, so that the polarity of the lead does not matter.
        beats = detect_beats(clean**2, rate_hz, PEAK_S, BEAT_S, OFFSET)
        sizes = np.abs(clean)
        return beat_features(refined(sizes, beats), sizes[beats], rate_hz, frames)


modality = Ecg()
