import pytest
import torch
from torch import nn
from torch.testing import assert_close

from consilience.model.stack import Stack


class Doubler(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.drop = nn.Dropout(0.5)

    def scaled(self, values: torch.Tensor, factor: float) -> torch.Tensor:
        return factor * self.drop(self.layer(values))


@pytest.mark.parametrize("n_runs", [4, 1])
def test_a_stack_computes_what_each_network_computes_alone(n_runs: int) -> None:
    networks = [Doubler() for _ in range(n_runs)]
    values = torch.randn(n_runs, 6, 3)
    together = Stack(networks).eval()("scaled", values, 2.0)
    alone = [n.eval().scaled(v, 2.0) for n, v in zip(networks, values, strict=True)]
    assert_close(together, torch.stack(alone))


def test_runs_send_no_gradient_to_each_other() -> None:
    stack = Stack([Doubler() for _ in range(3)])
    stack("scaled", torch.randn(3, 6, 3), 1.0)[1].sum().backward()
    for weight in stack.parameters():
        assert weight.grad is not None
        assert (weight.grad[[0, 2]] == 0).all()
        assert (weight.grad[1] != 0).any()


def test_dropout_differs_between_runs_and_obeys_the_mode() -> None:
    network = Doubler()
    stack, values = Stack([network, network]), torch.ones(2, 50, 3)
    first, second = stack.train()("scaled", values, 1.0)
    assert not torch.equal(first, second)
    first, second = stack.eval()("scaled", values, 1.0)
    assert torch.equal(first, second)
