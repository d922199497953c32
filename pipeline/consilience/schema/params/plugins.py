"""Base classes of the parameters that a modality or a method declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from consilience.schema.tables import SEVERITIES

Severities = tuple[float, float, float, float, float]


class Corruption(NamedTuple):
    """One way in which a sensor fails, at five severities.

    Attributes
    ----------
    meaning : str
        What its numbers are, with the unit.
    severities : tuple of 5 floats
        Sensible numbers, from hardly noticeable to hardly usable.
    bounds : tuple of 2 floats
        Least and largest number it can be given.
    apply : callable
        Spoils samples; its arguments are its modality's own affair.
    """

    meaning: str
    severities: Severities
    bounds: tuple[float, float]
    apply: Callable[..., NDArray[Any]]


def default_corruptions(table: Mapping[str, Corruption]) -> Any:
    """Return the field `corruptions` of a modality: noise alone, the description naming all."""
    return Field(
        {"noise": table["noise"].severities},
        description=f"severities 1 to 5 of each kind; known: {', '.join(table)}",
    )


class ModalityParams(BaseModel):
    """Parameters of one modality; a key the modality does not know is an error.

    Attributes
    ----------
    KNOWN : mapping of str to Corruption
        The kinds of corruption there are.
    corruptions : dict of str to tuple of 5 floats
        Those to compute beside the clean features, with what severities 1 to 5 mean.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    KNOWN: ClassVar[Mapping[str, Corruption]] = {}
    corruptions: dict[str, Severities] = {}

    @field_validator("corruptions")
    @classmethod
    def _from_mild_to_hard(cls, corruptions: dict[str, Severities]) -> dict[str, Severities]:
        for kind, numbers in corruptions.items():
            if kind not in cls.KNOWN:
                raise ValueError(f"no kind '{kind}'; known: {', '.join(cls.KNOWN)}")
            meaning, sensible, (low, high), _ = cls.KNOWN[kind]
            if not all(low <= number <= high for number in numbers):
                raise ValueError(f"{kind}: {meaning} must lie in {low:g} to {high:g}")
            if not (np.diff(numbers) * np.sign(sensible[-1] - sensible[0]) > 0).all():
                raise ValueError(
                    f"{kind}: {meaning} must go from mild to hard, as {list(sensible)} does"
                )
        return corruptions

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the corrupted variants: ``<kind>_<severity>``."""
        return tuple(f"{kind}_{level}" for kind in self.corruptions for level in SEVERITIES)

    @property
    def encoding(self) -> dict[str, Any]:
        """What `Modality.encoder` is told beside sizes: which network, how large."""
        return {}


class MethodParams(BaseModel):
    """Parameters of one method; a key the method does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
