import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from consilience.model.uncertainty import (
    fuse_gaussians,
    jensen_shannon,
    modality_coherence,
    normalised_entropy,
    pairwise_coherence,
    vacuity,
    window_coherence,
)


def probabilities(seed: int, modalities: int = 3, classes: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(5, modalities, classes, generator=generator)).softmax(-1)


def test_vacuity_is_one_without_evidence_and_falls_with_it() -> None:
    evidence = torch.tensor([[0.0, 0.0], [1.0, 0.0], [50.0, 50.0]])
    assert_close(vacuity(evidence), torch.tensor([1.0, 2 / 3, 2 / 102]))


def test_entropy_has_its_limits() -> None:
    assert_close(
        normalised_entropy(torch.tensor([[1.0, 0, 0], [1 / 3] * 3])), torch.tensor([0.0, 1.0])
    )


@given(st.floats(0, 2000))
@settings(max_examples=30)
def test_gradients_are_finite_at_every_separation(gap: float) -> None:
    logits = torch.tensor([[gap / 2, -gap / 2], [-gap / 2, gap / 2]], requires_grad=True)
    probability = logits.softmax(-1)
    (normalised_entropy(probability).sum() + jensen_shannon(*probability)).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@given(st.integers(0, 1000))
def test_divergence_is_symmetric_bounded_and_zero_for_equals(seed: int) -> None:
    first, second = probabilities(seed)[:, 0], probabilities(seed)[:, 1]
    divergence = jensen_shannon(first, second)
    assert_close(divergence, jensen_shannon(second, first))
    assert (divergence >= 0).all()
    assert (divergence <= 1 + 1e-6).all()
    assert_close(jensen_shannon(first, first), torch.zeros(5), atol=1e-6, rtol=0)


def test_opposed_certainties_are_incoherent() -> None:
    opposed = torch.eye(2)[None]
    pairs = pairwise_coherence(opposed)
    assert_close(pairs, torch.eye(2)[None], atol=1e-6, rtol=0)
    assert_close(window_coherence(pairs, torch.ones(1, 2)), torch.zeros(1), atol=1e-6, rtol=0)


def test_agreement_and_solitude_are_coherent() -> None:
    same = probabilities(1)[:, :1].expand(-1, 3, -1)
    everything = torch.ones(5, 3)
    assert_close(window_coherence(pairwise_coherence(same), everything), torch.ones(5))
    pairs = pairwise_coherence(probabilities(1))
    alone = torch.tensor([1.0, 0, 0]).expand(5, 3)
    assert_close(window_coherence(pairs, alone), torch.ones(5))
    assert_close(modality_coherence(pairs, torch.ones(5, 3), alone)[:, 0], torch.ones(5))


@given(st.integers(0, 1000), st.permutations(range(3)))
def test_coherence_follows_a_permutation_of_the_modalities(seed: int, order: list[int]) -> None:
    probability, certainty = probabilities(seed), probabilities(seed + 1)[..., 0]
    available = torch.tensor([[1.0, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 0]])
    pairs, shuffled = pairwise_coherence(probability), pairwise_coherence(probability[:, order])
    assert_close(
        window_coherence(pairs, available), window_coherence(shuffled, available[:, order])
    )
    assert_close(
        modality_coherence(pairs, certainty, available)[:, order],
        modality_coherence(shuffled, certainty[:, order], available[:, order]),
    )


def test_a_majority_is_more_coherent_than_the_odd_one_out() -> None:
    probability = torch.tensor([[[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]])
    coherence = modality_coherence(
        pairwise_coherence(probability), torch.ones(1, 3), torch.ones(1, 3)
    )
    assert coherence[0, 2] < coherence[0, 0] == coherence[0, 1]


def test_gaussians_fuse_by_precision_and_ignore_what_is_off() -> None:
    mean = torch.tensor([[[0.0], [4.0], [99.0]]])
    log_variance = torch.tensor([[[0.0], [0.0], [-9.0]]])
    fused, spread = fuse_gaussians(mean, log_variance, torch.tensor([[1.0, 1.0, 0.0]]))
    assert_close(fused, torch.tensor([[2.0]]))
    assert_close(spread, torch.tensor([[0.0]]))
    nothing, unit = fuse_gaussians(mean, log_variance, torch.zeros(1, 3))
    assert_close(nothing, torch.zeros(1, 1))
    assert_close(unit, torch.zeros(1, 1))


def test_no_windows_have_no_coherence() -> None:
    assert window_coherence(torch.ones(0, 3, 3), torch.ones(0, 3)).shape == (0,)
