"""Tables of the stage: ranked windows and doubtful labels, with reasons and places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import numpy as np
import polars as pl
import pytest

from consilience.alignment.clock import Clock
from consilience.query.run import doubtful_labels, ranked
from consilience.schema.params.query import QueryParams, Strategy
from consilience.schema.tables import DoubtfulLabels, Labels, Ranking, frame_of
from consilience.windows.places import Source
from consilience.windows.store import Corpus
from tests.evaluation.conftest import build_corpus
from tests.query.small import TRUTH, WRONG, N, evidence, labels, layout

NONE = np.zeros(N, bool)


def corpus() -> Corpus:
    """Return the windows that `evidence` is about."""
    place = layout()
    rows: list[dict[str, object]] = [
        {"window": f"w{i:03d}", "session": f"s{place.session[i]:02d}", "subject": "ada"}
        | {"trial": "t", "start_s": place.start_s[i], "end_s": place.end_s[i], "n_annotators": 1}
        for i in range(N)
    ]
    index = frame_of(rows, Labels)
    target = labels().astype(np.float32)
    return replace(build_corpus(("audio", "video")), index=index, target=target)


def sources() -> Mapping[str, list[Source]]:
    return {"s00": [Source("video", "ada.mp4", None, Clock.linear(offset_s=1.0))]}


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_every_strategy_gives_a_ranking_with_reasons(strategy: str) -> None:
    params = QueryParams(strategy=strategy, budget=15)
    table = Ranking.validate(ranked(corpus(), evidence(), params, NONE, sources()))
    assert table["rank"].to_list() == list(range(1, 16))
    assert table["reason"].str.len_chars().min() > 10
    assert table["score"].is_null().all() == (strategy in {"coreset", "badge", "random"})
    assert table.equals(ranked(corpus(), evidence(), params, NONE, sources()))


def test_answered_windows_are_not_ranked_again() -> None:
    first = ranked(corpus(), evidence(), QueryParams(budget=3), NONE, {})
    answered = corpus().index["window"].is_in(first["window"].to_list()).to_numpy()
    second = ranked(corpus(), evidence(), QueryParams(budget=3), answered, {})
    assert not set(first["window"]) & set(second["window"])


def test_wrong_labels_are_listed_with_file_and_second() -> None:
    table = DoubtfulLabels.validate(doubtful_labels(corpus(), evidence(), 0.5, NONE, sources()))
    rows = table["window"].str.slice(1).cast(pl.Int64).to_numpy()
    assert set(rows[: len(WRONG)]) >= set(WRONG) - {int(r) for r in rows[len(WRONG) :]}
    assert np.isin(rows, WRONG).mean() > 0.7
    assert (np.diff(table["distrust"].to_numpy()) <= 0).all()
    (row,) = table.filter(pl.col("window") == "w005").iter_rows(named=True)
    assert (row["file"], row["file_s"]) == ("ada.mp4", 19.0)  # 20 s of the session
    assert row["files"] == "video: ada.mp4 19.00 s"
    classes = corpus().classes
    assert (row["label"], row["predicted"]) == (classes[(TRUTH[5] + 1) % 3], classes[TRUTH[5]])
    assert row["reason"].startswith(f"label {row['label']}, but ")
    outside = table.filter(pl.col("session") != "s00")
    assert outside["file"].is_null().all()
