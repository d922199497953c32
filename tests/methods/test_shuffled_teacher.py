"""The control differs from coherence transfer by the window of the estimates alone."""

from collections.abc import Callable

import torch
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.coherence_transfer import CoherenceTransfer
from consilience.methods.shuffled_teacher import ShuffledTeacher
from consilience.model.types import Batch

Build = Callable[..., Method]


def test_with_equal_windows_the_control_is_coherence_transfer(build: Build, batch: Batch) -> None:
    first = {name: values[:1].expand(12, -1) for name, values in batch.inputs.items()}
    everything = torch.ones(12, 3)
    equal = batch._replace(
        inputs=first,
        clean=first,
        available=everything,
        target=batch.target[:1].expand(12, -1),
        consensus=batch.consensus[:1].expand(12, -1),
    )
    losses = [build(name).loss(equal, 0.5)[0] for name in NAMES]
    assert_close(losses[0], losses[1])


def test_unlabelled_windows_get_the_estimate_of_another_window(build: Build, batch: Batch) -> None:
    plain, control = (build(name) for name in NAMES)
    one = batch._replace(label_estimate=torch.rand(12, 4).softmax(-1))
    rolled = one._replace(label_estimate=one.label_estimate.roll(1, 0))
    assert not torch.isclose(control.loss(one, 0.5)[0], plain.loss(one, 0.5)[0])
    assert_close(control.loss(one, 0.5)[0], plain.loss(rolled, 0.5)[0])


def test_label_corrections_are_another_windows(build: Build, batch: Batch) -> None:
    plain, control = (build(name, label_correction="on") for name in NAMES)
    assert isinstance(plain, CoherenceTransfer)
    assert isinstance(control, ShuffledTeacher)
    rolled = batch._replace(
        consensus=batch.consensus.roll(1, 0), label_estimate=batch.label_estimate.roll(1, 0)
    )
    expected, actual = plain._target(rolled, 0.5), control._target(batch, 0.5)
    assert_close(actual, expected, equal_nan=True)
    assert not torch.allclose(actual, plain._target(batch, 0.5), equal_nan=True)


NAMES = ("coherence_transfer", "shuffled_teacher")
