import numpy as np

from consilience.inputs import functionals
from consilience.inputs.square_roots import inputs


def test_square_roots_are_summarised_and_negative_values_count_as_0() -> None:
    roots = np.random.default_rng(0).random((3, 10, 4), np.float32)
    roots[0, 2] = np.nan
    squares = np.square(roots)
    squares[1, 3, 2], roots[1, 3, 2] = -0.5, 0.0
    np.testing.assert_allclose(inputs(squares), functionals.inputs(roots), atol=1e-6)
