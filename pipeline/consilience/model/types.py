"""The batches and predictions that methods exchange with training and evaluation.

Shapes: B windows, M modalities in the corpus's order, K classes, A affect targets
(valence, arousal).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Training windows of one run.

    Attributes
    ----------
    inputs : dict of str to Tensor, shape (B, ...)
        Augmented prepared windows per modality, standardised; 0 where not available.
    available : Tensor of float, shape (B, M)
        1 where a modality was recorded and modality dropout left it.
    clean : dict of str to Tensor, shape (B, ...)
        The same windows before augmentation.
    present : Tensor of float, shape (B, M)
        1 where a modality was recorded.
    target : Tensor, shape (B, K)
        Soft labels; NaN rows have none.
    affect : Tensor, shape (B, A)
        Standardised valence and arousal; NaN where unknown.
    consensus : Tensor, shape (B, K)
        Moving average of the opinions this run returned for these windows so far.
    judged : Tensor, shape (B, K)
        What the sensors together think, without having been told the label; see
        `consilience.training.label_reliability`. NaN unless the method asks for it.
    label_reliability : Tensor, scalar
        How far labels can be trusted according to them, 0 to 1.
    disagreement : Tensor, scalar
        Mean share of the annotators' votes that the leading class lacks, over this run's
        training windows with several annotators; 0 if there are none.
    """

    inputs: dict[str, Tensor]
    available: Tensor
    clean: dict[str, Tensor]
    present: Tensor
    target: Tensor
    affect: Tensor
    consensus: Tensor
    judged: Tensor
    label_reliability: Tensor
    disagreement: Tensor


class Prediction(NamedTuple):
    """What a method says of windows.

    Attributes
    ----------
    logits : Tensor, shape (B, K)
    affect_mean, affect_log_variance : Tensor, shape (B, A)
        Normal distributions in standardised units.
    vacuity : Tensor, shape (B,)
        Lack of evidence, 0 to 1; 1 without any modality.
    reliability : Tensor, shape (B, M)
        How far each modality is trusted, 0 to 1; NaN if the method does not tell.
    coherence : Tensor, shape (B,)
        How far the available modalities agree, 0 to 1; NaN if the method does not tell.
    """

    logits: Tensor
    affect_mean: Tensor
    affect_log_variance: Tensor
    vacuity: Tensor
    reliability: Tensor
    coherence: Tensor
