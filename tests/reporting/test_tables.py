from collections.abc import Callable

import polars as pl

from consilience.project import Project
from consilience.reporting import tables
from consilience.reporting.results import load_results
from consilience.reporting.tables import Table

Run = Callable[..., Project]


def texts(table: Table) -> dict[str, list[str]]:
    return {row.title: [cell.text for cell in row.cells] for row in table.rows}


def test_methods_marks_the_best_of_each_column_and_the_default_method(run_of_sensors: Run) -> None:
    table = tables.methods(load_results(run_of_sensors()))
    assert table.columns == [
        *("method", "all sensors", "without EEG", "without audio", "without video"),
        *("noise", "calibration error"),
    ]
    assert [row.title for row in table.rows] == ["coherence transfer", "concat", "late fusion"]
    assert [row.is_default for row in table.rows] == [True, False, False]
    default = table.rows[0].cells
    assert default[0].text == "65.0"
    assert default[0].interval == "60 to 70"
    assert default[-1].interval == ""
    # The default method has the greatest accuracies and the smallest calibration error.
    assert all(cell.is_best for cell in default)
    assert not any(cell.is_best for row in table.rows[1:] for cell in row.cells)


def test_counts_cover_usable_recordings(run_of_sensors: Run) -> None:
    results = load_results(run_of_sensors())
    usable = results.recordings.filter(pl.col("status") == "usable").height
    counts = tables.counts(results)
    assert counts["usable recordings"] == f"{usable} of 36"
    assert counts["hours"] == f"{45 * usable / 3600:.2f}"
    assert counts["test windows"] == "240"


def test_affect_has_the_learned_targets_only() -> None:
    metrics = {"concat": {"valence_ccc": 0.5, "valence_rmse": 0.25}, "hybrid": {}}
    table = tables.affect(metrics)
    assert table is not None
    assert table.columns == ["method", "valence, CCC", "valence, RMSE"]
    assert texts(table) == {"concat": ["0.500", "0.250"], "hybrid": ["–", "–"]}
    assert tables.affect({"concat": {}}) is None
    marked = tables.affect(metrics, "concat")
    assert marked is not None
    assert [row.is_default for row in marked.rows] == [True, False]


def test_coverage_has_a_share_and_a_size_of_each_condition() -> None:
    values = {"set_coverage": 0.912, "set_size": 1.25, "mismatch_valence_coverage": 0.5}
    metrics = {"concat": {**values, "mismatch_valence_width": 0.75}, "late_fusion": {"all": 1.0}}
    table = tables.coverage(metrics)
    assert table is not None
    assert table.columns == ["method", "sets, clean", "valence, mismatched"]
    (first, second) = table.rows
    assert [(cell.text, cell.interval) for cell in first.cells] == [
        ("91.2", "1.25"),
        ("50.0", "0.75"),
    ]
    assert [cell.text for cell in second.cells] == ["–", "–"]
    assert tables.coverage({"concat": {"all": 1.0}}) is None


def test_diagnoses_has_the_columns_that_some_method_has() -> None:
    table = tables.diagnoses({"concat": {"vacuity_spearman": 0.5}, "late_fusion": {"all": 1.0}})
    assert table is not None
    assert table.columns == ["method", tables.DIAGNOSES["vacuity_spearman"]]
    assert texts(table) == {"concat": ["0.500"], "late fusion": ["–"]}
    assert tables.diagnoses({"concat": {"all": 1.0}}) is None


def test_agreement_omits_measures_without_a_value() -> None:
    table = tables.agreement({"agreement": {"emotion": {"krippendorff_alpha": 0.4321}}})
    assert table is not None
    assert table.columns == ["target", "Krippendorff's alpha"]
    assert texts(table) == {"emotion": ["0.432"]}
    assert tables.agreement({"agreement": {"emotion": {"icc_mean": None}}}) is None


def test_clocks_summarises_each_modality_and_method() -> None:
    alignment = pl.DataFrame(
        {
            "modality": ["eeg", "eeg", "audio"],
            "method": ["pulses", "pulses", "envelope"],
            "status": ["aligned", "coarse", "unaligned"],
            "n_pieces": [1, 2, 1],
            "drift_ppm": [-30.0, 20.0, None],
            "residual_ms": [1.0, 2.0, None],
            "error_ms": [0.5, 0.7, None],
            "confidence": [0.99, 0.9, None],
        }
    )
    assert texts(tables.clocks(alignment)) == {
        "EEG: pulses": ["1", "1", "0", "1", "30", "1.5", "0.7", "0.9"],
        "audio: envelope": ["0", "0", "1", "0", "–", "–", "–", "–"],
    }


def test_clock_errors_cover_sensors_and_pairs() -> None:
    error = {"median": 0.4, "p95": 1.2, "max": 3.0}
    score = {"error_ms": {"eeg": error}, "between_ms": {"eeg-face_au": error}}
    table = tables.clock_errors(score)
    assert table.columns == ["error, ms", "median", "95th percentile", "largest"]
    assert texts(table) == {
        "clock of EEG": ["0.400", "1.200", "3.000"],
        "difference between EEG and face AU": ["0.400", "1.200", "3.000"],
    }
