"""Coherence-guided transfer: a clean, full-input teacher, a masked student, and whom to believe.

After the description of H.-J. Jang's thesis (arXiv 2511.15741) and of arXiv 2507.13092; no code
is published and the formulas here are this project's own. Student and teacher are hybrids of
unimodal logits and a joint head with encoders of their own. The teacher always sees everything
that was recorded, clean; the student sees masked, corrupted windows and learns from the labels
and, where labels are scarce, from the teacher's predictions. Labels that the sensors contradict
too often are corrected by what the sensors think. All modalities share one latent space: class
prototypes in it give evidence and vacuity, and a witness learns, from windows put together of two
people's, which sensor contradicts the others. What sensors are worth decides the mixture of the
coalitions they can form.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812

from consilience.methods.base import Method, plain_prediction
from consilience.methods.gce import generalised_cross_entropy
from consilience.methods.hybrid import Classify, summed_loss
from consilience.methods.params.coherence_transfer import Params as CoherenceTransferParams
from consilience.model.fusion import Opinions, SummedNetwork
from consilience.model.losses import cross_entropy, divergence, evidential_loss, weighted_mean
from consilience.model.modality_subsets import belief, coalitions, mixture
from consilience.model.types import Batch, Prediction
from consilience.model.uncertainty import (
    jensen_shannon,
    normalised_entropy,
    pairwise_coherence,
    vacuity,
)

CLUES = 7  # to what a sensor is worth
CERTAIN = 30.0  # log odds
SHRINKAGE = 1e-3  # of the weights of clues
LEAST_LIKELY = 0.01  # of what a sensor shows, given the others; keeps the logarithm finite
SHARPEST = 2.0  # log of the power to which a prediction can be raised, either way


class SharedSpace(nn.Module):
    """One latent space for all modalities, with class prototypes in it."""

    def __init__(self, n_modalities: int, n_classes: int, width: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(
            [nn.Linear(width, width, bias=False) for _ in range(n_modalities)]
        )
        self.prototypes = nn.Parameter(torch.randn(n_classes, width))
        self.scale = nn.Parameter(torch.full((n_modalities,), 5.0))
        self.bias = nn.Parameter(torch.full((n_modalities,), -2.0))

    def forward(self, encodings: Tensor) -> Tensor:
        """Return unit vectors (B, M, W) of encodings (B, M, W)."""
        projected = [p(encodings[:, index]) for index, p in enumerate(self.projections)]
        return F.normalize(torch.stack(projected, 1), dim=-1, eps=1e-6)

    def evidence(self, latent: Tensor, available: Tensor) -> Tensor:
        """Return evidence (B, M, K) from the similarity to the prototypes, 0 for the missing."""
        similarity = latent @ F.normalize(self.prototypes, dim=-1).T
        evidence = F.softplus(self.scale[:, None] * similarity + self.bias[:, None])
        return evidence * available[..., None]


class Witness(nn.Module):
    """Judges from the shared space and the predictions whether a sensor fits the others."""

    def __init__(self, n_modalities: int, width: int, dropout: float) -> None:
        super().__init__()
        self.judges = nn.ModuleList(
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
        """Return log odds (B, M) that each sensor shows what the others show.

        Parameters
        ----------
        latent, probability : Tensor, shape (B, M, W) and (B, M, K)
            Of the sensors judged.
        others : tuple of Tensor
            The same of the sensors they are held against; may be another window's.
        available : Tensor, shape (B, M)
        """
        n = available.shape[-1]
        weight = available[:, None, :] * (1 - torch.eye(n, device=available.device))
        centre = F.normalize(weight @ others[0], dim=-1, eps=1e-6)
        mean = (weight @ others[1]) / weight.sum(-1, keepdim=True).clamp(min=1)
        agreement = 1 - jensen_shannon(probability, mean)
        product = latent * centre
        told = torch.cat(
            [
                product * product.shape[-1] ** 0.5,
                product.sum(-1, keepdim=True),
                agreement[..., None],
            ],
            -1,
        )
        odds = [judge(told[:, index])[:, 0] for index, judge in enumerate(self.judges)]
        return torch.stack(odds, 1)


class Observed(NamedTuple):
    """What is known of windows before it is decided whom to believe."""

    logits: Tensor  # (B, S, K), of every coalition
    clues: Tensor  # (B, M, C)
    evidence: Tensor  # (B, M, K)
    affect_mean: Tensor  # (B, A)
    affect_log_variance: Tensor
    available: Tensor  # (B, M)


class CoherenceTransfer(Method):
    """The student, its teacher, the shared space and the witness."""

    Params = CoherenceTransferParams
    cross_fitted = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        params, n_modalities = self.params, len(self.encoders)
        self.network = SummedNetwork(
            dict(self.encoders.items()), self.n_classes, self.width, self.new_head
        )
        self.space = SharedSpace(n_modalities, self.n_classes, self.width)
        self.witness = Witness(n_modalities, self.width, self.dropout)
        if params.transfer:
            self.teacher = copy.deepcopy(self.network)
        masks = coalitions(n_modalities)
        self._masks = (masks,)
        self.calibration["log_temperature"] = nn.Parameter(torch.zeros(len(masks)))
        self.calibration["sharpness"] = nn.Parameter(torch.zeros(2))
        for belief_of in ("worth", "sound"):
            self.calibration[belief_of] = nn.Parameter(torch.zeros(n_modalities, CLUES))
            self.calibration[f"{belief_of}_prior"] = nn.Parameter(torch.full((n_modalities,), 3.0))

    def forward(self, given: tuple[dict[str, Tensor], Tensor]) -> Observed:
        """Return the opinions of all coalitions and clues to what each sensor is worth."""
        inputs, available = given
        said = self.network(inputs, available)
        masks = self._masks[0].to(available.device)
        probability = said.unimodal.softmax(-1)
        latent = self.space(said.encodings)
        evidence = self.space.evidence(latent, available)
        several = (available.sum(-1, keepdim=True) > 1).to(available.dtype)
        odds = torch.zeros_like(available)
        if self.params.witness:
            odds = self.witness(latent, probability, (latent, probability), available) * several
        shown = [
            torch.where(has > 0, inputs[name].flatten(1).square().mean(1), 0.0)
            for has, name in zip(available.T, self.encoders, strict=True)
        ]
        strange = torch.log(torch.stack(shown, 1) + 0.01)
        pairs = pairwise_coherence(probability)
        own, rest = _agreement(pairs, available)
        clues = torch.stack(
            [
                odds,
                strange,
                strange.square(),
                normalised_entropy(probability),
                (own - 1) * several,
                (rest - 1) * several,
                self._foreseen(said, probability, available) * several,
            ],
            -1,
        )
        clues = clues * available[..., None]
        return Observed(
            self.network.of_coalitions(said, masks * available[:, None]),
            clues,
            evidence,
            said.affect[0],
            said.affect[1],
            available,
        )

    def _foreseen(self, said: Opinions, probability: Tensor, available: Tensor) -> Tensor:
        """Return ``log K sum_k p_m(k) q_m(k)`` (B, M): how well the others foresee each sensor.

        With ``q_m`` the prediction of all other sensors together and even classes, it is the log
        likelihood ratio of "it shows the class the others show" and "it shows any".
        """
        n = available.shape[-1]
        others = available[:, None, :] * (1 - torch.eye(n, device=available.device))
        foreseen = self.network.of_coalitions(said, others).softmax(-1)
        return torch.log(self.n_classes * (probability * foreseen).sum(-1) + LEAST_LIKELY)

    def calibrated(self, observed: Observed) -> Prediction:
        """Return the mixture of the coalitions, and which sensor is not to be believed.

        Two weighings of the same clues: what a sensor is *worth* for the prediction, fitted by the
        cross-entropy, and whether it is *sound*, fitted on sensors known to be spoilt or to show
        somebody else. A sensor can be sound and say little.
        """
        worth = self._odds(observed, "worth")
        logits = self._mixture(observed, worth)
        if self.params.evidence:
            unknown = vacuity((observed.evidence * worth.sigmoid()[..., None]).sum(1))
        else:
            unknown = normalised_entropy(logits.softmax(-1))
        sound = self._odds(observed, "sound").sigmoid() * observed.available
        return plain_prediction(
            logits,
            (observed.affect_mean, observed.affect_log_variance),
            observed.available,
            vacuity=unknown,
            reliability=sound,
            coherence=torch.where(observed.available > 0, sound, 1.0).amin(-1),
        )

    def _mixture(self, observed: Observed, worth: Tensor) -> Tensor:
        """Return the coalitions' mixture, raised to a power that its own entropy decides.

        A mixture of coalitions that agree is less certain than it should be.
        """
        masks = self._masks[0].to(observed.available.device)
        if not self.params.coalitions:
            worth = torch.full_like(worth, CERTAIN)
        temperature = self.calibration["log_temperature"].exp()[:, None]
        logits = mixture(belief(worth, observed.available, masks), observed.logits / temperature)
        always, undecided = self.calibration["sharpness"]
        power = always + undecided * normalised_entropy(logits.softmax(-1))
        return logits * power.clamp(-SHARPEST, SHARPEST).exp()[:, None]

    def _odds(self, observed: Observed, name: str) -> Tensor:
        weighed = (observed.clues * self.calibration[name]).sum(-1)
        return self.calibration[f"{name}_prior"] + weighed

    def calibration_loss(self, seen: tuple[Any, Tensor, Tensor]) -> Tensor:
        """Return the cross-entropy of the mixture and of telling sound from faulty sensors."""
        observed, target, faulty = seen
        known = faulty.isfinite() & (observed.available > 0)
        wanted = torch.where(known, 1 - faulty, 0.0)
        told = F.binary_cross_entropy_with_logits(
            self._odds(observed, "sound"), wanted, reduction="none"
        )
        weights = (self.calibration[name] for name in ("worth", "sound", "sharpness"))
        shrinkage = sum(weight.square().sum() for weight in weights)
        logits = self._mixture(observed, self._odds(observed, "worth"))
        loss = -(target * logits.log_softmax(-1)).sum(-1)
        return loss + torch.where(known, told, 0.0).sum(-1) + SHRINKAGE * shrinkage

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the student's loss and its opinion; the teacher's as well if always followed."""
        if self.params.transfer and self.params.teach == "always":
            return self.semi_supervised_loss(batch, progress)
        said = self.network(batch.inputs, batch.available)
        return self._own_loss(said, batch, progress), said.logits.detach().softmax(-1)

    def semi_supervised_loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return student's, teacher's and transfer losses, and the teacher's opinion.

        Where every window has a label, labels say it all, and nobody needs a teacher.
        """
        said = self.network(batch.inputs, batch.available)
        loss = self._own_loss(said, batch, progress)
        if not self.params.transfer:
            return loss, said.logits.detach().softmax(-1)
        target, classify = self._target(batch, progress), self._classify(batch)
        taught = self.teacher(batch.clean, batch.present)
        loss = loss + summed_loss(taught, batch.present, target, batch.affect, 0.5, classify)
        loss = loss + self._transfer(said, taught, batch, progress)
        return loss, taught.logits.detach().softmax(-1)

    def _own_loss(self, said: Opinions, batch: Batch, progress: float) -> Tensor:
        """Return what the student learns from labels: fused, alone, prototypes and witness."""
        params = self.params
        target, classify = self._target(batch, progress), self._classify(batch)
        loss = summed_loss(said, batch.available, target, batch.affect, params.unimodal, classify)
        latent = self.space(said.encodings.detach())
        if params.evidence:
            loss = loss + params.evidence * self._evidence_loss(latent, batch, target, progress)
        if params.witness:
            loss = loss + params.witness * self._witness_loss(latent, said, batch)
        return loss

    def _target(self, batch: Batch, progress: float) -> Tensor:
        """Return the labels, in the light of what the sensors think of them.

        Bayes' rule with labels that are right as often as their reliability says, and otherwise
        any other class. The prior is what the sensors judged before the training and, more and
        more as it goes on, what the model has come to think.
        """
        if self.params.trust == "off":
            return batch.target
        n_classes = self.n_classes
        right = ((batch.label_reliability * (n_classes - 1) + 1) / n_classes).clamp(max=0.999)
        wrong = (1 - right) / (n_classes - 1)
        prior = (
            batch.judged.log() * (1 - progress) + batch.consensus.clamp(min=1e-6).log() * progress
        )
        prior = prior.softmax(-1)
        posterior = prior * (wrong + (right - wrong) * batch.target)
        posterior = posterior / posterior.sum(-1, keepdim=True).clamp(min=1e-8)
        return torch.where(self._doubted(batch), posterior, batch.target)

    def _doubted(self, batch: Batch) -> Tensor:
        """Return whether the run's labels are unreliable enough to be corrected."""
        if self.params.trust == "on":
            return torch.ones_like(batch.label_reliability, dtype=torch.bool)
        return batch.label_reliability < self.params.trust_below

    def _classify(self, batch: Batch) -> Classify:
        """Return the cross-entropy; the generalised one, which forgives, for doubted labels."""
        if self.params.trust == "off" or not self.params.robust:
            return cross_entropy
        doubted = self._doubted(batch)

        def either(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
            forgiving = generalised_cross_entropy(self.params.robust, logits, target, weight)
            return torch.where(doubted, forgiving, cross_entropy(logits, target, weight))

        return either

    def _witness_loss(self, latent: Tensor, said: Opinions, batch: Batch) -> Tensor:
        probability = said.unimodal.softmax(-1).detach()
        several = (batch.available.sum(-1, keepdim=True) > 1).to(latent.dtype)
        weight = batch.available * several
        others = (latent, probability)
        judged = (torch.cat([seen, seen.roll(1, 0)]) for seen in others)  # own, somebody else's
        odds = self.witness(
            *judged, tuple(seen.repeat(2, 1, 1) for seen in others), batch.available.repeat(2, 1)
        )
        own, other = odds.chunk(2)
        return weighted_mean(F.softplus(-own), weight) + weighted_mean(
            F.softplus(other), weight * batch.available.roll(1, 0)
        )

    def _evidence_loss(
        self, latent: Tensor, batch: Batch, target: Tensor, progress: float
    ) -> Tensor:
        evidence = self.space.evidence(latent, batch.available)
        loss = torch.zeros((), device=target.device)
        for index in range(evidence.shape[1]):
            weight = batch.available[:, index]
            loss = loss + evidential_loss(evidence[:, index], target, weight, 0.1 * progress)
        return loss

    def _transfer(self, said: Opinions, taught: Opinions, batch: Batch, progress: float) -> Tensor:
        params = self.params
        n_modalities = said.unimodal.shape[1]
        taken = [batch.available.amax(-1), *batch.available.T]
        spoken = [(said.logits, 1.0)]
        spoken += [(said.unimodal[:, index], 0.5) for index in range(n_modalities)]
        if params.through_head:
            taken += batch.available.T
            spoken += [(logits, params.through_head) for logits in self._through_heads(said)]
        loss = torch.zeros((), device=taught.logits.device)
        for (logits, share), weight in zip(spoken, taken, strict=True):
            told = divergence(logits, taught.logits, params.temperature, weight)
            loss = loss + share * told
        ramp = min(1.0, progress / params.ramp) if params.ramp else 1.0
        return params.transfer * ramp * loss

    def _through_heads(self, said: Opinions) -> list[Tensor]:
        """Return the teacher's heads' logits (B, K) of the student's encodings, by modality.

        After arXiv 2507.13092; the heads themselves learn nothing from it.
        """
        logits = []
        for index, head in enumerate(self.teacher.heads):
            frozen = {name: weight.detach() for name, weight in head.named_parameters()}
            output = functional_call(head, frozen, (said.encodings[:, index],))
            logits.append(output[:, : self.n_classes])
        return logits


def _agreement(pairs: Tensor, available: Tensor) -> tuple[Tensor, Tensor]:
    """Return each sensor's mean agreement with the others, and theirs among themselves (B, M).

    1 where there are not enough of them to disagree.
    """
    n = pairs.shape[-1]
    apart = 1 - torch.eye(n, device=pairs.device)
    both = available[:, :, None] * available[:, None, :] * apart
    total, count = (both * pairs).sum(-1), both.sum(-1)
    rest = (both * pairs).sum((1, 2))[:, None] - 2 * total
    n_rest = both.sum((1, 2))[:, None] - 2 * count
    own = torch.where(count > 0, total / count.clamp(min=1), 1.0)
    return own, torch.where(n_rest > 0, rest / n_rest.clamp(min=1), 1.0)


method = CoherenceTransfer
