from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from consilience.reporting.content.latent import (
    MOST_WINDOWS,
    latent,
    latent_table,
    log_ratios,
    principal_components,
    variance_share,
)
from consilience.schema.tables import SensorPredictions, frame_of


def test_log_ratios_of_equal_probabilities_are_0_and_sum_to_0():
    ratios = log_ratios(np.array([[0.25] * 4, [0.7, 0.1, 0.1, 0.1], [1.0, 0, 0, 0]]))
    assert ratios[0] == pytest.approx(0)
    assert ratios.sum(1) == pytest.approx(0)
    assert np.isfinite(ratios).all()


def test_components_are_ordered_by_variance_and_keep_their_sign():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 3)) * [5, 2, 0.1]
    projection = principal_components(points)
    assert projection.explained[0] > projection.explained[1] > 0
    assert projection.explained.sum() == pytest.approx(1, abs=0.01)
    again = principal_components(points[::-1])
    assert again.coordinates[::-1] == pytest.approx(projection.coordinates)


@pytest.mark.parametrize("points", [np.zeros((5, 4)), np.ones((1, 2))])
def test_equal_points_lie_at_the_origin(points):
    projection = principal_components(points)
    assert projection.coordinates.shape == (len(points), 2)
    assert projection.coordinates == pytest.approx(0)
    assert projection.explained == pytest.approx(0)


def test_the_variance_share_is_1_where_groups_explain_everything():
    points = np.repeat([[0.0, 0], [4, 1]], 10, 0)
    assert variance_share(points, ["a"] * 10 + ["b"] * 10) == pytest.approx(1)
    assert variance_share(points, ["a", "b"] * 10) == pytest.approx(0)


def test_at_most_so_many_windows_are_drawn_with_all_their_sensors():
    windows = [f"w{n}" for n in range(3 * MOST_WINDOWS)]
    rows: list[dict[str, object]] = [
        {"window": name, "sensor": sensor, "probability": [0.6, 0.4]}
        for name in windows
        for sensor in ("eeg", "audio")
    ]
    predictions = pl.DataFrame({"window": windows, "subject": ["p"] * len(windows)})
    predictions = predictions.with_columns(actual=pl.lit("calm"))
    points, _, shares = latent_table(
        frame_of(rows, SensorPredictions), predictions, ["calm", "angry"]
    )
    assert points["window"].n_unique() == MOST_WINDOWS
    assert points.height == 2 * MOST_WINDOWS
    assert set(shares) == {"class", "subject", "sensor"}


def test_panels_by_class_sensor_and_person_share_their_axes(project, results):
    section = latent(project, results)
    assert section is not None
    figures = section.blocks[0].figures
    assert [figure.mark for figure in figures] == ["square", "diamond", "circle"]
    assert figures[0].legend
    assert figures[1].legend
