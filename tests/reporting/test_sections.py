from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest

from consilience.project import Project
from consilience.reporting import sections
from consilience.reporting.results import Results, load_results

Run = Callable[..., Project]


@pytest.fixture
def results(run_of_sensors: Run) -> Results:
    return load_results(run_of_sensors())


def test_verdict_compares_with_the_best_other_method(results: Results) -> None:
    verdict = sections.verdict(results)
    assert verdict["sensors"] == "EEG, audio and video"
    assert verdict["chance"] == 0.25
    assert verdict["rival"]["method"] == "concat"
    assert verdict["rival"]["comparison"] == "ahead of"


def test_verdict_of_a_single_method_has_no_comparison(results: Results) -> None:
    only = {results.default_method: results.metrics[results.default_method]}
    assert sections.verdict(replace(results, metrics=only))["rival"] is None


def test_robustness_without_mismatched_windows_has_no_chart_of_them(results: Results) -> None:
    assert sections.robustness(results)["mismatch"] is not None
    empty = replace(results, mismatch=results.mismatch.clear())
    assert sections.robustness(empty)["mismatch"] is None


def test_windows_of_a_method_without_uncertainty_have_no_coherence_chart(results: Results) -> None:
    assert sections.windows(results)["coherence"] is not None
    plain = results.predictions.with_columns(vacuity=pl.lit(None, pl.Float64))
    assert sections.windows(replace(results, predictions=plain))["coherence"] is None


def test_contradictions_are_listed_in_words(results: Results) -> None:
    section = sections.coherence(results)
    assert section is not None
    (row,) = section["contradictions"]
    session, windows, sensors, probability, shift = row
    assert session == results.recording_coherence.filter("named")["session"][0]
    assert (windows, sensors, shift) == (20, "EEG", "EEG 4 s late")
    assert probability.startswith("97.2")


def test_coherence_of_a_single_sensor_is_none(results: Results) -> None:
    assert (
        sections.coherence(
            replace(results, recording_coherence=results.recording_coherence.clear())
        )
        is None
    )


def test_clocks_are_none_without_an_estimate(results: Results) -> None:
    assert set(sections.clocks(results)["truth"]) == {"demo"}  # type: ignore[index]
    shared = results.alignment.with_columns(residual_ms=pl.lit(None, pl.Float64))
    assert sections.clocks(replace(results, alignment=shared)) is None


def test_charts_of_annotators_require_their_column(results: Results) -> None:
    table = results.annotators.with_columns(lag_s=pl.lit(None, pl.Float64))
    labels = sections.labels(replace(results, annotators=table))
    assert labels["lags"] is None
    assert labels["reliability"] is not None
    assert labels["confusion"] is not None


def test_training_has_a_chart_per_method(results: Results) -> None:
    assert set(sections.training(results)["charts"]) == set(results.metrics)
