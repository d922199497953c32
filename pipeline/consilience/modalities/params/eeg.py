"""Parameters of the EEG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, model_validator

from consilience.schema.params.plugins import (
    Corruption,
    ModalityParams,
    Severities,
    default_corruptions,
)
from consilience.signals.montage import POSITIONS

BANDS_HZ = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}
STAMPS_S = 0.01  # by which the time of a sample may be off
CORRUPTIONS: Mapping[str, Corruption] = {
    "noise": Corruption("signal-to-noise ratio in dB", (20.0, 10.0, 5.0, 0.0, -5.0), (-60, 60)),
    "electrode_dropout": Corruption(
        "share of channels lost", (0.05, 0.15, 0.25, 0.35, 0.45), (0, 1)
    ),
    "mains_hum": Corruption(
        "signal-to-hum ratio in dB", (-12.0, -18.0, -24.0, -30.0, -38.0), (-80, 60)
    ),
    "muscle": Corruption(
        "signal-to-muscle ratio in dB", (10.0, 2.0, -5.0, -12.0, -20.0), (-60, 60)
    ),
    "drift": Corruption(
        "amplitude in root mean squares of the EEG", (1.0, 3.0, 8.0, 20.0, 50.0), (0, 1000)
    ),
}


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
    aliases: dict[str, str] = Field(
        default={}, description="10-20 name of a channel by the name that the files have"
    )
    mains_hz: float = Field(50.0, gt=0)
    bands_hz: dict[str, tuple[float, float]] = Field(default=BANDS_HZ, min_length=1)
    window_s: float = Field(1.0, gt=0)
    hop_s: float = Field(0.25, gt=0)
    bad_z: float = Field(5.0, gt=0)
    max_bad_fraction: float = Field(0.5, gt=0, lt=1)
    min_contact: float = Field(
        3.0, description="least contact quality, where the recorder reports it: Emotiv's 0 to 4"
    )
    max_contact_loss: float = Field(
        0.25, gt=0, le=1, description="share without contact above which a channel is bad"
    )
    sync_code: int | None = Field(
        None, ge=1, le=65535, description="of synchronisation markers; empty: the most frequent"
    )
    CORRUPTION_KINDS: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS
    corruptions: dict[str, Severities] = default_corruptions(CORRUPTIONS)

    @model_validator(mode="after")
    def _consistent(self) -> EegParams:
        if any(not 0 < low < high for low, high in self.bands_hz.values()):
            raise ValueError("each of bands_hz must be two rising frequencies above 0")
        if len({name.casefold() for name in self.channels}) < len(self.channels):
            raise ValueError("channels must not contain a duplicate name")
        positions = {name.casefold() for name in POSITIONS}
        for field, names in (("channels", self.channels), ("aliases", self.aliases.values())):
            unknown = [name for name in names if name.casefold() not in positions]
            if unknown:
                raise ValueError(f"{field} must be 10-20 names, not {', '.join(unknown)}")
        return self

    @property
    def band_hz(self) -> tuple[float, float]:
        """Lowest and highest frequency of the bands."""
        return min(low for low, _ in self.bands_hz.values()), max(
            high for _, high in self.bands_hz.values()
        )

    @property
    def least_rate_hz(self) -> float:
        """Sampling rate to which recordings are decimated, or somewhat above."""
        return 2.5 * self.band_hz[1]

    @property
    def frame_rate_hz(self) -> float:
        """Feature frames per second."""
        return 1 / self.hop_s

    @property
    def lookahead_s(self) -> float | None:
        """Half of the window over which power is computed."""
        return self.window_s / 2 + STAMPS_S


Params = EegParams
