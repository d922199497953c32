import polars as pl

from consilience.reporting.charts import labels
from consilience.schema.constants import ROLES


def test_windows_are_counted_by_their_most_probable_class() -> None:
    table = pl.DataFrame({"class_probability": [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], None]})
    bars = labels.class_counts(table, ["happy", "sad"], {"happy": "#000000", "sad": "#000001"})
    assert list(bars.data[0].x) == [2, 1]
    assert list(bars.data[0].y) == ["happy", "sad"]


def test_full_agreement_has_a_bin_of_its_own() -> None:
    chart = labels.agreement(pl.DataFrame({"agreement": [1.0, 0.5, None]}))
    histogram = chart.data[0]
    assert list(histogram.x) == [1.0, 0.5]
    n_bins = round((histogram.xbins.end - histogram.xbins.start) / histogram.xbins.size)
    last = histogram.xbins.start + (n_bins - 1) * histogram.xbins.size
    assert round(last, 9) == 1


def test_every_subject_has_its_role_in_every_fold() -> None:
    splits = pl.DataFrame(
        {"fold": [1, 1, 0, 0], "subject": ["b", "a", "a", "b"]}
        | {"role": ["test", "train", "test", "validation"]}
    )
    heat = labels.folds(splits).data[0]
    assert list(heat.y) == ["fold 0", "fold 1"]
    roles = [[ROLES[code] for code in row] for row in heat.z]
    assert roles == [["test", "validation"], ["train", "test"]] == [list(row) for row in heat.text]
