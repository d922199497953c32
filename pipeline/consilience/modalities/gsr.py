"""GSR (electrodermal activity): the level of skin conductance and its responses over time.

Level and slope come from below 0.05 Hz, responses from above it (Boucsein et al. 2012). Recorders
differ in unit and people in scale, so the signal is centred on the recording's median and divided
by its own spread.
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from consilience.modalities.params.gsr import GsrParams
from consilience.modalities.single_channel import Array, FrameGrid, SingleChannel
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.robust import MAD_TO_SD

TONIC_HZ, SMOOTH_HZ = 0.05, 1.5  # upper edges of the slow level, and of responses
MIN_APART_S = 1.0  # least time between two responses
RISE_S = 10.0  # a response begins and peaks within


class Gsr(SingleChannel):
    """The electrodermal modality."""

    name: ClassVar[str] = "gsr"
    Params: ClassVar[type[ModalityParams]] = GsrParams
    channel_pattern: ClassVar[re.Pattern[str]] = re.compile(r"gsr|eda|^scl?$|skin", re.IGNORECASE)
    feature_names: ClassVar[tuple[str, ...]] = (
        "level",
        "slope_per_s",
        "responses_per_min",
        "response_rise",
    )
    min_rate_hz: ClassVar[float] = 3.5

    def measure(
        self, values: Array, rate_hz: float, frames: FrameGrid, params: GsrParams
    ) -> tuple[Array, dict[str, float]]:
        """Compute level, slope, rate and size of responses; see `SingleChannel.measure`."""
        if params.is_resistance:
            values = 1 / np.where(np.abs(values) > 0, values, np.inf)
        scaled = _scaled(values)
        smooth = scipy.signal.butter(2, SMOOTH_HZ, "lowpass", fs=rate_hz, output="sos")
        slow = scipy.signal.butter(2, TONIC_HZ, "lowpass", fs=rate_hz, output="sos")
        calm = scipy.signal.sosfiltfilt(smooth, scaled)
        tonic = scipy.signal.sosfiltfilt(slow, scaled)
        peaks, rises = _responses(calm - tonic, rate_hz, params.response)
        low, high = (
            np.searchsorted(peaks, at) for at in (frames.starts, frames.starts + frames.size)
        )
        count = high - low
        # Differences of cumulative sums give the sum over every frame without a loop.
        rise_sums = np.concatenate([[0.0], np.cumsum(rises)])
        tonic_sums = np.concatenate([[0.0], np.cumsum(tonic)])
        last = frames.starts + frames.size - 1
        features = np.column_stack(
            [
                (tonic_sums[last + 1] - tonic_sums[frames.starts]) / frames.size,
                (tonic[last] - tonic[frames.starts]) * rate_hz / frames.size,
                60 * count * rate_hz / frames.size,
                (rise_sums[high] - rise_sums[low]) / np.maximum(count, 1),
            ]
        )
        # Skin conductance has nothing above 1.5 Hz: what is there is noise of the recorder.
        jitter = float(np.std(scaled - calm)) / max(float(np.std(calm)), 1e-12)
        return features, {"fast_noise_ratio": jitter, "quality": 1 / (1 + jitter)}


def _scaled(values: Array) -> Array:
    """Return the signal in robust standard deviations about its median."""
    centred = values - np.median(values)
    spread = MAD_TO_SD * float(np.median(np.abs(centred)))
    # A signal that rests at its median most of the time has a median deviation of 0.
    scaled: Array = centred / (spread or float(values.std()) or 1.0)
    return scaled


def _responses(phasic: Array, rate_hz: float, least: float) -> tuple[NDArray[np.intp], Array]:
    """Return the samples at which responses peak, and how far each rises.

    Parameters
    ----------
    phasic : ndarray of float64, shape (n_samples,)
        Signal without its slow level.
    rate_hz : float
    least : float
        Least rise of a response, relative to the largest of the recording.
    """
    apart = max(round(MIN_APART_S * rate_hz), 1)
    peaks, about = scipy.signal.find_peaks(
        phasic, distance=apart, prominence=1e-9, wlen=max(round(RISE_S * rate_hz), 3)
    )
    rises = phasic[peaks] - phasic[about["left_bases"]]
    strong = rises >= least * max(float(rises.max(initial=0.0)), 1e-12)
    return peaks[strong].astype(np.intp), rises[strong]


modality = Gsr()
