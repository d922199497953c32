import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.face_au import modality
from consilience.modalities.lower_face_au import modality as lower_face
from consilience.modalities.params.face_au import CORRUPTIONS, FaceAuParams
from consilience.modalities.upper_face_au import modality as upper_face
from consilience.signals.types import Signal
from tests.real_data import NO_REAL_DATA, REAL_DATA

PARAMS = FaceAuParams(corruptions={kind: c.severities for kind, c in CORRUPTIONS.items()})
TABLE = """clip,AU01_r,AU12_r,AU12_c
a,0.5,4.0,1.0
b,0.0,,0.2
c,0.1,high,0.3
d,0.1,nan,0.3
e,0.1,0.2
"""
DATA = REAL_DATA


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "units.csv"
    path.write_text(TABLE)
    return path


def test_a_row_is_a_recording_of_one_frame(table: Path) -> None:
    header = modality.probe(table, "a")
    features = modality.features(modality.read(table, "a", PARAMS), PARAMS)
    assert (header.rate_hz, header.duration_s, header.n_channels) == (None, None, 3)
    assert features.names == ("AU01_r", "AU12_r", "AU12_c")
    assert features.values.tolist() == [[0.5, 4.0, 1.0]]
    assert features.times_s.tolist() == [0.0]
    assert features.quality["quality"] == 1


def test_identity_is_the_rows_own(table: Path) -> None:
    before = modality.identity(table, "a"), modality.identity(table, "b")
    table.write_text(TABLE.replace("b,0.0", "b,0.9"))
    os.utime(table, ns=(1, 1))
    after = modality.identity(table, "a"), modality.identity(table, "b")
    assert before[0] == after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("b", "AU12_r.*missing"),
        ("c", "AU12_r.*'high' is not a number"),
        ("d", "AU12_r.*'nan' is not a number"),
        ("e", "AU12_c.*missing"),
        ("z", "no row 'z'"),
        (None, "no row"),
    ],
)
def test_bad_rows_are_refused_by_column(table: Path, item: str | None, message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        modality.probe(table, item)


@pytest.mark.parametrize(
    "written",
    [
        "clip, AU01_r, AU12_r, AU12_c\na, 0.5, 4.0, 1.0\n",
        "\ufeffclip,AU01_r,AU12_r,AU12_c\r\na,0.5,4.0,1.0\r\n\r\n",
        "clip;AU01_r;AU12_r;AU12_c\na;0,5;4.0;1\n",
        "clip\tau1_r\tau12_r\tau12_c\na\t0.5\t4\t1\n",
        "AU01_r,clip,valence_r,AU12_r,AU12_c,class_c,AU_r\n0.5,a,3,4,1,0.75,2\n",
    ],
)
def test_every_way_of_writing_a_table_gives_the_same_units(written: str, tmp_path: Path) -> None:
    path = tmp_path / "units.csv"
    path.write_text(written, encoding="utf-8")
    signal = modality.read(path, "a", PARAMS)
    assert signal.channels == ("AU01_r", "AU12_r", "AU12_c")
    assert signal.values.tolist() == [[0.5, 4.0, 1.0]]
    assert upper_face.read(path, "a", PARAMS).channels == ("AU01_r",)
    assert lower_face.read(path, "a", PARAMS).channels == ("AU12_r", "AU12_c")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,87,1,1", r"clip a, column AU01_r: impossible value 87"),
        ("a,1,-0.1,1", "column AU12_r: impossible value -0.1"),
        ("a,1,1,30", "column AU12_c: impossible value 30: it lies between 0 and 1"),
        ("a,0,5,1,1,1", "6 cells where the header has 4"),
        ("a,1,1,1\na,2,2,1", "clip a: duplicate row"),
    ],
)
def test_impossible_rows_are_refused_and_the_others_kept(
    row: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "units.csv"
    path.write_text(f"clip,AU01_r,AU12_r,AU12_c\n{row}\nb,0,5,1\n")
    with pytest.raises(RecordingError, match=message) as error:
        modality.probe(path, "a")
    assert "clip a" in error.value.reason  # without the file
    assert modality.read(path, "b", PARAMS).values.tolist() == [[0, 5, 1]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"clip,AU01_r,au1_R\na,1,1\n", "duplicate column"),
        (b"", "not a table of action units"),
        (b"a,b\n1,2\n", "'clip'"),
        (b"\xff\xfe\x00", "CSV"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "units.csv"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=message):
        modality.read(path, "a", PARAMS)


def test_values_out_of_range_lower_the_quality() -> None:
    signal = Signal(np.array([[7.0, 0.5]]), np.zeros(1), ("AU01_r", "AU01_c"))
    assert modality.features(signal, PARAMS).quality["quality"] == 0.5


@given(st.sampled_from(list(CORRUPTIONS)), st.integers(1, 5), st.integers(0, 50))
def test_corrupted_values_stay_within_the_units_range(kind: str, severity: int, seed: int) -> None:
    signal = Signal(np.array([[0.0, 5.0, 1.0]]), np.zeros(1), ("AU01_r", "AU02_r", "AU02_c"))
    noisy = modality.corrupt(signal, kind, severity, PARAMS, generator(seed)).values[0]
    assert (noisy >= 0).all()
    assert (noisy <= [5, 5, 1]).all()


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_harm_grows_with_severity(kind: str) -> None:
    units = tuple(f"AU{number:02d}_r" for number in range(1, 40))
    signal = Signal(np.full((1, len(units)), 2.5), np.zeros(1), units)
    harm = [
        np.mean(
            [
                np.abs(modality.corrupt(signal, kind, level, PARAMS, generator(i)).values - 2.5)
                for i in range(20)
            ]
        )
        for level in range(1, 6)
    ]
    assert np.all(np.diff(harm) > 0)


def test_noise_has_the_stated_level() -> None:
    signal = Signal(np.full((1, 400), 2.5), np.zeros(1), ("AU01_r",) * 400)
    noisy = modality.corrupt(signal, "noise", 1, PARAMS, generator(1))
    assert np.std(noisy.values) == pytest.approx(5 * PARAMS.corruptions["noise"][0], rel=0.15)


def test_what_is_hidden_is_hidden_place_by_place() -> None:
    units = ("AU01_r", "AU02_r", "AU06_r", "AU07_r", "AU09_r", "AU12_r", "AU14_r", "AU25_r")
    signal = Signal(np.ones((1, 8)), np.zeros(1), units)
    for seed in range(10):
        values = modality.corrupt(signal, "occlusion", 2, PARAMS, generator(seed)).values[0]
        places = values[:2], values[2:4], values[4:5], values[5:7], values[7:]
        assert (values == 0).sum() == round(0.3 * 8)
        assert sum(0 < place.mean() < 1 for place in places) <= 1


@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_dir(), reason=NO_REAL_DATA)
def test_the_ravdess_table_has_35_units_a_clip() -> None:
    path = DATA / "ravdess" / "openface_au35_clipmean.csv"
    features = modality.features(modality.read(path, "01-05-02-01-01-03", PARAMS), PARAMS)
    assert features.values.shape == (1, 35)
    assert features.quality["quality"] == 1
    halves = [face.read(path, "01-05-02-01-01-03", PARAMS) for face in (upper_face, lower_face)]
    assert [half.values.shape[1] for half in halves] == [14, 21]
