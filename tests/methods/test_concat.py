"""Concatenation: what its head gets."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.base import Method


def test_the_head_gets_the_encodings_and_the_availability_flags(
    build: Callable[..., Method], windows: Callable[..., dict[str, Tensor]], masks: Tensor
) -> None:
    network = build("concat")
    inputs = windows()
    encodings = [
        encoder(inputs[name]) * masks[:, [m]]
        for m, (name, encoder) in enumerate(network.encoders.items())
    ]
    output = network.head(torch.cat([*encodings, masks], -1))  # type: ignore[operator]
    prediction = network.forward((inputs, masks))
    has_input = masks.any(1)
    assert_close(prediction.logits[has_input], output[has_input, :4])
    assert (prediction.logits[~has_input] == 0).all()
    assert_close(prediction.affect_mean, output[:, 4:6])
    assert prediction.reliability.isnan().all()
