"""What a method of fusing modalities must offer, and the shapes it speaks in.

Shapes: B windows, M modalities in the corpus's order, K classes, A affect targets
(valence, arousal).
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from pipeline.model.losses import cross_entropy, gaussian_nll
from pipeline.model.opinions import normalised_entropy

AFFECT = ("valence", "arousal")


class MethodParams(BaseModel):
    """Parameters of one method; a key the method does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    disagreement: Tensor


class Reading(NamedTuple):
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


class Method(nn.Module):
    """One way of fusing modalities.

    A subclass gives `Params`, `read`, where it needs one `loss`, and a constructor
    ``(encoders, n_classes, width, dropout, params)``: one encoder a modality in the corpus's
    order, K, the numbers in an encoding, the dropout probability and an instance of `Params`.
    It must ignore what it is given of a modality that is not available.
    """

    Params: ClassVar[type[MethodParams]] = MethodParams

    def read(self, given: tuple[dict[str, Tensor], Tensor]) -> Reading:
        """Read windows from (inputs, available), shaped as in `Batch`."""
        raise NotImplementedError

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch and opinions (B, K) on its labels.

        Parameters
        ----------
        batch : Batch
        progress : float
            Share of the training behind us, 0 to 1.

        Returns
        -------
        loss : Tensor, scalar
        opinion : Tensor, shape (B, K)
            Probabilities, detached, that enter the moving consensus.
        """
        reading = self.read((batch.inputs, batch.available))
        return task_loss(reading, batch), reading.logits.detach().softmax(-1)


def task_loss(reading: Reading, batch: Batch) -> Tensor:
    """Return the cross-entropy plus the affect's negative log likelihood of a reading."""
    affect = gaussian_nll(reading.affect_mean, reading.affect_log_variance, batch.affect)
    return cross_entropy(reading.logits, batch.target) + affect


def plain_reading(
    logits: Tensor, affect: tuple[Tensor, Tensor], available: Tensor, **more: Tensor
) -> Reading:
    """Return a reading whose vacuity is the entropy of the prediction, ``H(p) / ln K``."""
    nothing = available.sum(-1) == 0
    uncertainty = torch.where(nothing, 1.0, normalised_entropy(logits.softmax(-1)))
    unknown = torch.full_like(available, torch.nan)
    told = {"vacuity": uncertainty, "reliability": unknown, "coherence": unknown[:, 0], **more}
    return Reading(logits, *affect, **told)
