"""Action units of nose, mouth and jaw: those that remain visible with dark glasses.

All units that are not of the upper face; see `consilience.modalities.upper_face_au`.
"""

from __future__ import annotations

from typing import ClassVar

from consilience.modalities.face_au import FaceAu, number_of
from consilience.modalities.upper_face_au import UNITS


class LowerFaceAu(FaceAu):
    """The action units of the lower face."""

    name: ClassVar[str] = "lower_face_au"

    def includes(self, unit: str) -> bool:
        """Return whether a column is a unit of nose, mouth and jaw."""
        return number_of(unit) not in UNITS


modality = LowerFaceAu()
