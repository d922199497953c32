import pytest
from scipy.stats import poisson

from consilience.alignment.chance import poisson_tail


@pytest.mark.parametrize("mean", [0.0, 0.01, 1.0, 7.5, 80.0])
@pytest.mark.parametrize("count", [-2, -1, 0, 1, 5, 40, 200])
def test_the_tail_is_that_of_the_distribution(count: int, mean: float) -> None:
    assert poisson_tail(count, mean) == poisson.sf(count, mean)
