"""The gate blocks a worse model and passes an equal one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from consilience.core.errors import ConsilienceError
from consilience.model_registry import registry
from consilience.model_registry.comparison import NOT_WORSE, UNCERTAIN, WORSE
from consilience.model_registry.decision import Decision
from consilience.model_registry.gate import compare, completed, default_method, forced
from consilience.model_registry.predictions import OutOfFold
from consilience.project import Project
from consilience.schema.params.gate import GateParams
from tests.model_registry.small import (
    CANDIDATE,
    METHOD,
    corpus_of,
    predictions,
    retrain,
    without_windows,
)

CORPUS = corpus_of()
ACCEPTED = predictions(CORPUS, 0)
PARAMS = GateParams()


def decision(candidate: OutOfFold, accepted: OutOfFold = ACCEPTED) -> Decision:
    return completed(CANDIDATE, candidate, accepted, CORPUS, PARAMS, 15)


@pytest.mark.parametrize("number", range(1, 21))
def test_an_equal_model_passes_and_a_worsened_one_is_blocked(number: int) -> None:
    """Trainings with another seed, and with sensors that show less: 20 of 20 each."""
    equal = decision(predictions(CORPUS, number))
    assert equal.accepted, equal.reasons
    assert len(equal.reasons) == len(equal.rows) == 4
    worsened = decision(predictions(CORPUS, number, signal=1.0))
    assert not worsened.accepted
    assert worsened.reasons
    assert all("worse by more than" in line for line in worsened.reasons)
    assert (worsened.n_people, worsened.n_left_out) == (16, 0)


def test_a_model_worse_for_few_people_or_with_one_sensor_alone_is_blocked() -> None:
    equal = predictions(CORPUS, 1)
    chance = np.full_like(equal.probability, 1 / 3)
    places = [n for n, subset in enumerate(equal.subsets) if subset == ("video",)]
    without_video = equal.probability.copy()
    without_video[places] = np.where(np.isfinite(equal.probability[places]), chance[places], np.nan)
    blocked = decision(replace(equal, probability=without_video))
    assert [row.figure for row in blocked.rows if row.verdict == WORSE] == ["worst subset"]
    few = np.isin(equal.session, [2, 7, 9, 12])
    for_few = np.where(few[:, None] & np.isfinite(equal.probability), 1 - chance, equal.probability)
    for_few = for_few / for_few.sum(-1, keepdims=True)
    verdicts = {
        row.figure: row.verdict for row in decision(replace(equal, probability=for_few)).rows
    }
    assert verdicts["worst quarter"] == WORSE


def test_wrong_confidence_alone_is_blocked() -> None:
    flat = ACCEPTED.probability.astype(float) ** 0.2
    flat = flat / flat.sum(-1, keepdims=True)
    blocked = decision(replace(ACCEPTED, probability=flat))
    assert [row.figure for row in blocked.rows if row.verdict == WORSE] == ["calibration error"]


def test_people_of_one_study_alone_are_left_out_and_counted() -> None:
    known = np.flatnonzero(ACCEPTED.session < 10)
    partly = decision(predictions(CORPUS, 1), without_windows(ACCEPTED, known))
    assert (partly.n_people, partly.n_left_out) == (10, 6)
    assert partly.n_windows == 10 * 24


def test_what_cannot_be_compared_is_blocked_with_the_reason() -> None:
    few = without_windows(ACCEPTED, np.flatnonzero(ACCEPTED.session < 3))
    refused = decision(predictions(CORPUS, 1), few)
    assert not refused.accepted
    assert refused.reasons[0].startswith("not comparable: 3 people")
    assert refused.rows == ()
    other = replace(ACCEPTED, classes=("calm", "angry", "sad"))
    assert (
        "classes calm, angry, happy, of the accepted model calm"
        in (decision(ACCEPTED, other).reasons[0])
    )


def test_labels_are_those_of_the_study_now_for_both() -> None:
    """Labels that were corrected since do not count against the candidate."""
    turned = replace(CORPUS, target=np.roll(CORPUS.target, 1, 1))
    both = completed(CANDIDATE, predictions(turned, 1), ACCEPTED, turned, PARAMS, 15)
    assert both.accepted
    assert both.rows[0].accepted < 0.3 < both.rows[0].candidate


def test_an_interval_over_the_margin_passes_as_uncertain() -> None:
    slightly = decision(predictions(CORPUS, 3, signal=1.9))
    assert slightly.accepted
    assert UNCERTAIN in {row.verdict for row in slightly.rows}
    assert any("too uncertain for the margin of 0.02" in line for line in slightly.reasons)


def test_the_first_model_is_accepted_and_the_same_one_again(project: Project) -> None:
    first = compare(project)
    assert first.accepted
    assert first.reasons == ("first: no model is accepted yet",)
    written = json.loads(project.gate.read_text())
    assert written == first.as_json()
    registry.accept(project, first, lambda line: None)
    again = compare(project)
    assert again.accepted
    assert again.against == "v0001"
    assert again.reasons == ("the model is that of v0001 itself",)


def test_a_model_trained_again_is_compared_on_all_people(project: Project) -> None:
    registry.accept(project, compare(project), lambda line: None)
    retrain(project, 11)
    decided = compare(project)
    assert decided.n_people == 6
    assert decided.accepted, decided.reasons
    assert {row.verdict for row in decided.rows} <= {NOT_WORSE, UNCERTAIN}


def test_an_untrained_model_is_blocked(project: Project) -> None:
    registry.accept(project, compare(project), lambda line: None)
    retrain(project, 3, epochs=1, learning_rate=1e-7)
    decided = compare(project)
    assert not decided.accepted
    assert json.loads(project.gate.read_text())["accepted"] is False
    with pytest.raises(ConsilienceError, match=r"the gate blocked the model: accuracy.*--force"):
        registry.accept(project, decided, lambda line: None)


def test_a_model_that_was_rolled_back_does_not_return_by_itself(project: Project) -> None:
    registry.accept(project, compare(project), lambda line: None)
    retrain(project, 11)
    registry.accept(project, compare(project), lambda line: None)
    registry.rollback(project)
    decided = compare(project)
    assert not decided.accepted
    assert decided.reasons == ("the model is that of v0002, which was rolled back",)
    version = registry.accept(project, forced(project, "looked at it"), lambda line: None)
    assert version.name == "v0002"  # not a copy of it
    assert len(registry.versions(project)) == 2
    assert compare(project).accepted


def test_the_default_method_is_that_of_the_evaluation(project: Project) -> None:
    assert default_method(project) == METHOD
    project.content["methods"]["coherence_transfer"] = {}
    assert default_method(project) == "coherence_transfer"
    with pytest.raises(ConsilienceError, match=r"'coherence_transfer' is not trained \(run 'cons"):
        compare(project)
