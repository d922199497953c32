"""Action units of brows and eyes: the face as a mask over nose and mouth leaves it.

The split is that of the Facial Action Coding System (Ekman and Friesen 1978), by the muscle at
work: AU06 raises the cheek, but by the ring muscle of the eye, and belongs here; AU09 wrinkles
the nose, but by the muscle that lifts the upper lip, and belongs to the lower face. Every unit
not listed here is the lower face's, so the two are disjoint and leave none out.
"""

from __future__ import annotations

from typing import ClassVar

from consilience.modalities.face_au import FaceAu, number_of

UNITS = frozenset({1, 2, 4, 5, 6, 7, 43, 45, 46})


class UpperFaceAu(FaceAu):
    """The action units of the upper face."""

    name: ClassVar[str] = "upper_face_au"

    def takes(self, unit: str) -> bool:
        """Say whether a column is one of brows and eyes."""
        return number_of(unit) in UNITS


modality = UpperFaceAu()
