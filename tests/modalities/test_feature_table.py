from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.feature_table import (
    APPLY,
    FeatureTable,
    TableSignal,
    filled,
    sensor_of,
)
from consilience.modalities.params.feature_table import CORRUPTIONS, FeatureTableParams
from consilience.testing import MODALITY_CHECKS, ModalityCase, name_of

PARAMS = FeatureTableParams(corruptions={kind: c.severities for kind, c in CORRUPTIONS.items()})
ROWS = "clip,subject,label\na,p1,x\nb,p1,y\nc,p2,x\nd,p1,x\n"


def examples(folder: Path) -> list[tuple[Path, str | None]]:
    """Write a table of 12 columns, with a missing cell and row, for two subjects."""
    rng = generator("features")
    values = rng.normal(50, 5, (40, 12)) * np.logspace(-3, 3, 12)
    cells = [[f"{value:.6g}" for value in row] for row in values]
    cells[3][5] = ""
    cells[7] = [""] * 12
    keys = [f"k{n},p{n % 2}" for n in range(40)]
    columns = ",".join(f"f{n}" for n in range(12))
    lines = [f"{key.split(',')[0]},{','.join(row)}" for key, row in zip(keys, cells, strict=True)]
    # The same name up to the first dot, so that the kit moves both tables together.
    (folder / "wear.csv").write_text("\n".join([f"key,{columns}", *lines]) + "\n")
    rows = [f"{key},{'xy'[n % 3 == 0]}" for n, key in enumerate(keys)]
    (folder / "wear.rows.csv").write_text("\n".join(["key,subject,label", *rows]) + "\n")
    return [(folder / "wear.csv", f"wear.rows.csv/p{n}") for n in range(2)]


@pytest.fixture(scope="module")
def case_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")

    @lru_cache
    def make(suffix: str) -> ModalityCase:
        files = [(path.with_suffix(suffix), item) for path, item in examples(folder)]
        pl.read_csv(folder / "wear.csv").write_parquet(folder / "wear.parquet")
        return ModalityCase(FeatureTable("wear_features"), files)

    return make


@pytest.mark.parametrize("check", MODALITY_CHECKS, ids=name_of)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_it_keeps_the_contract_of_modalities(check, suffix, case_of):
    check(case_of(suffix))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "ecg.csv").write_text("clip,hr\nd,4\na,1\nb,\nc,9\n")
    (tmp_path / "eda.csv").write_text("clip,scl,scr\na,10,5\nc,90,6\n")
    return tmp_path


def test_a_recording_is_the_rows_of_a_session_in_order(folder):
    modality = FeatureTable("ecg_features")
    signal = modality.read(folder / "ecg.csv", "rows.csv/p1", PARAMS)
    np.testing.assert_array_equal(signal.values, [[1], [np.nan], [4]])
    assert signal.times_s.tolist() == [0.5, 1.5, 2.5]
    assert signal.channels == ("hr",)
    assert modality.probe(folder / "ecg.csv", "rows.csv/p1").n_channels == 1


def test_several_tables_are_one_sensor(folder):
    params = FeatureTableParams(tables=("ecg.csv", "eda.csv"))
    modality = FeatureTable("physiology_features")
    signal = modality.read(folder / "ecg.csv", "rows.csv/p1", params)
    assert signal.channels == ("hr", "scl", "scr")
    np.testing.assert_array_equal(signal.values[0], [1, 10, 5])
    features = modality.features(signal, params)
    # b has no value at all; in d the values of eda are those before.
    np.testing.assert_array_equal(features.values, [[1, 10, 5], [np.nan] * 3, [4, 10, 5]])
    assert features.quality["observed_fraction"] == pytest.approx(4 / 9)


def test_without_tables_the_sensor_must_be_called_after_the_file(folder):
    with pytest.raises(RecordingError, match=r"list its tables.*physiology_features\.tables"):
        FeatureTable("physiology_features").probe(folder / "ecg.csv", "rows.csv/p1")


