import torch

from consilience.encoders.functionals import FunctionalsEncoder
from consilience.encoders.square_roots import RootEncoder


def test_prepare_summarises_square_roots_and_negative_values_count_as_0() -> None:
    roots = torch.rand(3, 10, 4, generator=torch.Generator().manual_seed(0))
    squares = roots.square()
    squares[1, 3, 2], roots[1, 3, 2] = -0.5, 0.0
    prepared = RootEncoder(4, 6, 0.0).prepare(squares)
    torch.testing.assert_close(prepared, FunctionalsEncoder(4, 6, 0.0).prepare(roots))
