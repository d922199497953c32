import polars as pl
import pytest

from consilience.reporting.charts import confidence
from consilience.reporting.charts.style import method_colours


def test_a_point_grows_in_area_with_its_share_of_the_predictions() -> None:
    bins = pl.DataFrame(
        {"method": ["a"] * 2, "confidence": [0.4, 0.8], "accuracy": [0.5, 0.7]}
        | {"predictions": [1, 3]}
    )
    diagonal, curve = confidence.reliability(bins, method_colours(["a"], "a")).data
    assert list(diagonal.x) == list(diagonal.y) == [0, 1]
    assert list(curve.y) == [0.5, 0.7]
    assert curve.marker.size == pytest.approx((14, 4 + 20 * 0.75**0.5))


def test_confusion_shows_shares_of_each_labelled_class() -> None:
    predictions = pl.DataFrame(
        {
            "actual": ["sad", "sad", "sad", "sad", "calm", None],
            "predicted": ["sad", "sad", "sad", "calm", "calm", "sad"],
        }
    )
    heat = confidence.confusion(predictions, ["sad", "calm", "happy"]).data[0]
    # Rows: labelled class; a class without windows has shares of zero, not of nan.
    assert [list(row) for row in heat.z] == [[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0]]
