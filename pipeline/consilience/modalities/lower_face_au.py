"""Action units of nose, mouth and jaw: the face as dark glasses leave it.

All that are not the upper face's; `consilience.modalities.upper_face_au` says why.
"""

from __future__ import annotations

from typing import ClassVar

from consilience.modalities.face_au import FaceAu, number_of
from consilience.modalities.upper_face_au import UNITS


class LowerFaceAu(FaceAu):
    """The action units of the lower face."""

    name: ClassVar[str] = "lower_face_au"

    def takes(self, unit: str) -> bool:
        """Say whether a column is one of nose, mouth and jaw."""
        return number_of(unit) not in UNITS


modality = LowerFaceAu()
