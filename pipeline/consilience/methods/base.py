"""What a method of fusing modalities must offer, and the shapes it speaks in.

Shapes: B windows, M modalities in the corpus's order, K classes, A affect targets
(valence, arousal).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from consilience.model.fusion import Heads
from consilience.model.losses import cross_entropy, gaussian_nll
from consilience.model.types import Batch, Prediction
from consilience.model.uncertainty import normalised_entropy
from consilience.schema.params.plugins import MethodParams

AFFECT = ("valence", "arousal")


class Method(nn.Module):
    """One way of fusing modalities.

    A subclass gives `Params`, `forward`, where it needs them `loss`, `calibrated` and parameters of
    its own in `calibration`. It must ignore what it is given of a modality that is not available.

    A window is read in two steps. `forward` is the trained network; `calibrated` makes the
    reading of what was observed, and is all that `calibration` has a part in. Once the network is
    trained, the parameters of `calibration`, and no others, are fitted on corrupted windows of the
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

    def forward(self, given: tuple[dict[str, Tensor], Tensor]) -> Any:
        """Return what `calibrated` needs of (inputs, available), shaped as in `Batch`.

        The default `calibrated` wants a `Prediction` before calibration, whose vacuity is NaN for a
        method that has none of its own: see `plain_prediction`.
        """
        raise NotImplementedError

    def calibrated(self, observed: Any) -> Prediction:
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
            What `forward` returned; the target (B, K); and the faults (B, M) of the modalities: 1
            where a modality is badly corrupted or shows somebody else, 0 where it is as it was
            recorded, NaN in between.

        Returns
        -------
        Tensor, shape (B,)
        """
        observed, target, _ = seen
        return -(target * self.calibrated(observed).logits.log_softmax(-1)).sum(-1)

    def predict(self, given: tuple[dict[str, Tensor], Tensor]) -> Prediction:
        """Read windows from (inputs, available), shaped as in `Batch`."""
        return self.calibrated(self.forward(given))

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
        reading = self.forward((batch.inputs, batch.available))
        return task_loss(reading, batch), reading.logits.detach().softmax(-1)

    def semi_supervised_loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return what `loss` does, for a training in which some windows have no label."""
        return self.loss(batch, progress)


def task_loss(reading: Prediction, batch: Batch) -> Tensor:
    """Return the cross-entropy plus the affect's negative log likelihood of a reading."""
    affect = gaussian_nll(reading.affect_mean, reading.affect_log_variance, batch.affect)
    return cross_entropy(reading.logits, batch.target) + affect


def plain_prediction(
    logits: Tensor, affect: tuple[Tensor, Tensor], available: Tensor, **more: Tensor
) -> Prediction:
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
    return Prediction(torch.where(some, logits, 0.0), *affect, **told)
