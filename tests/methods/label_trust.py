"""A check that the methods on trusted targets share."""

from collections.abc import Callable

import torch
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.model.label_trust import trusted_target
from consilience.model.types import Batch


def check_trusted_targets(
    build: Callable[..., Method], batch: Batch, name: str, plain: str, mode: str
) -> None:
    """Check that a method is the plain one on trusted targets."""
    trusting, plain_method = build(name, label_trust=mode), build(plain)
    for disagreement in (0.0, 0.5):
        disputed = batch._replace(disagreement=torch.tensor(disagreement))
        target = trusted_target(disputed, 0.5, mode, 0.25)  # type: ignore[arg-type]
        expected, _ = plain_method.loss(disputed._replace(target=target), 0.5)
        assert_close(trusting.loss(disputed, 0.5)[0], expected)
    assert torch.equal(trusting.loss(batch, 0.1)[0], plain_method.loss(batch, 0.1)[0])
