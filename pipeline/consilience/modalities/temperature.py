"""Skin temperature: its level, its drift and how unsteady it is, over time.

Vessels of the skin narrow under stress, and the fingers and the wrist cool within a minute
(Vinkers et al. 2013). The level is absolute; `training.baseline` removes what differs by person.
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import scipy.signal

from consilience.core.errors import RecordingError
from consilience.modalities.params.temperature import TemperatureParams
from consilience.modalities.single_channel import Array, FrameGrid, Mask, SingleChannel
from consilience.readers.units import resolve_unit
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.plateaus import plateaus

POSSIBLE_C = 10.0, 45.0  # of a person's skin
FAHRENHEIT = re.compile(r"°?\s*f|(deg(rees)?\W*)?f(ahrenheit)?", re.IGNORECASE)
STUCK_S = 120.0  # skin may stay within one step of a recorder, 0.02 °C, for a minute
SLOW_HZ = 0.1  # upper edge of what skin can follow
FLOOR_C = 1e-3  # below the resolution of recorders: keeps the logarithm finite
JITTER_C = 0.1  # beyond the slow signal, at which the quality is a half


class Temperature(SingleChannel):
    """The skin temperature modality."""

    name: ClassVar[str] = "temperature"
    Params: ClassVar[type[ModalityParams]] = TemperatureParams
    channel_pattern: ClassVar[re.Pattern[str]] = re.compile(
        r"(?<![A-Za-z])(?i:(skin[ _-]?)?temp(erature)?|skt)(?![a-z])|(?<=[a-z])(Temp|TEMP)(?![a-z])"
    )
    feature_names: ClassVar[tuple[str, ...]] = (
        "level_c",
        "slope_c_per_min",
        "unsteadiness_log10_c",
    )
    min_rate_hz: ClassVar[float] = 1.0

    def physical(self, values: Array, unit: str, params: TemperatureParams) -> Array:
        """Return degrees Celsius, NaN where skin cannot have them.

        Raises
        ------
        RecordingError
            If the header states the unit of another quantity.
        """
        if resolve_unit(unit) is not None:
            raise RecordingError(
                f"the header states '{unit}', not a temperature", self.name, "export it in °C"
            )
        if FAHRENHEIT.fullmatch(unit.strip()):
            values = (values - 32) / 1.8
        low, high = POSSIBLE_C
        return np.where((values >= low) & (values <= high), values, np.nan)

    def flat(self, values: Array, rate_hz: float) -> Mask:
        """Return the plateaus that are too long for skin."""
        return plateaus(values, rate_hz, STUCK_S)

    def measure(
        self, values: Array, rate_hz: float, frames: FrameGrid, params: TemperatureParams
    ) -> tuple[Array, dict[str, float]]:
        """Compute level, slope and unsteadiness; see `SingleChannel.measure`."""
        calm = values
        if rate_hz > 2.2 * SLOW_HZ:
            slow = scipy.signal.butter(2, SLOW_HZ, "lowpass", fs=rate_hz, output="sos")
            calm = scipy.signal.sosfiltfilt(slow, values)
        windows = frames.cut(calm)
        time_s = (np.arange(frames.size) - (frames.size - 1) / 2) / rate_hz
        slope = windows @ time_s / max(float(time_s @ time_s), 1e-12)
        level = windows.mean(axis=1)
        rest = windows - level[:, None] - slope[:, None] * time_s
        unsteadiness = np.log10(rest.std(axis=1) + FLOOR_C)
        features = np.column_stack([level, 60 * slope, unsteadiness])
        jitter_c = float(np.std(values - calm))
        return features, {"jitter_c": jitter_c, "quality": 1 / (1 + jitter_c / JITTER_C)}


modality = Temperature()
