from pathlib import Path

import numpy as np
import pytest

from benchmarks.labels.crowd import PRESENTATIONS, compare, draw, hits, read_votes
from consilience.core.errors import ConsilienceError


def test_a_tie_counts_in_part() -> None:
    scores = np.array([[3.0, 1, 1], [2, 2, 1], [1, 1, 1]])
    np.testing.assert_allclose(hits(scores, np.array([0, 1, 2])), [1, 1 / 2, 1 / 3])


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="no table of votes"):
        read_votes(tmp_path)


@pytest.mark.real_data
def test_the_consensus_is_not_worse_than_the_majority(tmp_path: Path, real_data: Path) -> None:
    votes = read_votes(real_data / "crema_d")
    assert len(votes.intended) == 7442
    assert len(set(votes.actor)) == 91
    table = compare(votes)
    assert table["presentation"].to_list() == [*PRESENTATIONS, "all"]
    np.testing.assert_allclose(table["majority_alone"][:3], [0.416, 0.663, 0.722], atol=5e-4)
    assert (table["consensus"] >= table["majority"]).all()
    assert (table["low"] > 0).all()
    for name in ("a", "b"):
        draw(table, tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
