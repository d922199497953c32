import polars as pl

from consilience.reporting.charts import latent

TABLE = pl.DataFrame(
    {"class": ["calm", None, "angry"], "sensor": ["eeg", "eeg", "audio"]}
    | {"component_1": [0.0, 1.0, 4.0], "component_2": [2.0, 2.0, 2.0]}
)


def test_points_without_a_value_are_a_series_of_their_own_behind_the_others() -> None:
    colours = {"calm": "#000000", "angry": "#000001", "sad": "#000002"}
    chart = latent.points(TABLE, "class", colours, [0.5, 0.2])
    assert [trace.name for trace in chart.data] == ["without a label", "calm", "angry"]


def test_panels_have_the_same_range() -> None:
    by_class = latent.points(TABLE, "class", {"calm": "#000000"}, [0.5, 0.2])
    by_sensor = latent.points(TABLE, "sensor", {"eeg": "#000000", "audio": "#000001"}, [0.5, 0.2])
    for letter in "xy":
        axes = [chart.layout[f"{letter}axis"] for chart in (by_class, by_sensor)]
        assert axes[0].range == axes[1].range
    assert "50 % of variance" in by_class.layout.xaxis.title.text
