from collections.abc import Callable
from pathlib import Path

import polars as pl

from consilience.reporting.results import load_results

Run = Callable[..., Path]


def test_every_recording_has_a_fate_and_a_lost_one_its_reason(run_of_sensors: Run) -> None:
    results = load_results(run_of_sensors(), ["demo"])
    fates = dict(results.fates.group_by("fate").len().iter_rows())
    assert set(fates) == {"usable", "quarantined", "missing"}
    assert sum(fates.values()) == 6 * 2 * 3
    assert results.fates.filter(pl.col("fate") != "usable")["reason"].null_count() == 0
    assert (
        results.fates.filter(pl.col("fate") == "usable")["reason"].null_count() == fates["usable"]
    )


def test_problems_of_ingesting_follow_those_of_the_catalog(run_of_sensors: Run) -> None:
    results = load_results(run_of_sensors(), ["demo"])
    quarantined = results.fates.filter(pl.col("fate") == "quarantined")["recording"].to_list()
    assert results.problems["where"].to_list() == ["annotations.csv", *quarantined]


def test_default_method_is_the_one_whose_lead_is_told(run_of_sensors: Run) -> None:
    assert load_results(run_of_sensors(), ["demo"]).default == "coherence_transfer"
