"""Scores on validation windows, by which the best epoch of a run is selected."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from consilience.model.losses import cross_entropy, gaussian_nll

TEMPERATURES = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)


def selection_loss(logits: Tensor, target: Tensor, mean: Tensor, affect: Tensor) -> float:
    """Compute the model-selection loss: cross-entropy at the best temperature, plus affect error.

    Confidence is calibrated after the training, so it must not influence early stopping: the
    cross-entropy is that of the best of `TEMPERATURES`, and the affect's error ignores the
    predicted variance.

    Parameters
    ----------
    logits, target : Tensor, shape (B, K)
    mean, affect : Tensor, shape (B, A)
        Predicted and true, standardised.
    """
    best = min(float(cross_entropy(logits / t, target)) for t in TEMPERATURES)
    return best + float(gaussian_nll(mean, torch.zeros_like(mean), affect))


def balanced_accuracy(logits: Tensor, target: Tensor) -> float:
    """Compute the mean recall over the classes that occur; NaN without a labelled window.

    Parameters
    ----------
    logits, target : Tensor, shape (B, K)
        Target rows with NaN are skipped.
    """
    labelled = target.isfinite().all(-1)
    truth = target[labelled].argmax(-1)
    hit = logits[labelled].argmax(-1) == truth
    recalls = [float(hit[truth == k].float().mean()) for k in truth.unique()]
    return float(np.mean(recalls)) if recalls else math.nan
