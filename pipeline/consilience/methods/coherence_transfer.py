"""Coherence transfer: experts that learn from each other, and a mixture over modality subsets.

After the description of H.-J. Jang's thesis (arXiv 2511.15741) and of arXiv 2507.13092; no code
is published and the formulas here are this project's own.

- **Network**: a log-linear pool of one expert for each modality, trained on masked, corrupted
  windows.
- **Transfer**: an unlabelled window has the prediction of a teacher as its target, a product of
  experts that gets all recorded modalities, clean. A modality counts, in the teacher and in the
  training, as far as it is coherent with the others in the whole recording
  (`consilience.training.soft_targets`). Each modality so learns from the others.
- **Label correction**: labels that the modalities contradict too often are replaced by a
  posterior (`_target`).
- **Shared space**: one latent space for all modalities. Class prototypes in it give evidence and
  vacuity; the agreement head is trained on swapped windows to detect the modality that
  contradicts the others.
- **Subset mixture**: features of each modality's reliability decide the weights of the mixture
  over all modality subsets (`consilience.model.modality_subsets`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from consilience.methods.base import plain_prediction
from consilience.methods.gated_hybrid import SubsetGate
from consilience.methods.gce import generalised_cross_entropy
from consilience.methods.hybrid import ClassLoss
from consilience.methods.params.coherence_transfer import Params as CoherenceTransferParams
from consilience.model.fusion import (
    ExpertNetwork,
    SummedOutput,
    log_input_energy,
    log_linear_pool,
)
from consilience.model.losses import (
    cross_entropy,
    evidential_loss,
    gaussian_nll,
    weighted_mean,
)
from consilience.model.types import Batch, Prediction, Windows
from consilience.model.uncertainty import (
    jensen_shannon,
    normalised_entropy,
    pairwise_coherence,
    vacuity,
)

N_FEATURES = 7  # reliability features of each modality; see `CoherenceTransfer._features`
CERTAIN = 30.0  # log odds that make a modality valid up to rounding
LEAST_LIKELY = 0.01  # floor of a modality's likelihood under the others; keeps its log finite
EVIDENCE_KL = 0.1  # weight of the prototypes' KL term at the end of the training


class SharedSpace(nn.Module):
    """One latent space for all modalities, with class prototypes in it."""

    def __init__(self, n_modalities: int, n_classes: int, width: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(
            [nn.Linear(width, width, bias=False) for _ in range(n_modalities)]
        )
        self.prototypes = nn.Parameter(torch.randn(n_classes, width))
        # Start at little evidence for a random vector: softplus(-2) = 0.13.
        self.scale = nn.Parameter(torch.full((n_modalities,), 5.0))
        self.bias = nn.Parameter(torch.full((n_modalities,), -2.0))

    def forward(self, encodings: Tensor) -> Tensor:
        """Project encodings (B, M, W) to unit vectors (B, M, W)."""
        projected = [p(encodings[:, index]) for index, p in enumerate(self.projections)]
        # eps: the encoding of a missing modality is 0 and has no direction.
        return F.normalize(torch.stack(projected, 1), dim=-1, eps=1e-6)

    def evidence(self, latent: Tensor, available: Tensor) -> Tensor:
        """Compute evidence from the cosine similarity to the prototypes.

        Parameters
        ----------
        latent : Tensor, shape (B, M, W)
            Unit vectors.
        available : Tensor, shape (B, M)

        Returns
        -------
        Tensor, shape (B, M, K)
            0 where not available.
        """
        similarity = latent @ F.normalize(self.prototypes, dim=-1).T
        evidence = F.softplus(self.scale[:, None] * similarity + self.bias[:, None])
        return evidence * available[..., None]


class AgreementHead(nn.Module):
    """Classify whether a modality shows the same window as the other modalities."""

    def __init__(self, n_modalities: int, width: int, dropout: float) -> None:
        super().__init__()
        self.classifiers = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Dropout(dropout), nn.Linear(width + 2, 32), nn.GELU(), nn.Linear(32, 1)
                )
                for _ in range(n_modalities)
            ]
        )

    def forward(
        self, latent: Tensor, probability: Tensor, others: tuple[Tensor, Tensor], available: Tensor
    ) -> Tensor:
        """Compute the log odds that each modality agrees with the others.

        Parameters
        ----------
        latent : Tensor, shape (B, M, W)
            Of the modalities to classify.
        probability : Tensor, shape (B, M, K)
            Their unimodal predictions.
        others : tuple of Tensor
            `latent` and `probability` of the modalities to compare with; in training they may be
            those of another window.
        available : Tensor, shape (B, M)

        Returns
        -------
        Tensor, shape (B, M)
        """
        n = available.shape[-1]
        weight = available[:, None, :] * (1 - torch.eye(n, device=available.device))
        centre = F.normalize(weight @ others[0], dim=-1, eps=1e-6)
        mean = (weight @ others[1]) / weight.sum(-1, keepdim=True).clamp(min=1)
        agreement = 1 - jensen_shannon(probability, mean)
        product = latent * centre
        features = torch.cat(
            [
                # Entries of a product of unit vectors are of order 1 / W: scale them to 1 / sqrt W.
                product * product.shape[-1] ** 0.5,
                product.sum(-1, keepdim=True),
                agreement[..., None],
            ],
            -1,
        )
        log_odds = [
            classifier(features[:, index])[:, 0]
            for index, classifier in enumerate(self.classifiers)
        ]
        return torch.stack(log_odds, 1)


class ExpertOutput(NamedTuple):
    """Output of the experts before calibration.

    Attributes
    ----------
    unimodal : Tensor, shape (B, M, K)
        Logits of each modality's expert.
    log_prior : Tensor, shape (B, K)
        Logarithm of the class frequencies in training, the same for every window.
    reliability_features : Tensor, shape (B, M, N_FEATURES)
    evidence : Tensor, shape (B, M, K)
    affect_mean, affect_log_variance : Tensor, shape (B, A)
    available : Tensor, shape (B, M)
    """

    unimodal: Tensor
    log_prior: Tensor
    reliability_features: Tensor
    evidence: Tensor
    affect_mean: Tensor
    affect_log_variance: Tensor
    available: Tensor


class CoherenceTransfer(SubsetGate):
    """The experts, the shared space and the agreement head."""

    Params = CoherenceTransferParams
    N_FEATURES = N_FEATURES

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        n_modalities = len(self.encoders)
        self.network = ExpertNetwork(
            dict(self.encoders.items()), self.n_classes, self.width, self.new_head
        )
        self.calibration["log_expert_temperature"] = nn.Parameter(torch.zeros(n_modalities))
        self.space = SharedSpace(n_modalities, self.n_classes, self.width)
        self.agreement_head = AgreementHead(n_modalities, self.width, self.dropout)

    def forward(self, windows: Windows) -> ExpertOutput:
        """Compute the experts' logits and the reliability features."""
        inputs, available = windows
        output = self.network(inputs, available)
        latent = self.space(output.encodings)
        return ExpertOutput(
            output.unimodal,
            self.network.prior().expand_as(output.logits),
            self._features(inputs, available, output, latent),
            self.space.evidence(latent, available),
            output.affect[0],
            output.affect[1],
            available,
        )

    def _features(
        self,
        inputs: dict[str, Tensor],
        available: Tensor,
        output: SummedOutput,
        latent: Tensor,
    ) -> Tensor:
        """Compute the reliability features (B, M, N_FEATURES) of each modality.

        In this order: log odds of the agreement head; log energy of the input and its square;
        entropy of the unimodal prediction; mean agreement with the other modalities; mean
        agreement of the others among themselves; log likelihood under the others. The first and
        the last three compare modalities and are 0 with a single one.
        """
        probability = output.unimodal.softmax(-1)
        several = (available.sum(-1, keepdim=True) > 1).to(available.dtype)
        log_odds = torch.zeros_like(available)
        if self.params.agreement_head:
            others = (latent, probability)
            log_odds = self.agreement_head(latent, probability, others, available) * several
        energy = log_input_energy(inputs, available, list(self.encoders))
        with_others, among_others = _mean_agreement(pairwise_coherence(probability), available)
        features = torch.stack(
            [
                log_odds,
                energy,
                energy.square(),  # both silence and noise are unreliable
                normalised_entropy(probability),
                # Less 1, so that full agreement adds nothing to the prior.
                (with_others - 1) * several,
                (among_others - 1) * several,
                self._log_likelihood(output, available) * several,
            ],
            -1,
        )
        return features * available[..., None]

    def _log_likelihood(self, output: SummedOutput, available: Tensor) -> Tensor:
        """Compute ``log sum_k p_m(k) q_m(k) / p(k)`` (B, M): the likelihood under the others.

        With ``q_m`` the product of all other experts, it is the log likelihood ratio of "the
        modality shows the class of the others" and "it shows a class drawn at random".
        """
        n = available.shape[-1]
        others = available[:, None, :] * (1 - torch.eye(n, device=available.device))
        log_prior = self.network.prior()
        predicted = log_linear_pool(output.unimodal, log_prior, others).softmax(-1)
        ratio = output.unimodal.softmax(-1) * predicted / log_prior.exp()
        return torch.log(ratio.sum(-1) + LEAST_LIKELY)

    def _subset_logits(self, output: ExpertOutput) -> Tensor:
        """Compute the pool (B, S, K) of calibrated experts for every modality subset."""
        masks = self._masks[0].to(output.available.device) * output.available[:, None]
        experts = output.unimodal / self.calibration["log_expert_temperature"].exp()[:, None]
        pooled = log_linear_pool(experts, output.log_prior[:, None], masks)
        return pooled / self.calibration["log_temperature"].exp()[:, None]

    def calibrated(self, output: ExpertOutput) -> Prediction:
        """Compute the mixture over the modality subsets, and each modality's reliability."""
        log_odds = self._log_odds(output)
        sensor_ok = log_odds.sigmoid() * output.available
        logits = self._mixture(output, log_odds)
        if self.params.evidence:
            # Evidence of a modality counts as far as the modality is intact.
            unknown = vacuity((output.evidence * sensor_ok[..., None]).sum(1))
        else:
            unknown = normalised_entropy(logits.softmax(-1))
        return plain_prediction(
            logits,
            (output.affect_mean, output.affect_log_variance),
            output.available,
            vacuity=unknown,
            reliability=sensor_ok,
            # One mismatched sensor makes a window incoherent, however many agree.
            coherence=torch.where(output.available > 0, sensor_ok, 1.0).amin(-1),
        )

    def _mixture(self, output: ExpertOutput, log_odds: Tensor) -> Tensor:
        """Compute the subsets' mixture; with ``modality_subsets: false``, the full set's output."""
        if not self.params.modality_subsets:
            log_odds = torch.full_like(log_odds, CERTAIN)  # all weight on the full set
        return super()._mixture(output, log_odds)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the losses of the pool, the experts, the prototypes and the agreement head."""
        params = self.params
        output: SummedOutput = self.network(batch.inputs, batch.available)
        target, class_loss = self._target(batch, progress), self._class_loss(batch)
        weight, available = self._weight(batch), batch.available
        loss = class_loss(output.logits, target, self._pool_weight(batch))
        loss = loss + gaussian_nll(*output.affect, batch.affect)
        unimodal = class_loss(output.unimodal, target, weight)
        unimodal = unimodal + gaussian_nll(*output.unimodal_affect, batch.affect, available)
        loss = loss + params.unimodal * unimodal + self.network.prior_loss(target)
        # Detached: the shared space describes the encodings and must not change the prediction.
        latent = self.space(output.encodings.detach())
        if params.evidence:
            evidence = self.space.evidence(latent, available)
            ramp = EVIDENCE_KL * progress  # an early KL term suppresses evidence before any exists
            loss = loss + params.evidence * evidential_loss(evidence, target, weight, ramp)
        if params.agreement_head:
            loss = loss + params.agreement_head * self._agreement_loss(latent, output, batch)
        return loss, output.logits.detach().softmax(-1)

    def _weight(self, batch: Batch) -> Tensor:
        """Compute the weight (B, M) of each available modality's target."""
        return batch.available * batch.sensor_weight * self._target_weight(batch)[:, None]

    def _pool_weight(self, batch: Batch) -> Tensor:
        """Compute the weight (B,) of the pool's target: that no available modality mismatches."""
        mismatched = (batch.available * (1 - batch.sensor_weight)).sum(-1)
        return (1 - mismatched).clamp(min=0) * self._target_weight(batch)

    def _target_weight(self, batch: Batch) -> Tensor:
        """Return the weight (B,) of each window's target: 1 for labels."""
        unlabelled = ~batch.target.isfinite().all(-1)
        return torch.where(unlabelled, self.params.transfer, 1.0)

    def _target(self, batch: Batch, progress: float) -> Tensor:
        """Compute the training targets: labels, and estimates of windows that have none.

        Unreliable labels are replaced by the posterior of the true class by Bayes' rule. The
        likelihood is that of uniform label noise: a label is right as often as its reliability
        implies, otherwise any other class.
        The prior is a geometric mean of the cross-fitted estimate and the consensus, with the
        weight of the consensus growing from 0 to 1 over the training.
        """
        unlabelled = ~batch.target.isfinite().all(-1, keepdim=True)
        estimated = batch.target
        if self.params.transfer:
            estimated = torch.where(unlabelled, batch.label_estimate, batch.target)
        if self.params.label_correction == "off":
            return estimated
        n_classes = self.n_classes
        # Reliability is agreement beyond chance: 0 is a label drawn at random, right in 1 / K.
        right = ((batch.label_reliability * (n_classes - 1) + 1) / n_classes).clamp(max=0.999)
        wrong = (1 - right) / (n_classes - 1)
        log_estimate, log_consensus = (
            batch.label_estimate.log(),
            batch.consensus.clamp(min=1e-6).log(),
        )
        prior = (log_estimate * (1 - progress) + log_consensus * progress).softmax(-1)
        posterior = prior * (wrong + (right - wrong) * batch.target)
        posterior = posterior / posterior.sum(-1, keepdim=True).clamp(min=1e-8)
        return torch.where(self._unreliable(batch) & ~unlabelled, posterior, estimated)

    def _unreliable(self, batch: Batch) -> Tensor:
        """Return whether the run's labels are unreliable enough to be corrected."""
        if self.params.label_correction == "on":
            return torch.ones_like(batch.label_reliability, dtype=torch.bool)
        return batch.label_reliability < self.params.min_label_reliability

    def _class_loss(self, batch: Batch) -> ClassLoss:
        """Return the classification loss: the generalised cross-entropy for unreliable labels."""
        if self.params.label_correction == "off" or not self.params.gce_q:
            return cross_entropy
        unreliable = self._unreliable(batch)

        # Both are computed and one is selected: under vmap the condition differs between runs.
        def selected(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
            robust = generalised_cross_entropy(self.params.gce_q, logits, target, weight)
            return torch.where(unreliable, robust, cross_entropy(logits, target, weight))

        return selected

    def _agreement_loss(self, latent: Tensor, output: SummedOutput, batch: Batch) -> Tensor:
        """Compute the agreement head's loss, with each window's neighbour as the mismatch."""
        probability = output.unimodal.softmax(-1).detach()
        several = (batch.available.sum(-1, keepdim=True) > 1).to(latent.dtype)
        weight = batch.available * batch.sensor_weight * several
        others = (latent, probability)
        # First half: the window's own modalities; second half: those of its neighbour in the
        # shuffled batch, mostly another subject's.
        candidates = (torch.cat([values, values.roll(1, 0)]) for values in others)
        log_odds = self.agreement_head(
            *candidates,
            tuple(values.repeat(2, 1, 1) for values in others),
            batch.available.repeat(2, 1),
        )
        matched, mismatched = log_odds.chunk(2)
        # softplus(-x) and softplus(x): the logistic loss of the two classes.
        return weighted_mean(F.softplus(-matched), weight) + weighted_mean(
            F.softplus(mismatched), weight * batch.available.roll(1, 0)
        )


def _mean_agreement(pairs: Tensor, available: Tensor) -> tuple[Tensor, Tensor]:
    """Compute each modality's mean agreement with the others, and theirs among themselves.

    Parameters
    ----------
    pairs : Tensor, shape (B, M, M)
        As `pairwise_coherence` returns them.
    available : Tensor, shape (B, M)

    Returns
    -------
    with_others, among_others : Tensor, shape (B, M)
        1 where there are too few modalities to disagree.
    """
    n = pairs.shape[-1]
    off_diagonal = 1 - torch.eye(n, device=pairs.device)
    both = available[:, :, None] * available[:, None, :] * off_diagonal
    total, count = (both * pairs).sum(-1), both.sum(-1)
    # The sum over all ordered pairs less those that contain the modality, in either order.
    rest = (both * pairs).sum((1, 2))[:, None] - 2 * total
    n_rest = both.sum((1, 2))[:, None] - 2 * count
    with_others = torch.where(count > 0, total / count.clamp(min=1), 1.0)
    return with_others, torch.where(n_rest > 0, rest / n_rest.clamp(min=1), 1.0)


method = CoherenceTransfer
