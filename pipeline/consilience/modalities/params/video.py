"""Parameters of the face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from consilience.schema.params.plugins import (
    Corruption,
    ModalityParams,
    Severities,
    default_corruptions,
)

CORRUPTIONS: Mapping[str, Corruption] = {
    "noise": Corruption(
        "standard deviation in grey levels of 255", (4.0, 8.0, 16.0, 30.0, 55.0), (0, 255)
    ),
    "blur": Corruption(
        "radius as a part of the picture's width", (0.01, 0.02, 0.03, 0.045, 0.065), (0, 0.3)
    ),
    "darkness": Corruption("share of the light left", (0.6, 0.35, 0.2, 0.12, 0.07), (0, 1)),
    "occlusion": Corruption(
        "diameter of the hand as a part of the face's", (0.2, 0.35, 0.5, 0.7, 0.95), (0, 3)
    ),
    "eyewear": Corruption("opacity", (0.2, 0.4, 0.6, 0.8, 1.0), (0, 1)),
    "face_mask": Corruption("opacity", (0.2, 0.4, 0.6, 0.8, 1.0), (0, 1)),
    "frame_drop": Corruption("share of frames lost", (0.1, 0.25, 0.45, 0.65, 0.85), (0, 0.99)),
    "codec": Corruption("JPEG quality, 1 to 100", (20.0, 12.0, 7.0, 4.0, 2.0), (1, 100)),
}


class VideoParams(ModalityParams):
    """Parameters of the face."""

    frame_rate_hz: float = Field(25.0, gt=0, description="of a window; recordings keep their own")
    width: int = Field(240, ge=64, le=320, description="pixels of the picture worked on")
    detection_every: int = Field(12, ge=1, description="frames from one detection to the next")
    confidence_floor: float = Field(
        0.5, gt=0, lt=1, description="least confidence of a face; above 0.5: no cascade"
    )
    flash_grey: float = Field(15.0, gt=0, description="least rise of a flash, of 255")
    flash_ratio: float = Field(10.0, gt=1, description="least rise over a patch's usual change")
    flash_max_s: float = Field(0.5, gt=0, description="a flash is over by then")
    CORRUPTION_KINDS: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS
    corruptions: dict[str, Severities] = default_corruptions(CORRUPTIONS)


Params = VideoParams
