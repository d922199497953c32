from __future__ import annotations

import pytest

from consilience.evaluation.scorer import Evaluated, score
from consilience.evaluation.tables import reliability_table, score_table, window_table
from tests.evaluation.test_scorer import ASKED, CORPUS, MODEL, PREPARED


@pytest.fixture(scope="module")
def oracle() -> Evaluated:
    return score([MODEL], CORPUS, PREPARED, ASKED, 10, keep=ASKED[:1])


def test_tables_hold_every_window_and_every_score(oracle: Evaluated) -> None:
    windows = window_table(oracle.predictions[ASKED[0]], CORPUS)
    assert windows["window"].to_list() == CORPUS.index["window"].to_list()
    assert (windows["actual"] == windows["predicted"]).all()
    assert windows["reliability_eeg"].null_count() == (~CORPUS.available[:, 0]).sum()
    scores = score_table("oracle", oracle, CORPUS)
    metrics = scores["metric"].n_unique()
    assert scores.height == len(ASKED) * 2 * 6 * metrics
    own = scores.filter(metric="balanced_accuracy", condition="subset", subject="p3")
    assert own["value"].to_list() == [1.0] * own.height
    bins = reliability_table(oracle)
    assert bins["predictions"].sum() == 2 * len(CORPUS.index)
