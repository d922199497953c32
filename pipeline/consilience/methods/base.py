"""What a method of fusing modalities must offer, and the shapes it speaks in.

Shapes: B windows, M modalities in the corpus's order, K classes, A affect targets
(valence, arousal).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from consilience.model.fusion import Heads
from consilience.model.losses import cross_entropy, gaussian_nll
from consilience.model.uncertainty import normalised_entropy

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

    A subclass gives `Params`, `observe`, where it needs them `loss`, `decide` and parameters of
    its own in `calibration`. It must ignore what it is given of a modality that is not available.

    A window is read in two steps. `observe` is the trained network; `decide` makes the reading of
    what was observed, and is all that `calibration` has a part in. Once the network is trained,
    the parameters of `calibration`, and no others, are fitted on corrupted windows of the
    validation subjects.

    Parameters
    ----------
    encoders : mapping of str to Module
        One a modality, in the corpus's order.
    n_classes : int
    width : int
        Numbers in an encoding.
    dropout : float
    params : MethodParams
        An instance of `Params`.
    hidden : bool
        Whether heads over encodings have a hidden layer.
    """

    Params: ClassVar[type[MethodParams]] = MethodParams
    cross_fitted: ClassVar[bool] = False  # whether it asks for `Batch.judged`

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        n_classes: int,
        width: int,
        dropout: float,
        params: Any,
        hidden: bool = True,
    ) -> None:
        super().__init__()
        self.n_classes, self.width, self.dropout, self.params = n_classes, width, dropout, params
        self.new_head = Heads(width, dropout, hidden)
        self.encoders = nn.ModuleDict(encoders)
        self.calibration = nn.ParameterDict({"log_temperature": nn.Parameter(torch.zeros(()))})

    def observe(self, given: tuple[dict[str, Tensor], Tensor]) -> Any:
        """Return what `decide` needs of (inputs, available), shaped as in `Batch`.

        The default `decide` wants a `Reading` before calibration, whose vacuity is NaN for a
        method that has none of its own: see `plain_reading`.
        """
        raise NotImplementedError

    def decide(self, observed: Any) -> Reading:
        """Return the calibrated reading: here, all logits divided by one temperature.

        Guo et al. 2017, "On calibration of modern neural networks". A vacuity of NaN becomes
        the entropy of the prediction, ``H(p) / ln K``.
        """
        logits = observed.logits * torch.exp(-self.calibration["log_temperature"])
        entropy = normalised_entropy(logits.softmax(-1))
        vacuity = torch.where(observed.vacuity.isfinite(), observed.vacuity, entropy)
        return observed._replace(logits=logits, vacuity=vacuity)

    def calibration_loss(self, seen: tuple[Any, Tensor, Tensor]) -> Tensor:
        """Return what calibration makes small, per window: here, the cross-entropy.

        Parameters
        ----------
        seen : tuple
            What `observe` returned; the target (B, K); and the faults (B, M) of the modalities: 1
            where a modality is badly corrupted or shows somebody else, 0 where it is as it was
            recorded, NaN in between.

        Returns
        -------
        Tensor, shape (B,)
        """
        observed, target, _ = seen
        return -(target * self.decide(observed).logits.log_softmax(-1)).sum(-1)

    def read(self, given: tuple[dict[str, Tensor], Tensor]) -> Reading:
        """Read windows from (inputs, available), shaped as in `Batch`."""
        return self.decide(self.observe(given))

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
        reading = self.observe((batch.inputs, batch.available))
        return task_loss(reading, batch), reading.logits.detach().softmax(-1)

    def semi_supervised_loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return what `loss` does, for a training in which some windows have no label."""
        return self.loss(batch, progress)


def task_loss(reading: Reading, batch: Batch) -> Tensor:
    """Return the cross-entropy plus the affect's negative log likelihood of a reading."""
    affect = gaussian_nll(reading.affect_mean, reading.affect_log_variance, batch.affect)
    return cross_entropy(reading.logits, batch.target) + affect


def plain_reading(
    logits: Tensor, affect: tuple[Tensor, Tensor], available: Tensor, **more: Tensor
) -> Reading:
    """Return a reading of windows, undecided among the classes where nothing is available.

    What a method does not tell stays NaN.
    """
    some = available.amax(-1, keepdim=True) > 0
    unknown = torch.full_like(available, torch.nan)
    told = {
        "vacuity": unknown[:, 0],
        "reliability": unknown,
        "coherence": unknown[:, 0],
        **more,
    }
    return Reading(torch.where(some, logits, 0.0), *affect, **told)
