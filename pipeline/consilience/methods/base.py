"""Base class of the methods that fuse modalities.

Shapes: B windows, M modalities in the corpus's order, K classes, A affect targets
(valence, arousal).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from consilience.model.fusion import Heads, log_input_energy
from consilience.model.losses import cross_entropy, gaussian_nll
from consilience.model.modality_subsets import modality_subsets
from consilience.model.types import Batch, Prediction, Windows
from consilience.model.uncertainty import normalised_entropy
from consilience.schema.params.plugins import MethodParams

AFFECT = ("valence", "arousal")
SHRINKAGE = 1e-3  # L2 penalty of the calibration
MAX_LOG_TEMPERATURE = 3.0  # limit, in both directions: energies of failing sensors have no bound


class Method(nn.Module):
    """A network that fuses modalities.

    A subclass defines `Params` and `forward`, and where needed `loss`, `calibrated` and further
    parameters in `calibration`. It must ignore the input of modalities that are not available.

    A prediction takes two steps. `forward` is the trained network; `calibrated` turns its output,
    and the energy of its input, into a `Prediction` and is the only place where `calibration` is
    used. After the training the parameters in `calibration`, and no others, are fitted on corrupted
    windows of the validation subjects. Then `coverage`, the thresholds of prediction sets and
    intervals, follows from clean windows: see `consilience.training.coverage`.

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
    TRAINING_ONLY: ClassVar[tuple[str, ...]] = ()  # attributes that no prediction uses

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
        masks = modality_subsets(len(self.encoders))
        self._masks = (masks,)  # in a tuple: neither a parameter nor a buffer to stack per run
        self.calibration = nn.ParameterDict(
            {"log_temperature": nn.Parameter(torch.zeros(len(masks)))}
        )
        if len(self.encoders) > 1:  # of a single one, the temperature alone
            weight = torch.zeros(len(self.encoders), 2)
            self.calibration["energy_weight"] = nn.Parameter(weight)
        self.coverage = nn.Parameter(torch.zeros(len(masks), 1 + len(AFFECT)))

    def forward(self, windows: Windows) -> Any:
        """Compute the uncalibrated output.

        Parameters
        ----------
        windows : tuple
            Inputs by modality and their availability (B, M), as in `Batch`.

        Returns
        -------
        tuple of Tensor
            Input of `calibrated`; the first axis of every tensor is B. The default `calibrated`
            requires a `Prediction`, with a vacuity of NaN if the method does not estimate it:
            see `plain_prediction`.
        """
        raise NotImplementedError

    def uncalibrated(self, windows: Windows) -> Any:
        """Compute the input of `calibrated`: the output of `forward`, with the input's energy.

        The energy is set in outputs with the field ``input_energy``, such as a `Prediction`.
        """
        inputs, available = windows
        output = self.forward(windows)
        if "input_energy" not in output._fields:
            return output
        energy = log_input_energy(inputs, available, list(self.encoders))
        return output._replace(input_energy=torch.where(available > 0, energy, 0.0))

    def calibrated(self, output: Any) -> Prediction:
        """Compute the calibrated prediction: by default, logits divided by a temperature.

        After Guo et al. 2017, "On calibration of modern neural networks" (arXiv 1706.04599), with a
        temperature for every set of available modalities, which rises with the energy of unusual
        inputs: a method is overconfident to a different degree with each set, and most where a
        modality fails. The predicted class does not change. A vacuity of NaN is replaced by the
        normalised entropy of the prediction, ``H(p) / ln K``.

        Parameters
        ----------
        output : tuple of Tensor
            As `uncalibrated` returns it.
        """
        of_set, of_energy = (
            self._log_temperature(output.available),
            self._energy_log_temperature(output.input_energy),
        )
        # The logarithm keeps the temperature positive without a constraint on the optimiser.
        logits = output.logits * inverse_temperature(of_set + of_energy)[:, None]
        entropy = normalised_entropy(logits.softmax(-1))
        vacuity = torch.where(output.vacuity.isfinite(), output.vacuity, entropy)
        return output._replace(logits=logits, vacuity=vacuity)

    def _log_temperature(self, available: Tensor) -> Tensor:
        """Compute the log temperature (B,) for the available modalities (B, M).

        The mean of all temperatures for a set that `modality_subsets` does not list.
        """
        temperature, listed = self.calibration["log_temperature"], self._listed_set(available)
        return listed @ temperature + (1 - listed.sum(-1)) * temperature.mean()

    def _listed_set(self, available: Tensor) -> Tensor:
        """Return which of the sets that `modality_subsets` lists is available: (B, S), 1 or 0."""
        masks = self._masks[0].to(available.device)
        return (available[:, None] == masks).all(-1).to(available.dtype)

    def thresholds(self, available: Tensor) -> Tensor:
        """Return the thresholds of prediction set and intervals for the available modalities.

        Parameters
        ----------
        available : Tensor, shape (B, M)

        Returns
        -------
        Tensor, shape (B, 1 + A)
            Largest score of a class in the prediction set, and half the width of each affect
            target's interval in predicted standard deviations; infinite without labels. The largest
            of all for a set that `modality_subsets` does not list.
        """
        listed = self._listed_set(available)[..., None] > 0
        thresholds = torch.where(listed, self.coverage, -torch.inf).amax(1)
        return torch.where(listed.any(1), thresholds, self.coverage.amax(0))

    def _energy_log_temperature(self, energy: Tensor) -> Tensor:
        """Compute the term of the log temperature (...) for the energy (..., M) of the input.

        Linear in the log energy and its square, because silence and noise are both unusual; 0 for
        the energy of the training data.
        """
        if "energy_weight" not in self.calibration:
            return torch.zeros_like(energy[..., 0])
        features = torch.stack([energy, energy.square()], -1)
        return (features * self.calibration["energy_weight"]).sum((-1, -2))

    def _shrinkage(self) -> Tensor:
        """Compute the calibration's penalty.

        It moves the temperature of a set that no window of the calibration has to those of the
        others, and is too small to influence any that has windows.
        """
        temperature = self.calibration["log_temperature"]
        shrinkage = (temperature - temperature.mean()).square().sum()
        if "energy_weight" in self.calibration:
            shrinkage = shrinkage + self.calibration["energy_weight"].square().sum()
        return SHRINKAGE * shrinkage

    def calibration_loss(self, examples: tuple[Any, Tensor, Tensor]) -> Tensor:
        """Compute the loss that the calibration minimises: by default, the cross-entropy.

        Parameters
        ----------
        examples : tuple
            Output of `uncalibrated`; targets (B, K); faults (B, M): 1 where a modality is badly
            corrupted or swapped with another subject's, 0 where it is as recorded, NaN in between.

        Returns
        -------
        Tensor, shape (B,)
        """
        output, target, _ = examples
        loss = -(target * self.calibrated(output).logits.log_softmax(-1)).sum(-1)
        return loss + self._shrinkage()

    def predict(self, windows: Windows) -> Prediction:
        """Compute calibrated predictions; see `forward` for the parameter."""
        return self.calibrated(self.uncalibrated(windows))

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the training loss of a batch and predictions for its windows.

        Parameters
        ----------
        batch : Batch
        progress : float
            Share of the training completed, 0 to 1.

        Returns
        -------
        loss : Tensor, scalar
        probability : Tensor, shape (B, K)
            Detached; enters the moving average `Batch.consensus`.
        """
        prediction = self.forward((batch.inputs, batch.available))
        return task_loss(prediction, batch), prediction.logits.detach().softmax(-1)


def inverse_temperature(log_temperature: Tensor) -> Tensor:
    """Compute ``exp(-log_temperature)`` within the limits of `MAX_LOG_TEMPERATURE`."""
    return torch.exp(-log_temperature.clamp(-MAX_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE))


def task_loss(prediction: Prediction, batch: Batch) -> Tensor:
    """Compute the cross-entropy of the classes plus the negative log likelihood of the affect."""
    affect = gaussian_nll(prediction.affect_mean, prediction.affect_log_variance, batch.affect)
    return cross_entropy(prediction.logits, batch.target) + affect


def plain_prediction(
    logits: Tensor, affect: tuple[Tensor, Tensor], available: Tensor, **estimates: Tensor
) -> Prediction:
    """Return a prediction with NaN for what the method does not estimate.

    Parameters
    ----------
    logits : Tensor, shape (B, K)
        Set to 0, a uniform distribution, where no modality is available.
    affect : tuple of Tensor, shape (B, A)
        Mean and log variance.
    available : Tensor, shape (B, M)
    **estimates : Tensor
        Any of `vacuity`, `reliability` and `coherence`.
    """
    has_input = available.amax(-1, keepdim=True) > 0
    unknown = torch.full_like(available, torch.nan)
    fields = {
        "vacuity": unknown[:, 0],
        "reliability": unknown,
        "coherence": unknown[:, 0],
        "available": available,
        "input_energy": torch.zeros_like(available),
        **estimates,
    }
    return Prediction(torch.where(has_input, logits, 0.0), *affect, **fields)
