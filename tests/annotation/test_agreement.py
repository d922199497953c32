import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.annotation.agreement import intraclass_correlation, krippendorff_alpha

NAN = float("nan")
# Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, example C.
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)
# Shrout and Fleiss (1979), table 2: four judges on six targets.
JUDGES = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]]
)


@pytest.mark.parametrize(
    ("scale", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_of_the_published_example(scale: str, alpha: float) -> None:
    who, item = np.nonzero(np.isfinite(OBSERVERS))
    found = krippendorff_alpha(item, OBSERVERS[who, item], scale)
    assert found == pytest.approx(alpha, abs=5e-4)


def test_icc_of_the_published_example() -> None:
    single, mean = intraclass_correlation(JUDGES) or (0, 0)
    assert single == pytest.approx(0.29, abs=5e-3)
    assert mean == pytest.approx(0.62, abs=5e-3)


def test_nothing_to_agree_on() -> None:
    alone = np.arange(3)
    assert krippendorff_alpha(alone, alone.astype(float), "nominal") is None
    assert krippendorff_alpha(np.zeros(3, int), np.ones(3), "interval") is None
    assert intraclass_correlation(JUDGES[:, :1]) is None
    assert intraclass_correlation(np.ones((4, 3))) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), min_size=2, max_size=30))
def test_alpha_is_at_most_one_and_blind_to_names_of_classes(rows: list[tuple[int, int]]) -> None:
    item, rating = np.array(rows).T
    renamed = np.array([0.0, 7, 3, 9, 1])[rating]
    found = krippendorff_alpha(item, rating.astype(float), "nominal")
    again = krippendorff_alpha(item, renamed, "nominal")
    assert (found is None) == (again is None)
    if found is not None and again is not None:
        assert found == pytest.approx(again)
        assert found <= 1 + 1e-12