@pytest.mark.parametrize(
    ("tables", "item", "message"),
    [
        (("ecg.csv", "gone.csv"), "rows.csv/p1", "gone.csv is missing"),
        (("ecg.csv", "ecg2.csv"), "rows.csv/p1", "column 'hr' is in two tables"),
        (("rows.csv",), "rows.csv/p1", "no column of different numbers"),
        (("eda.csv",), "rows.csv/p3", "no row of session 'p3'"),
        (("eda.csv",), "none.csv/p1", "none.csv is missing"),
        (("eda.csv",), None, "names no session"),
        (("eda.csv",), "../rows.csv/p1", "names no session"),
    ],
)
def test_what_is_wrong_with_the_tables_is_one_line(folder, tables, item, message):
    (folder / "ecg2.csv").write_text("clip,hr\na,1\nb,2\n")
    modality = FeatureTable("x_features", tables)
    with pytest.raises(RecordingError, match=message):
        modality.probe(folder / "ecg.csv", item)


def test_a_session_without_any_value_is_refused(folder):
    (folder / "rows.csv").write_text(f"{ROWS}e,p2,x\n")
    (folder / "ecg.csv").write_text("clip,hr\nc,9\ne,8\n")
    with pytest.raises(RecordingError, match="no value of this session"):
        FeatureTable("ecg_features").probe(folder / "ecg.csv", "rows.csv/p1")


def test_the_identity_is_that_of_all_tables(folder):
    modality = FeatureTable("x_features", ("ecg.csv", "eda.csv"))
    path, item = folder / "ecg.csv", "rows.csv/p1"
    seen = {modality.identity(path, item), modality.identity(path, "rows.csv/p2")}
    for name in ("eda.csv", "rows.csv"):
        (folder / name).write_text((folder / name).read_text() + "\n")
        seen.add(modality.identity(path, item))
    assert len(seen) == 4
    (folder / "eda.csv").unlink()
    with pytest.raises(RecordingError, match=r"eda.csv: the table is missing"):
        modality.identity(path, item)


def test_missing_values_are_reported(folder):
    modality = FeatureTable("x_features", ("ecg.csv", "eda.csv"))
    assert modality.inspect(folder / "ecg.csv", "rows.csv/p1") == [
        "1 of 3 rows have no value",
        "2 further values are missing",
    ]


@pytest.mark.parametrize(
    ("name", "sensor"),
    [
        ("ECG.csv", "ecg_features"),
        ("ecg_features.parquet", "ecg_features"),
        ("heart rate (chest).csv", "heart_rate_chest_features"),
        ("2nd.csv", "table_2nd_features"),
    ],
)
def test_a_sensor_is_called_after_its_table(name, sensor):
    assert sensor_of(Path(name)) == sensor


def test_a_missing_value_is_the_mean_of_those_before_or_the_median():
    values = np.array([[np.nan, 1], [2, np.nan], [4, 3], [np.nan, np.nan]])
    expected = [[50, 1], [2, 1], [4, 3], [3, 2]]
    np.testing.assert_array_equal(filled(values, np.array([50.0, 60.0])), expected)


def signal_of(n_rows: int = 50, n_columns: int = 40) -> TableSignal:
    rng = generator("corruptions")
    median, spread = np.linspace(-5, 5, n_columns), np.logspace(-2, 2, n_columns)
    values = median + spread * rng.normal(size=(n_rows, n_columns))
    values[3] = np.nan
    values[-1, -1] = np.nan
    names = tuple(f"f{n}" for n in range(n_columns))
    return TableSignal(values, np.arange(n_rows) + 0.5, names, median=median, spread=spread)


def corrupted(kind: str, severity: int, signal: TableSignal) -> np.ndarray:
    modality = FeatureTable("x_features")
    return modality.corrupt(signal, kind, severity, PARAMS, generator(kind)).values


@pytest.mark.parametrize("kind", APPLY)
def test_missing_values_stay_missing_and_others_finite(kind):
    signal = signal_of()
    values = corrupted(kind, 5, signal)
    assert np.array_equal(np.isfinite(values), np.isfinite(signal.values))


