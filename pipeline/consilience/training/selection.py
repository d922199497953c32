"""Scores on validation windows, by which the best epoch of a run is selected.

Scores are computed from sums over windows, for all runs and test conditions at once, so that the
windows can be predicted in batches. Shapes: leading axes such as conditions and runs, B windows,
K classes, A affect targets, T temperatures.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

TEMPERATURES = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)


class SelectionSums(NamedTuple):
    """Sums over windows; those of batches are added field by field.

    Attributes
    ----------
    cross_entropy : Tensor, shape (..., T)
    labelled : Tensor, shape (...)
        Number of labelled windows.
    affect_error : Tensor, shape (...)
        Half of the squared errors.
    affect_known : Tensor, shape (...)
        Number of known affect values.
    hits, occurrences : Tensor, shape (..., K)
        By true class.
    """

    cross_entropy: Tensor
    labelled: Tensor
    affect_error: Tensor
    affect_known: Tensor
    hits: Tensor
    occurrences: Tensor

    def plus(self, other: SelectionSums) -> SelectionSums:
        """Return the sums over the windows of both."""
        return SelectionSums(*(a + b for a, b in zip(self, other, strict=True)))

    def loss(self) -> Tensor:
        """Compute the model-selection loss: cross-entropy at the best temperature, plus affect.

        Confidence is calibrated after the training, so it must not influence early stopping: the
        cross-entropy is that of the best of `TEMPERATURES`, and the affect's error ignores the
        predicted variance.
        """
        cross_entropy = self.cross_entropy / self.labelled.clamp(min=1e-8)[..., None]
        return cross_entropy.amin(-1) + self.affect_error / self.affect_known.clamp(min=1e-8)

    def balanced_accuracy(self) -> Tensor:
        """Compute the mean recall over the classes that occur; NaN without a labelled window."""
        recall = self.hits / self.occurrences.clamp(min=1)
        return recall.sum(-1) / (self.occurrences > 0).sum(-1)


def selection_sums(
    logits: Tensor, target: Tensor, mean: Tensor, affect: Tensor, counted: Tensor
) -> SelectionSums:
    """Compute the sums of some windows.

    Parameters
    ----------
    logits, target : Tensor, shape (..., B, K)
        Target rows with NaN are skipped.
    mean, affect : Tensor, shape (..., B, A)
        Predicted and true, standardised; NaN of the truth is skipped.
    counted : Tensor of bool, shape (..., B)
        False for windows to skip.
    """
    labelled = target.isfinite().all(-1) & counted
    truth = torch.where(labelled[..., None], target, 0.0)
    temperatures = torch.tensor(TEMPERATURES, device=logits.device)
    log_probability = F.log_softmax(logits[..., None, :] / temperatures[:, None], -1)
    cross_entropy = -(truth[..., None, :] * log_probability).sum((-3, -1))
    rated = affect.isfinite() & counted[..., None]
    error = torch.where(rated, affect - mean, 0.0)
    true_class = F.one_hot(truth.argmax(-1), logits.shape[-1]) * labelled[..., None]
    hit = logits.argmax(-1) == truth.argmax(-1)
    return SelectionSums(
        cross_entropy,
        labelled.sum(-1),
        0.5 * error.square().sum((-2, -1)),
        rated.sum((-2, -1)),
        (true_class * hit[..., None]).sum(-2),
        true_class.sum(-2),
    )
