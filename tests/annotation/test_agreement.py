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
# Shrout and Fleiss (1979), table 2: four annotators, six targets.
RATINGS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]]
)


@pytest.mark.parametrize(
    ("scale", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_of_the_published_example(scale: str, alpha: float) -> None:
    annotator, item = np.nonzero(np.isfinite(OBSERVERS))
    result = krippendorff_alpha(item, OBSERVERS[annotator, item], scale)
    assert result == pytest.approx(alpha, abs=5e-4)


def test_icc_of_the_published_example() -> None:
    single, mean = intraclass_correlation(RATINGS) or (0, 0)
    assert single == pytest.approx(0.29, abs=5e-3)
    assert mean == pytest.approx(0.62, abs=5e-3)


def test_agreement_is_none_without_pairs_or_variance() -> None:
    single = np.arange(3)
    assert krippendorff_alpha(single, single.astype(float), "nominal") is None
    assert krippendorff_alpha(np.zeros(3, int), np.ones(3), "interval") is None
    assert intraclass_correlation(RATINGS[:, :1]) is None
    assert intraclass_correlation(np.ones((4, 3))) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), min_size=2, max_size=30))
def test_alpha_is_at_most_one_and_independent_of_class_numbers(rows: list[tuple[int, int]]) -> None:
    item, rating = np.array(rows).T
    renamed = np.array([0.0, 7, 3, 9, 1])[rating]
    alpha = krippendorff_alpha(item, rating.astype(float), "nominal")
    alpha_renamed = krippendorff_alpha(item, renamed, "nominal")
    assert (alpha is None) == (alpha_renamed is None)
    if alpha is not None and alpha_renamed is not None:
        assert alpha == pytest.approx(alpha_renamed)
        assert alpha <= 1 + 1e-12


def test_opposed_annotators_have_coefficients_of_at_least_minus_one() -> None:
    rising = np.linspace(-0.9, 0.9, 8)
    coefficients = intraclass_correlation(np.stack([rising, 0.9 * rising, -rising], axis=1))
    assert coefficients is not None
    assert min(coefficients) == -1
