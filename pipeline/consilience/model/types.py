"""The batches and predictions that methods exchange with training and evaluation.

Shapes: B windows, M modalities in the corpus's order, K classes, A affect targets
(valence, arousal).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

# Prepared windows (B, ...) per modality, and the availability (B, M) of the modalities. Of one
# window under several sets of modalities, the inputs are given once, and encoded once: availability
# has the shape (Q * B, M), all windows under the first set first.
Windows = tuple[dict[str, Tensor], Tensor]


class Batch(NamedTuple):
    """Training windows of one run.

    Attributes
    ----------
    inputs : dict of str to Tensor, shape (B, ...)
        Augmented prepared windows per modality, standardised; 0 where not available.
    available : Tensor of float, shape (B, M)
        1 where a modality was recorded and modality dropout kept it.
    clean : dict of str to Tensor, shape (B, ...)
        The same windows before augmentation.
    present : Tensor of float, shape (B, M)
        1 where a modality was recorded.
    target : Tensor, shape (B, K)
        Soft labels; rows of NaN are unlabelled.
    affect : Tensor, shape (B, A)
        Standardised valence and arousal; NaN where unlabelled.
    consensus : Tensor, shape (B, K)
        Moving average of the probabilities that this run's `Method.loss` has returned for these
        windows so far (temporal ensembling).
    label_estimate : Tensor, shape (B, K)
        Cross-fitted class probabilities, computed without the windows' own labels; see
        `consilience.training.label_reliability`, and `soft_targets` for unlabelled windows. NaN
        unless the method requests it.
    sensor_weight : Tensor, shape (B, M)
        Probability that a modality of an unlabelled window is not mismatched; 1 for labelled
        windows, and unless the method requests it.
    label_reliability : Tensor, scalar
        Estimated reliability of this run's labels, 0 to 1; 1 unless the method requests it.
    disagreement : Tensor, scalar
        Mean share of the annotators' votes outside the leading class, over this run's training
        windows with several annotators; 0 without such windows.
    """

    inputs: dict[str, Tensor]
    available: Tensor
    clean: dict[str, Tensor]
    present: Tensor
    target: Tensor
    affect: Tensor
    consensus: Tensor
    label_estimate: Tensor
    sensor_weight: Tensor
    label_reliability: Tensor
    disagreement: Tensor


class Prediction(NamedTuple):
    """Output of a method for a batch of windows.

    Attributes
    ----------
    logits : Tensor, shape (B, K)
    affect_mean, affect_log_variance : Tensor, shape (B, A)
        Normal distributions in standardised units.
    vacuity : Tensor, shape (B,)
        Lack of evidence, 0 to 1; 1 without any modality.
    reliability : Tensor, shape (B, M)
        Reliability of each modality, 0 to 1; NaN if the method does not estimate it.
    coherence : Tensor, shape (B,)
        Agreement of the available modalities, 0 to 1; NaN if the method does not estimate it.
    available : Tensor of float, shape (B, M)
        1 for the modalities that the prediction is made from.
    input_energy : Tensor, shape (B, M)
        Log mean square of each modality's standardised input, computed by `Method.uncalibrated`; 0
        before, and where not available.
    """

    logits: Tensor
    affect_mean: Tensor
    affect_log_variance: Tensor
    vacuity: Tensor
    reliability: Tensor
    coherence: Tensor
    available: Tensor
    input_energy: Tensor
