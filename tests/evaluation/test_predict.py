from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from consilience.core.errors import ConsilienceError
from consilience.evaluation.predict import LoadedModel, load_bundle, predict
from consilience.model.types import Prediction
from consilience.windows.conditions import Condition
from tests.evaluation.conftest import RUNS, Oracle, build_corpus, numbered, plain_scaler

CORPUS = build_corpus()
PREPARED = numbered(CORPUS)
FULL = Condition("subset", CORPUS.modalities)

CARD: dict[str, Any] = {"training": {}}


def model(first: int, last: int) -> LoadedModel:
    runs = RUNS[first:last]
    return LoadedModel(Oracle(3), plain_scaler(CORPUS, len(runs)), runs, CARD)  # type: ignore[arg-type]


def test_the_runs_of_several_models_are_concatenated() -> None:
    whole = predict([model(0, 6)], CORPUS, PREPARED, FULL)
    parts = predict([model(0, 2), model(2, 6)], CORPUS, PREPARED, FULL)
    for name, values in vars(whole).items():
        np.testing.assert_array_equal(values, vars(parts)[name])
    assert whole.logits.shape == (6, len(CORPUS.index), 3)
    assert whole.reliability.shape == (6, len(CORPUS.index), 3)


def test_windows_outside_the_requested_roles_are_nan() -> None:
    for roles in (("test",), ("validation",), ("validation", "test")):
        predictions = predict([model(0, 6)], CORPUS, PREPARED, FULL, roles)
        for number, run in enumerate(RUNS):
            predicted = np.flatnonzero(np.isfinite(predictions.vacuity[number]))
            np.testing.assert_array_equal(predicted, CORPUS.members(run.fold, *roles))


def test_affect_is_in_the_units_of_the_labels() -> None:
    plain = model(0, 1)
    scaler = replace(
        plain.scaler,
        affect_mean=plain.scaler.affect_mean + 0.25,
        affect_std=plain.scaler.affect_std * 2,
    )
    predictions = predict([plain._replace(scaler=scaler)], CORPUS, PREPARED, FULL)
    rows = CORPUS.members(0, "test")
    # The oracle predicts a mean of 0 and a log variance of 0 in standardised units.
    np.testing.assert_allclose(predictions.affect_mean[0, rows], 0.25)
    np.testing.assert_allclose(predictions.affect_std[0, rows], 2)
    # Its intervals have half widths of 1.5 and 2 standard deviations.
    np.testing.assert_allclose(predictions.affect_half_width[0, rows], [[3.0, 4.0]] * len(rows))
    np.testing.assert_allclose(predictions.set_threshold[0, rows], 0)


def test_a_missing_bundle_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match=str(tmp_path)):
        load_bundle(tmp_path, PREPARED)


def test_a_run_without_predictions_is_an_error() -> None:
    class Diverged(Oracle):
        def __call__(self, function: str, given: Any) -> Any:
            output = super().__call__(function, given)
            if isinstance(output, Prediction):
                output.logits[3] = torch.nan
            return output

    diverged = model(0, 6)._replace(stack=Diverged(3))  # type: ignore[arg-type]
    with pytest.raises(ConsilienceError, match="fold 1, seed 1: no finite prediction"):
        predict([diverged], CORPUS, PREPARED, FULL)
