"""GSR (electrodermal activity): the level of skin conductance and its responses over time.

Level and slope come from below 0.05 Hz, responses from above it (Boucsein et al. 2012). Recorders
differ in unit, people in scale: all is told in the recording's own spread about its own median.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from consilience.modalities.params.gsr import GsrParams
from consilience.modalities.single_channel import Array, Frames, Peripheral
from consilience.schema.params.plugins import ModalityParams

TONIC_HZ, SMOOTH_HZ = 0.05, 1.5
ROBUST_SIGMA = 1.4826  # standard deviations in a median absolute deviation
MIN_APART_S = 1.0  # of two responses
RISE_S = 10.0  # a response begins and peaks within


class Gsr(Peripheral):
    """The electrodermal modality."""

    name: ClassVar[str] = "gsr"
    Params: ClassVar[type[ModalityParams]] = GsrParams
    usual: ClassVar[re.Pattern[str]] = re.compile(r"gsr|eda|^scl?$|skin", re.IGNORECASE)
    names: ClassVar[tuple[str, ...]] = (
        "level",
        "slope_per_s",
        "responses_per_min",
        "response_rise",
    )
    least_rate_hz: ClassVar[float] = 3.5

    def measure(
        self, values: Array, rate_hz: float, frames: Frames, params: Any
    ) -> tuple[Array, dict[str, float]]:
        """Return level, slope, rate and size of responses; see `Peripheral.measure`."""
        if params.is_resistance:
            values = 1 / np.where(np.abs(values) > 0, values, np.inf)
        spread = ROBUST_SIGMA * float(np.median(np.abs(values - np.median(values))))
        scaled = (values - np.median(values)) / (spread or float(values.std()) or 1.0)
        smooth = scipy.signal.butter(2, SMOOTH_HZ, "lowpass", fs=rate_hz, output="sos")
        slow = scipy.signal.butter(2, TONIC_HZ, "lowpass", fs=rate_hz, output="sos")
        calm = scipy.signal.sosfiltfilt(smooth, scaled)
        tonic = scipy.signal.sosfiltfilt(slow, scaled)
        peaks, rises = _responses(calm - tonic, rate_hz, params.response)
        low, high = (
            np.searchsorted(peaks, at) for at in (frames.starts, frames.starts + frames.size)
        )
        sums = np.concatenate([[0.0], np.cumsum(rises)])
        count = high - low
        before = np.concatenate([[0.0], np.cumsum(tonic)])
        last = frames.starts + frames.size - 1
        found = np.column_stack(
            [
                (before[last + 1] - before[frames.starts]) / frames.size,
                (tonic[last] - tonic[frames.starts]) * rate_hz / frames.size,
                60 * count * rate_hz / frames.size,
                (sums[high] - sums[low]) / np.maximum(count, 1),
            ]
        )
        jitter = float(np.std(scaled - calm)) / max(float(np.std(calm)), 1e-12)
        measures = {"fast_noise_ratio": jitter, "quality": 1 / (1 + jitter)}
        return found, measures


def _responses(phasic: Array, rate_hz: float, least: float) -> tuple[NDArray[np.intp], Array]:
    """Return where responses peak, in samples, and how far they rise."""
    apart = max(round(MIN_APART_S * rate_hz), 1)
    peaks, about = scipy.signal.find_peaks(
        phasic, distance=apart, prominence=1e-9, wlen=max(round(RISE_S * rate_hz), 3)
    )
    rises = phasic[peaks] - phasic[about["left_bases"]]
    strong = rises >= least * max(float(rises.max(initial=0.0)), 1e-12)
    return peaks[strong].astype(np.intp), rises[strong]


modality = Gsr()
