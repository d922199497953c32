from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.testing import assert_close

from consilience.methods.params.hybrid_trust import LabelTrustParams
from consilience.model.label_trust import WARM_UP, trusted_target

CLASSES = 4


def batch(target: torch.Tensor, consensus: torch.Tensor, disagreement: float = 0.0) -> Any:
    return SimpleNamespace(
        target=target, consensus=consensus, disagreement=torch.tensor(disagreement)
    )


def random_batch(disagreement: float = 0.0) -> Any:
    generator = torch.Generator().manual_seed(0)
    consensus = torch.rand(6, CLASSES, generator=generator).softmax(-1)
    return batch(torch.eye(CLASSES)[torch.arange(6) % CLASSES], consensus, disagreement)


def test_the_target_is_the_formulas_mixture() -> None:
    labelled = random_batch()
    actual = trusted_target(labelled, 0.5, "on", 0.25).numpy()
    for row, y, q in zip(actual, labelled.target.numpy(), labelled.consensus.numpy(), strict=True):
        trust = q[y.argmax()] / q.max()
        np.testing.assert_allclose(row, trust * y + (1 - trust) * q, rtol=1e-6)


def test_a_contradicted_label_turns_towards_the_consensus() -> None:
    consensus = torch.tensor([[0.02, 0.94, 0.02, 0.02], [0.94, 0.02, 0.02, 0.02]])
    target = torch.eye(CLASSES)[:1].expand(2, -1)
    contradicted, confirmed = trusted_target(batch(target, consensus), 0.5, "on", 0.25)
    assert contradicted.argmax() == 1
    assert_close(confirmed, target[1])


def test_nothing_changes_before_the_consensus_has_settled_or_when_it_is_off() -> None:
    labelled = random_batch(1.0)
    assert_close(trusted_target(labelled, WARM_UP - 0.01, "on", 0.25), labelled.target)
    assert_close(trusted_target(labelled, 0.9, "off", 0.25), labelled.target)


def test_automatic_trust_waits_for_disagreement() -> None:
    threshold = LabelTrustParams().min_disagreement
    calm, torn = random_batch(threshold - 0.01), random_batch(threshold)
    assert_close(trusted_target(calm, 0.5, "auto", threshold), calm.target)
    assert_close(
        trusted_target(torn, 0.5, "auto", threshold), trusted_target(torn, 0.5, "on", threshold)
    )


def test_a_missing_label_stays_missing() -> None:
    labelled = random_batch(1.0)
    labelled.target[2] = torch.nan
    trusted = trusted_target(labelled, 0.5, "on", 0.25)
    assert trusted[2].isnan().all()
    assert trusted[[0, 1, 3, 4, 5]].isfinite().all()
