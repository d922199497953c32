import polars as pl

from consilience.reporting.charts.training import training


def test_curves_are_quartiles_over_the_runs_of_each_epoch() -> None:
    history = pl.DataFrame(
        {"epoch": [1, 0, 0, 0], "train_loss": [5.0, 1.0, 2.0, 3.0]}
        | {"validation_loss": [50.0, 10.0, 20.0, 30.0]}
    )
    train_band, train_line, validation_band, validation_line = training(history).data
    assert list(train_line.x) == [0, 1]
    assert list(train_line.y) == [2, 5]
    assert list(train_band.y) == [2.5, 5, 5, 1.5]  # upper curve forth, lower curve back
    assert list(validation_line.y) == [20, 50]
    assert train_line.yaxis == train_band.yaxis == "y2"
    assert validation_line.yaxis == validation_band.yaxis == "y"
