"""Action units of brows and eyes: those that remain visible with a mask over nose and mouth.

The split follows the muscles, as in the Facial Action Coding System (Ekman and Friesen 1978). AU06
raises the cheek, but by the ring muscle of the eye, and belongs here. AU09 wrinkles the nose, but
by the muscle that lifts the upper lip, and belongs to the lower face. Every unit that is not listed
here is of the lower face, so the two sets are disjoint and complete.
"""

from __future__ import annotations

from typing import ClassVar

from consilience.modalities.face_au import FaceAu, number_of

UNITS = frozenset({1, 2, 4, 5, 6, 7, 43, 45, 46})


class UpperFaceAu(FaceAu):
    """The action units of the upper face."""

    name: ClassVar[str] = "upper_face_au"

    def includes(self, unit: str) -> bool:
        """Return whether a column is a unit of brows and eyes."""
        return number_of(unit) in UNITS


modality = UpperFaceAu()
