"""Parameters of the facial action units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from consilience.schema.params.plugins import (
    Corruption,
    ModalityParams,
    Severities,
    default_corruptions,
)

CORRUPTIONS: Mapping[str, Corruption] = {
    "noise": Corruption(
        "standard deviation as a fraction of a unit's range",
        (0.03, 0.06, 0.12, 0.2, 0.35),
        (0, 10),
    ),
    "occlusion": Corruption("share of units hidden", (0.15, 0.3, 0.45, 0.6, 0.8), (0, 1)),
    "offset": Corruption("fraction of a unit's range", (0.02, 0.05, 0.1, 0.2, 0.35), (0, 1)),
    "damping": Corruption("factor", (0.8, 0.6, 0.4, 0.2, 0.05), (0, 1)),
    "spurious": Corruption("share of units firing", (0.05, 0.1, 0.2, 0.35, 0.6), (0, 1)),
}


class FaceAuParams(ModalityParams):
    """Parameters of the action units."""

    INPUTS: ClassVar[str] = "square_roots"
    CORRUPTION_KINDS: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS
    corruptions: dict[str, Severities] = default_corruptions(CORRUPTIONS)

    @property
    def frame_rate_hz(self) -> None:
        """None: a window has one frame."""
        return None


Params = FaceAuParams
