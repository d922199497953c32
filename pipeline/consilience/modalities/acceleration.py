"""Acceleration of a wrist, chest or head: how much and how fast it moves, over time.

The size of the acceleration does not depend on how the sensor is turned. Its median is gravity,
by which it is divided, so that the unit of the recorder does not matter.
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import scipy.signal

from consilience.modalities.params.acceleration import AccelerationParams
from consilience.modalities.single_channel import Array, FrameGrid, Mask, SingleChannel
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.plateaus import plateaus

STILL_S = 60.0  # an arm that rests may stay within one step of the recorder for seconds
FAST_HZ = 3.0  # trembling and typing are faster, gestures slower
FLOOR_G = 1e-3  # below the resolution of recorders: keeps the logarithm finite


class Acceleration(SingleChannel):
    """The acceleration modality."""

    name: ClassVar[str] = "acceleration"
    Params: ClassVar[type[ModalityParams]] = AccelerationParams
    channel_pattern: ClassVar[re.Pattern[str]] = re.compile(
        r"(?<![A-Za-z])(?i:acc(el(eration|erometer)?)?)(?![a-z])|(?<=[a-z])A(CC|cc(el)?)(?![a-z])"
    )
    feature_names: ClassVar[tuple[str, ...]] = (
        "movement_log10_g",
        "fast_movement_log10_g",
        "size_g",
    )
    min_rate_hz: ClassVar[float] = 8.0
    axes: ClassVar[int] = 3

    def combined(self, values: Array) -> Array:
        """Return the size of the acceleration, shape (n_samples, 1), in the recorder's unit."""
        size: Array = np.linalg.norm(values, axis=1, keepdims=True)
        return size

    def flat(self, values: Array, rate_hz: float) -> Mask:
        """Return the plateaus that are too long even for an arm that rests."""
        return plateaus(values, rate_hz, STILL_S)

    def measure(
        self, values: Array, rate_hz: float, frames: FrameGrid, params: AccelerationParams
    ) -> tuple[Array, dict[str, float]]:
        """Compute movement, its fast share and the mean size; see `SingleChannel.measure`."""
        gravity = float(np.median(np.abs(values))) or 1.0
        size_g = values / gravity
        sos = scipy.signal.butter(2, FAST_HZ, "highpass", fs=rate_hz, output="sos")
        fast = frames.cut(scipy.signal.sosfiltfilt(sos, size_g))
        windows = frames.cut(size_g)
        features = np.column_stack(
            [
                np.log10(windows.std(axis=1) + FLOOR_G),
                np.log10(fast.std(axis=1) + FLOOR_G),
                windows.mean(axis=1),
            ]
        )
        # Away from gravity most of the time, the sensor is shaken or not an accelerometer.
        still = float(np.mean(np.abs(windows.mean(axis=1) - 1) < 0.2))
        return features, {"near_gravity_fraction": still, "quality": still}


modality = Acceleration()
