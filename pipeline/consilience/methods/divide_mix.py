"""DivideMix: two hybrids that divide the windows for each other into clean and wrong labels.

Li et al. 2020, "DivideMix: learning with noisy labels as semi-supervised learning" (ICLR; arXiv
2002.07394). A mixture of two normal distributions over a network's losses gives each label a
probability of being clean, by which its peer is trained: a clean label is refined with the peer's
own prediction, a wrong one is removed, and the window gets the mean prediction of both networks as
target (co-refinement and co-guessing), sharpened. A penalty keeps the mean prediction near a
uniform one.

Simplified: the mixture is fitted to the losses of a batch, not of all windows after an epoch;
losses, refinements and guesses use the complete, clean windows instead of the mean over two
augmentations; no windows are mixed with each other (MixMatch), because a network draws no random
numbers but its dropout. Unlabelled windows are windows with a wrong label.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from consilience.methods.ensemble import Networks, averaged
from consilience.methods.hybrid import summed_loss
from consilience.methods.params.divide_mix import Params as DivideMixParams
from consilience.model.fusion import SummedOutput
from consilience.model.losses import beside, mean_over_windows
from consilience.model.types import Batch

BALANCE = 1.0  # weight of the penalty on an uneven mean prediction
STEPS = 10  # of expectation maximisation; two separate groups need fewer
MIN_VARIANCE = 5e-4  # of losses scaled to 0 ... 1


class DivideMix(Networks):
    """``sum_e [L(e, clean) + u sum |p_e - guess|^2 + KL(uniform || mean p_e)]``."""

    Params = DivideMixParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._add_networks(2)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the sum of the networks' losses, each on labels that its peer divided."""
        params = self.params
        outputs = self.outputs(batch.inputs, batch.available)
        # No gradient: the clean view is the target and must not adapt to the augmented one.
        with torch.no_grad():
            views = self.outputs(batch.clean, batch.present)
            certain = [view.logits.softmax(-1) for view in views]
        probability = averaged(views, batch.present).logits.softmax(-1)
        if progress < params.warm_up:
            losses = [self._warm_up_loss(output, batch) for output in outputs]
            return torch.stack(losses).sum(), probability
        guess = sharpened((certain[0] + certain[1]) / 2, params.temperature)
        clean = [clean_probability(view.logits, batch.target) for view in views]
        # The weight of the guesses grows, as both networks are poor at first.
        ramp = (progress - params.warm_up) / max(1 - params.warm_up, 1e-8)
        losses = [
            self._divided_loss(output, batch, by_peer, predicted, guess, ramp)
            for output, by_peer, predicted in zip(outputs, reversed(clean), certain, strict=True)
        ]
        return torch.stack(losses).sum(), probability

    def _warm_up_loss(self, output: SummedOutput, batch: Batch) -> Tensor:
        return summed_loss(
            output, batch.available, batch.target, batch.affect, self.params.unimodal
        )

    def _divided_loss(
        self,
        output: SummedOutput,
        batch: Batch,
        clean: Tensor,
        predicted: Tensor,
        guess: Tensor,
        ramp: float,
    ) -> Tensor:
        """Compute the loss of a network.

        Parameters
        ----------
        clean : Tensor, shape (B,)
            Probability that a label is right, by the other network; 0 without a label.
        predicted : Tensor, shape (B, K)
            The network's own prediction for the clean window.
        guess : Tensor, shape (B, K)
            Target of windows without a clean label.
        ramp : float
            0 to 1.
        """
        params, available = self.params, batch.available
        share = clean[:, None]
        refined = sharpened(share * batch.target + (1 - share) * predicted, params.temperature)
        kept = clean > params.threshold
        target = torch.where(kept[:, None], refined, torch.nan)
        loss = summed_loss(output, available, target, batch.affect, params.unimodal)
        rest = (~kept).to(guess.dtype)
        guessed = squared_error(output.logits, guess, rest * available.amax(-1))
        alone = squared_error(output.unimodal, guess, rest[:, None] * available)
        loss = loss + params.unlabelled * ramp * (guessed + params.unimodal * alone)
        return loss + BALANCE * imbalance(output.logits, available.amax(-1))