@pytest.mark.parametrize(("kind", "severity"), [("noise", 3), ("noise", 5)])
def test_noise_is_in_units_of_the_spread_of_each_column(kind, severity):
    signal = signal_of(2000)
    added = (corrupted(kind, severity, signal) - signal.values) / signal.spread
    expected = PARAMS.corruptions[kind][severity - 1]
    np.testing.assert_allclose(np.nanstd(added, axis=0), expected, rtol=0.1)


def test_an_offset_is_the_same_for_all_rows():
    signal = signal_of()
    added = corrupted("offset", 3, signal) - signal.values
    relative = np.abs(np.nanmean(added, axis=0)) / signal.spread
    np.testing.assert_allclose(np.nanstd(added, axis=0) / signal.spread, 0, atol=1e-9)
    assert ((relative >= 0.5) & (relative <= 1.5)).all()


def test_lost_values_become_the_usual_ones_of_the_recording():
    signal = signal_of(400)
    values = corrupted("dropout", 3, signal)
    lost = (values != signal.values) & np.isfinite(signal.values)
    assert lost.mean() == pytest.approx(PARAMS.corruptions["dropout"][2], abs=0.03)
    away = np.abs(values - np.nanmean(signal.values, axis=0)) / signal.spread
    assert away[200:][lost[200:]].max() < 0.5  # noise of the mean alone


def test_a_row_that_loses_all_its_values_is_not_a_missing_row():
    signal = signal_of(20, 1)
    params = FeatureTableParams(corruptions={"dropout": (0.1, 0.2, 0.3, 0.4, 1.0)})
    lost = FeatureTable("x_features").corrupt(signal, "dropout", 5, params, generator(1)).values
    np.testing.assert_array_equal(lost[[0, 1, 2, 4], 0], signal.median[0])


def test_spurious_values_are_outliers():
    signal = signal_of(400)
    values = corrupted("spurious", 2, signal)
    hit = (values != signal.values) & np.isfinite(values)
    assert hit.mean() == pytest.approx(PARAMS.corruptions["spurious"][1], abs=0.02)
    assert (np.abs(values - signal.median) / signal.spread)[hit].min() >= 3


def test_stuck_columns_keep_the_values_of_one_row():
    signal = signal_of()
    values = corrupted("stuck", 3, signal)
    constant = np.nanmax(values, axis=0) == np.nanmin(values, axis=0)
    assert constant.sum() == pytest.approx(0.45 * 40, abs=1)
    row = [
        n for n, r in enumerate(signal.values) if np.array_equal(r[constant], values[0, constant])
    ]
    assert len(row) == 1


def test_a_wrong_gain_multiplies_the_distance_from_the_median():
    signal = signal_of()
    values = corrupted("scaled", 2, signal)
    expected = 2 * (signal.values - signal.median)
    np.testing.assert_allclose(values - signal.median, expected)


def test_a_column_whose_values_are_mostly_equal_has_a_spread(folder):
    rows = "".join(f"k{n},p1,x\n" for n in range(10))
    (folder / "rows.csv").write_text(f"clip,subject,label\n{rows}")
    cells = "".join(f"k{n},{5 * (n == 0)}\n" for n in range(10))
    (folder / "ecg.csv").write_text(f"clip,hr\n{cells}")
    signal = FeatureTable("ecg_features").read(folder / "ecg.csv", "rows.csv/p1", PARAMS)
    assert signal.spread == pytest.approx([np.sqrt(2.5)])


def test_too_large_values_are_missing():
    signal = replace(signal_of(4, 2), values=np.array([[1, 1e300], [2, 3.0], [3, 4], [4, 5]]))
    values = FeatureTable("x_features").features(signal, PARAMS).values
    assert np.isfinite(values).all()
    assert values[0, 1] == np.float32(signal.median[1])


@pytest.mark.parametrize("name", ["", "../a.csv", "a/b.csv", ".hidden.csv", "a\\b.csv"])
def test_tables_are_files_beside_the_table_of_rows(name):
    with pytest.raises(ValidationError, match="not the name of a file"):
        FeatureTableParams(tables=(name,))


def test_a_table_is_named_once():
    with pytest.raises(ValidationError, match="named twice"):
        FeatureTableParams(tables=("a.csv", "a.csv"))
