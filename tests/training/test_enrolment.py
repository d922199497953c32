"""The enrolment serves as the baseline, and no window of it is trained on or scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from torch.testing import assert_close

from consilience.core.errors import ConsilienceError
from consilience.evaluation.predict import predict
from consilience.schema.constants import ROLES
from consilience.schema.params.training import TrainingParams
from consilience.schema.tables import Labels, read_table, write_table
from consilience.training.baseline import references
from consilience.training.conditioned import load_windows
from consilience.training.enrolment import enrolment_windows, without_enrolment
from consilience.training.fit import Fitted
from consilience.windows.conditions import SUBSET, Condition
from consilience.windows.store import Corpus, load_corpus

PER_SESSION = 12
REST = 6  # windows of each session's trial "rest", the first ones
START_S = 30.0  # of the trial, in the session's time


def laid_out(index: pl.DataFrame) -> pl.DataFrame:
    """Return windows of 4 s, every 2 s, of two trials in each session."""
    place = np.arange(index.height) % PER_SESSION
    starts_s = START_S + 2.0 * place
    trials = np.where(place < REST, "rest", "film")
    return index.with_columns(
        trial=pl.Series(trials), start_s=pl.Series(starts_s), end_s=pl.Series(starts_s + 4)
    )


@pytest.fixture
def corpus(windows_folder: Path) -> Corpus:
    path = windows_folder / "index.parquet"
    write_table(path, laid_out(read_table(path, Labels)), Labels)
    return load_corpus(windows_folder)


def enrolling(length_s: float | None, trial: str = "rest") -> TrainingParams:
    return TrainingParams(baseline="enrolment", enrolment=trial, enrolment_s=length_s)


def places(chosen: np.ndarray) -> list[int]:
    """Return the chosen windows' places in their session, the same in every session."""
    of_sessions = {tuple(np.flatnonzero(row)) for row in chosen.reshape(-1, PER_SESSION)}
    assert len(of_sessions) == 1
    return [int(place) for place in of_sessions.pop()]


@pytest.mark.parametrize(
    ("length_s", "enrolled"), [(None, [0, 1, 2, 3, 4, 5]), (4, [0]), (7.9, [0, 1]), (8, [0, 1, 2])]
)
def test_only_windows_within_the_first_seconds_of_the_trial_are_the_enrolment(
    corpus: Corpus, length_s: float | None, enrolled: list[int]
) -> None:
    chosen = enrolment_windows(corpus, "rest", length_s)
    assert places(chosen) == enrolled
    n = references(corpus, enrolling(length_s))["audio"].n
    assert n.sum() == corpus.available[chosen, 0].sum()


@pytest.mark.parametrize(
    ("length_s", "reserved"), [(4, [0, 1]), (8, [0, 1, 2, 3]), (None, [0, 1, 2, 3, 4, 5, 6])]
)
def test_windows_that_overlap_the_enrolment_have_no_role(
    corpus: Corpus, length_s: float | None, reserved: list[int]
) -> None:
    rest = without_enrolment(corpus, enrolling(length_s))
    members = np.zeros(len(corpus.index), bool)
    members[rest.members(0, *ROLES)] = True
    assert places(~members) == reserved
    assert without_enrolment(corpus, enrolling(length_s)) is rest  # so that caches fit


def test_another_baseline_reserves_nothing(corpus: Corpus) -> None:
    training = enrolling(8).model_copy(update={"baseline": "person"})
    assert without_enrolment(corpus, training) is corpus


def test_the_enrolment_ends_with_its_session(corpus: Corpus) -> None:
    """The clock of another session does not matter."""
    index = corpus.index.with_columns(
        pl.when(pl.col("session") == "s1").then(pl.col(name) + 500).otherwise(pl.col(name))
        for name in ("start_s", "end_s")
    )
    assert places(enrolment_windows(replace(corpus, index=index), "rest", 8)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("trial", "length_s", "message"),
    [("nap", None, "no window lies in the trial 'nap'"), ("rest", 3, "the first 3 s of the trial")],
)
def test_an_enrolment_without_a_window_is_an_error(
    corpus: Corpus, trial: str, length_s: float | None, message: str
) -> None:
    with pytest.raises(ConsilienceError, match=message):
        without_enrolment(corpus, enrolling(length_s, trial))


def test_no_enrolment_window_is_trained_on_or_scored(
    corpus: Corpus, train: Callable[..., Fitted], budget: TrainingParams
) -> None:
    training = budget.model_copy(update=enrolling(8).model_dump(include={"baseline"}))
    training = training.model_copy(update={"enrolment": "rest", "enrolment_s": 8.0})
    fitted = train("hybrid", training)
    everything = Condition(SUBSET, corpus.modalities)
    predictions = predict([fitted], corpus, load_windows(corpus, [everything]), everything)
    scored = np.isfinite(predictions.logits).all(-1).any(0)
    reserved = without_enrolment(corpus, training).reserved
    assert reserved is not None
    assert not scored[reserved].any()
    assert scored[~reserved & corpus.available.any(1)].all()

    path = corpus.folder / "index.parquet"
    wrong = pl.Series([[0.0, 0.0, 1.0]] * corpus.index.height)
    relabelled = corpus.index.with_columns(
        pl.when(pl.Series(reserved))
        .then(wrong)
        .otherwise("class_probability")
        .alias("class_probability")
    )
    write_table(path, relabelled, Labels)
    again = train("hybrid", training)
    for name, weight in fitted.stack.state_dict().items():
        assert_close(again.stack.state_dict()[name], weight, rtol=0, atol=0)