def clean_probability(logits: Tensor, target: Tensor) -> Tensor:
    """Compute the probability that each label is clean, from the losses of a batch.

    The posterior of the component with the lower mean in a mixture of two normal distributions,
    fitted by expectation maximisation to the losses scaled to 0 ... 1.

    Parameters
    ----------
    logits : Tensor, shape (B, K)
    target : Tensor, shape (B, K)
        Rows with NaN are unlabelled.

    Returns
    -------
    Tensor, shape (B,)
        Falls as the loss rises; 0 for unlabelled windows.
    """
    labelled = target.isfinite().all(-1)
    losses = -(target * logits.log_softmax(-1)).sum(-1)
    lowest = torch.where(labelled, losses, torch.inf).amin()
    highest = torch.where(labelled, losses, -torch.inf).amax()
    spread = (highest - lowest).clamp(min=1e-8)
    scaled = torch.where(labelled, (losses - lowest) / spread, 0.0)[:, None]
    counted = labelled.to(logits.dtype)[:, None]
    total = counted.sum().clamp(min=1)
    mean = torch.tensor([0.0, 1.0], device=logits.device)
    log_share, variance = torch.zeros_like(mean), torch.full_like(mean, 0.1)
    # A fixed number of steps: under vmap the runs cannot stop at different ones.
    for _ in range(STEPS):
        posterior = _posterior(scaled, log_share, mean, variance) * counted
        size = posterior.sum(0).clamp(min=1e-8)
        mean = (posterior * scaled).sum(0) / size
        variance = (posterior * (scaled - mean).square()).sum(0) / size
        variance, log_share = variance.clamp(min=MIN_VARIANCE), (size / total).log()
    # Between the means, where the posterior falls as the loss rises; beyond them the wider of the
    # two distributions would win on either side.
    between = torch.minimum(torch.maximum(scaled, mean[:1]), mean[1:])
    return (_posterior(between, log_share, mean, variance) * counted)[:, 0]


def _posterior(scaled: Tensor, log_share: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Compute the posterior (B, 2) of two normal distributions (2,) for values (B, 1)."""
    log_density = -0.5 * ((scaled - mean).square() / variance + variance.log())
    return (log_share + log_density).softmax(-1)


def sharpened(probability: Tensor, temperature: float) -> Tensor:
    """Raise a distribution over the last axis to the power ``1 / temperature``."""
    return (probability.clamp(min=1e-8).log() / temperature).softmax(-1)


def squared_error(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute the mean squared difference of probabilities, averaged over classes and windows.

    Parameters
    ----------
    logits : Tensor, shape (B, K) or (B, M, K)
    target : Tensor, shape (B, K)
    weight : Tensor, shape (B,) or (B, M)

    Returns
    -------
    Tensor, scalar
        Of (B, M, K), the sum of the M means.
    """
    error = (logits.softmax(-1) - beside(target, logits)).square().mean(-1)
    return mean_over_windows(error, weight)


def imbalance(logits: Tensor, weight: Tensor) -> Tensor:
    """Compute ``KL(uniform || mean prediction)``: 0 if all classes are predicted equally often.

    Parameters
    ----------
    logits : Tensor, shape (B, K)
    weight : Tensor, shape (B,)

    Returns
    -------
    Tensor, scalar
    """
    total = weight.sum().clamp(min=1e-8)
    mean = (logits.softmax(-1) * weight[:, None]).sum(0) / total
    uniform = torch.full_like(mean, 1 / mean.shape[-1])
    return (uniform * (uniform / mean.clamp(min=1e-8)).log()).sum()


method = DivideMix
