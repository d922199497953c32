"""Scores against the ground truth: their tables and errors; the demonstration tests the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consilience import params
from consilience.alignment.clock import Clock, Line, Piece
from consilience.alignment.clock_score import ClockPair
from consilience.core.errors import ConsilienceError
from consilience.evaluation import ground_truth
from consilience.project import Project


def test_the_truth_of_another_dataset_is_an_error(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.params_file.write_text(params.document(params.defaults("ravdess", "nowhere")))
    with pytest.raises(ConsilienceError, match="the pipeline ran on 'ravdess', not on 'demo'"):
        ground_truth.score(project, "demo")


def test_every_recording_has_a_row_and_scored_ones_an_error() -> None:
    estimated, true = Clock((Piece(Line(1.0, 0.0)),)), Line(1.002, 0.0)
    pair = ClockPair("s1", "eeg", estimated, true, 60.0)
    alignment = pl.DataFrame(
        {
            "recording": ["b", "a"],
            "session": ["s1", "s1"],
            "modality": ["eeg", "eeg"],
            "status": ["aligned", "failed"],
            "residual_ms": [0.1, None],
        }
    )
    table = ground_truth._plot(alignment, {"b": pair})
    assert table["recording"].to_list() == ["a", "b"]
    assert table["error_ms"].to_list()[0] is None
    np.testing.assert_allclose(table["error_ms"][1], 2.0, rtol=1e-6)
    np.testing.assert_allclose(table["max_error_ms"][1], 2.0, rtol=1e-6)


def test_the_headline_has_a_clock_error_per_modality_and_the_labels() -> None:
    clocks = {"error_ms": {"eeg": {"median": 0.5, "p95": 1.0}}}
    labels = {"accuracy": 0.9, "brier": 0.1, "ccc": {"valence": 0.8, "arousal": 0.7}}
    assert ground_truth._headline(clocks, labels) == {
        **{"eeg_clock_error_ms": 0.5, "label_accuracy": 0.9},
        **{"valence_ccc": 0.8, "arousal_ccc": 0.7},
    }
