from collections.abc import Callable

import polars as pl

from consilience.project import Project
from consilience.reporting.results import load_results

Run = Callable[..., Project]


def test_every_recording_has_a_status_and_an_excluded_one_a_reason(run_of_sensors: Run) -> None:
    results = load_results(run_of_sensors())
    statuses = dict(results.recordings.group_by("status").len().iter_rows())
    assert set(statuses) == {"usable", "quarantined", "missing"}
    assert sum(statuses.values()) == 6 * 2 * 3
    assert results.recordings.filter(pl.col("status") != "usable")["reason"].null_count() == 0
    assert (
        results.recordings.filter(pl.col("status") == "usable")["reason"].null_count()
        == statuses["usable"]
    )


def test_a_finding_that_several_modalities_report_is_listed_once(run_of_sensors: Run) -> None:
    results = load_results(run_of_sensors())
    assert results.findings.rows() == [("a.bin", "2 <gaps>")]


def test_problems_of_ingesting_follow_those_of_the_catalog(run_of_sensors: Run) -> None:
    results = load_results(run_of_sensors())
    quarantined = results.recordings.filter(pl.col("status") == "quarantined")[
        "recording"
    ].to_list()
    assert results.problems["where"].to_list() == ["annotations.csv", *quarantined]


def test_default_method_is_the_one_with_comparisons(run_of_sensors: Run) -> None:
    assert load_results(run_of_sensors()).default_method == "coherence_transfer"
