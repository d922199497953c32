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

from consilience.core.errors import RecordingError
from consilience.modalities.params.gsr import GsrParams
from consilience.modalities.single_channel import Array, FrameGrid, Mask, SingleChannel
from consilience.readers.units import CONDUCTANCE, MICRO, RESISTANCE, resolve_unit
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.plateaus import drift_time_s, plateaus
from consilience.signals.robust import MAD_TO_SD

POSSIBLE_US = 0.01, 100.0  # skin conductance of a person, in µS
DRIFT_PER_S = 3e-5  # of the level: the slowest drift of a person at rest
PLATEAU_S = 1.0, 60.0  # bounds of the duration from which on a plateau is a fault
TONIC_HZ, SMOOTH_HZ = 0.05, 1.5  # upper edges of the slow level, and of responses
MIN_APART_S = 1.0  # least time between two responses
RISE_S = 10.0  # a response begins and peaks within


class Gsr(SingleChannel):
    """The electrodermal modality."""

    name: ClassVar[str] = "gsr"
    Params: ClassVar[type[ModalityParams]] = GsrParams
    channel_pattern: ClassVar[re.Pattern[str]] = re.compile(
        r"(?<![A-Za-z])(?i:gsr|eda)(?![a-z])|(?<=[a-z])(GSR|EDA)(?![a-z])|^(?i:scl?)$"
        r"|(?<![A-Za-z])(?i:skin|electrodermal|galvanic)|(?i:conductance)"
    )
    feature_names: ClassVar[tuple[str, ...]] = (
        "level",
        "slope_per_s",
        "responses_per_min",
        "response_rise",
    )
    min_rate_hz: ClassVar[float] = 3.5

    def physical(self, values: Array, unit: str, params: GsrParams) -> Array:
        """Return the conductance in µS, if the unit is known; NaN where it is impossible.

        Raises
        ------
        RecordingError
            If the header states a conductance, and the parameters a resistance.
        """
        resolved = resolve_unit(unit)
        quantity = resolved.quantity if resolved else ""
        if quantity == CONDUCTANCE and params.is_resistance:
            raise RecordingError(
                f"the header states '{unit}', the parameters a resistance",
                self.name,
                "set params.modalities.gsr.is_resistance to false",
            )
        if quantity not in (CONDUCTANCE, RESISTANCE) or params.is_resistance:
            return values
        if quantity == RESISTANCE:
            values = 1 / np.where(values > 0, values, np.nan)
        conductance_us = values / MICRO
        low, high = POSSIBLE_US
        possible = (conductance_us >= low) & (conductance_us <= high)
        return np.where(possible, conductance_us, np.nan)

    def flat(self, values: Array, rate_hz: float) -> Mask:
        """Return the plateaus that are too long for a person at the recorder's resolution.

        Skin conductance drifts so slowly that it stays at one value of a coarse recorder for
        seconds.
        """
        limit_s = drift_time_s(values, DRIFT_PER_S)
        return plateaus(values, rate_hz, float(np.clip(limit_s, *PLATEAU_S)))

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
