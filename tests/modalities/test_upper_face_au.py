from __future__ import annotations

from pathlib import Path

import pytest

from consilience.core.errors import RecordingError
from consilience.modalities.lower_face_au import modality as lower_face
from consilience.modalities.params.face_au import FaceAuParams
from consilience.modalities.upper_face_au import modality as upper_face

PARAMS = FaceAuParams()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Write a table with a unit of each half of the face."""
    path = tmp_path / "units.csv"
    path.write_text("clip,AU01_r,AU12_r\na,1,2\n")
    return path


def test_a_part_of_the_face_reads_its_own_columns(table: Path) -> None:
    features = upper_face.features(upper_face.read(table, "a", PARAMS), PARAMS)
    assert features.names == ("AU01_r",)
    assert upper_face.identity(table, "a") != lower_face.identity(table, "a")
    table.write_text("clip,AU12_r\na,1\n")
    with pytest.raises(RecordingError, match="no column is a unit of 'upper_face_au'"):
        upper_face.probe(table, "a")
