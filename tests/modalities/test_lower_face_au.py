from __future__ import annotations

import pytest

from consilience.modalities.lower_face_au import modality as lower_face
from consilience.modalities.upper_face_au import modality as upper_face


def test_upper_and_lower_face_share_all_units_among_them() -> None:
    units = [f"AU{number:02d}_{kind}" for number in range(1, 47) for kind in "rc"]
    upper, lower = ({u for u in units if face.includes(u)} for face in (upper_face, lower_face))
    assert upper | lower == set(units)
    assert not upper & lower
    assert {"AU04_r", "AU06_c", "AU45_r"} <= upper
    assert {"AU09_r", "AU12_c", "AU28_c"} <= lower


def test_the_label_of_a_table_belongs_to_neither_half() -> None:
    for face in (upper_face, lower_face):
        with pytest.raises(ValueError, match="not an action unit"):
            face.includes("arousal_r")
