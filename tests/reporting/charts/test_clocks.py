import polars as pl

from consilience.reporting.charts import clocks

COLOURS = {"eeg": "#000000", "audio": "#000001"}
ALIGNMENT = pl.DataFrame(
    {
        "recording": ["a", "b", "c"],
        "modality": ["eeg", "audio", "audio"],
        "residual_ms": [0.1, 0.2, None],
        "offset_s": [1.0, None, -1.0],
        "drift_ppm": [10.0, None, -10.0],
    }
)


def test_recordings_without_a_residual_are_omitted() -> None:
    chart = clocks.residuals(ALIGNMENT, COLOURS)
    assert [list(box.text) for box in chart.data] == [["a"], ["b"]]
    assert chart.layout.xaxis.type == "log"


def test_recordings_without_a_clock_are_omitted() -> None:
    chart = clocks.clocks(ALIGNMENT, COLOURS)
    assert [(list(dots.x), list(dots.y)) for dots in chart.data] == [([1], [10]), ([-1], [-10])]


def test_many_anchors_are_thinned_evenly() -> None:
    n = 2 * clocks.MAX_POINTS + 1
    anchors = pl.DataFrame(
        {"recording": ["a"] * n, "modality": ["eeg"] * n}
        | {"session_s": [float(i) for i in range(n)], "residual_ms": [0.0] * n}
    )
    dots = clocks.residuals_over_time(anchors, {"eeg": "#000000"}).data[0]
    assert len(dots.x) <= clocks.MAX_POINTS
    assert list(dots.x[:3]) == [0, 3, 6]
