"""Base classes of the parameters that a modality or a method declares.

This module and its subclasses' modules are imported by every process that reads ``params.yaml``:
they import pydantic and NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from consilience.schema.constants import SEVERITIES

Severities = tuple[float, float, float, float, float]


class Corruption(NamedTuple):
    """One kind of sensor failure at five severities.

    The function that applies it belongs to the sensor, so that this table stays light.

    Attributes
    ----------
    meaning : str
        The quantity that the severities are values of, with its unit.
    severities : tuple of 5 floats
        Default values, from hardly noticeable to hardly usable.
    bounds : tuple of 2 floats
        Least and largest value that is accepted.
    """

    meaning: str
    severities: Severities
    bounds: tuple[float, float]


def default_corruptions(kinds: Mapping[str, Corruption]) -> Any:
    """Return the pydantic field ``corruptions``: noise at its default severities.

    The field's description lists all `kinds`, because it becomes a comment in ``params.yaml``.
    """
    return Field(
        {"noise": kinds["noise"].severities},
        description=f"severities 1 to 5 of each kind; known: {', '.join(kinds)}",
    )


class ModalityParams(BaseModel):
    """Parameters of one modality; an unknown key is an error.

    Attributes
    ----------
    frame_rate_hz : float or None
        Rate at which windows sample the features; None for one frame per window. Every subclass
        must define it, as a field or as a property.
    ENCODER : str
        Name of the registered encoder of its windows; see `consilience.encoders`.
    INPUTS : str
        Name of the registered function from windows to the encoder's input; see
        `consilience.inputs`.
    CORRUPTION_KINDS : mapping of str to Corruption
        The kinds of corruption that the modality offers.
    corruptions : dict of str to tuple of 5 floats
        Kinds to compute besides the clean features, each with the values of severities 1 to 5.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ENCODER: ClassVar[str] = "functionals"
    INPUTS: ClassVar[str] = "functionals"
    CORRUPTION_KINDS: ClassVar[Mapping[str, Corruption]] = {}
    corruptions: dict[str, Severities] = {}

    if TYPE_CHECKING:  # a property here would hide a subclass's field of this name

        @property
        def frame_rate_hz(self) -> float | None: ...  # noqa: D102 - documented above

    @field_validator("corruptions")
    @classmethod
    def _rising_severity(cls, corruptions: dict[str, Severities]) -> dict[str, Severities]:
        for kind, values in corruptions.items():
            if kind not in cls.CORRUPTION_KINDS:
                raise ValueError(f"unknown kind '{kind}'; known: {', '.join(cls.CORRUPTION_KINDS)}")
            meaning, defaults, (low, high) = cls.CORRUPTION_KINDS[kind]
            if not all(low <= value <= high for value in values):
                raise ValueError(f"{kind}: {meaning} must lie in {low:g} to {high:g}")
            # Severity may rise with the value (a share lost) or against it (a ratio in dB): the
            # defaults define which.
            if not (np.diff(values) * np.sign(defaults[-1] - defaults[0]) > 0).all():
                raise ValueError(
                    f"{kind}: {meaning} must go from mild to hard, as {list(defaults)} does"
                )
        return corruptions

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the corrupted variants: ``<kind>_<severity>``."""
        return tuple(f"{kind}_{level}" for kind in self.corruptions for level in SEVERITIES)

    @property
    def sound_rate_hz(self) -> float | None:
        """Rate in Hz at which the modality reads sound; None if it does not."""
        return None

    @property
    def lookahead_s(self) -> float | None:
        """Seconds of samples after a frame's time on which the frame depends; None if unknown.

        If it is known, a window has only the frames that depend on no sample after its end, which
        are the same while a recording is being received.
        """
        return None

    @property
    def encoding(self) -> dict[str, Any]:
        """Keyword arguments of the encoder besides sizes, such as the network's name."""
        return {}


DEFAULT_METHOD = "coherence_transfer"  # its results are the headline of tables and pages


class MethodParams(BaseModel):
    """Parameters of one method; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TransferParams(MethodParams):
    """Parameters of a method that learns from estimated labels: `Batch.label_estimate`.

    The training computes the estimates for every method whose parameters are of this class; see
    `consilience.training.soft_targets`.
    """

    transfer: float = Field(
        1.0, ge=0, description="weight of an unlabelled window, whose target is estimated; 0: none"
    )
    rounds: int = Field(4, ge=1, description="of estimating targets; later ones train on earlier")
    weighting: Literal["coherence", "none"] = Field(
        "coherence", description="of a sensor by the coherence of its recording; none: equally"
    )
    mismatch_prior: float = Field(
        0.05, gt=0, lt=1, description="probability that a recording has a mismatched sensor"
    )
    align_classes: bool = Field(
        True, description="estimated targets of unlabelled subjects have the labels' frequencies"
    )
