"""Predictive dynamic fusion: fusion weights from the predicted confidence of all modalities.

Cao et al. 2024, "Predictive dynamic fusion" (ICML; arXiv 2406.04802), after its description. A head
of each modality predicts the probability ``p_m`` that its classifier gives to the true
class. *Mono-confidence* is ``p_m``; *holo-confidence* is the share of the predicted losses that
falls on the others, ``sum_{j != m} log p_j / sum_j log p_j``; their sum is the co-confidence. The
relative calibration divides the distance of a modality's distribution from the uniform one by that
of the others and lowers, never raises, the co-confidence. The softmax of the result weights the
logits.

Extended: with more than two modalities the distance is compared with the mean of the others.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from consilience.methods.base import plain_prediction, task_loss
from consilience.methods.hybrid import agreement, unimodal_loss
from consilience.methods.late_fusion import UnimodalExperts, UnimodalOutput
from consilience.methods.params.pdf import Params as PdfParams
from consilience.model.fusion import encode
from consilience.model.losses import mean_over_windows
from consilience.model.types import Batch, Prediction, Windows
from consilience.model.uncertainty import EPSILON, fuse_gaussians


class Pdf(UnimodalExperts):
    """``CE(sum_m w_m l_m) + u sum_m CE(l_m) + c sum_m (p_m - softmax(l_m)_y)^2``."""

    Params = PdfParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.confidence = nn.ModuleList([self.new_head(self.width, 1) for _ in self.encoders])

    def _outputs(
        self, inputs: dict[str, Tensor], available: Tensor
    ) -> tuple[UnimodalOutput, Tensor]:
        """Compute the unimodal output and the predicted true-class probabilities (B, M)."""
        encodings = encode(self.encoders, inputs, available)
        predicted = [
            head(encoding) for head, encoding in zip(self.confidence, encodings, strict=True)
        ]
        return self.heads_output(encodings, available), torch.cat(predicted, -1).sigmoid()

    def _fused(self, output: UnimodalOutput, confidence: Tensor) -> Prediction:
        probability = output.logits.softmax(-1)
        # Detached: the weights follow the confidence, not the loss of the fused prediction.
        weights = fusion_weights(confidence.detach(), probability.detach(), output.available)
        affect = fuse_gaussians(output.affect_mean, output.affect_log_variance, output.available)
        logits = (weights[..., None] * output.logits).sum(1)
        return plain_prediction(
            logits, affect, output.available, **agreement(probability, output.available)
        )

    def forward(self, windows: Windows) -> Prediction:
        """Compute the prediction of the weighted logits."""
        return self._fused(*self._outputs(*windows))

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the losses of the fused and the unimodal logits and of the confidence heads."""
        output, confidence = self._outputs(batch.inputs, batch.available)
        prediction = self._fused(output, confidence)
        affect = output.affect_mean, output.affect_log_variance
        alone = unimodal_loss(output.logits, affect, batch.available, batch.target, batch.affect)
        loss = task_loss(prediction, batch) + self.params.unimodal * alone
        labelled = batch.target.isfinite().all(-1)
        target = torch.where(labelled[:, None], batch.target, 0.0)[:, None]
        of_truth = (target * output.logits.detach().softmax(-1)).sum(-1)
        error = (confidence - of_truth).square()
        loss = loss + self.params.confidence * mean_over_windows(error, batch.available, labelled)
        return loss, prediction.logits.detach().softmax(-1)


def fusion_weights(confidence: Tensor, probability: Tensor, available: Tensor) -> Tensor:
    """Compute the fusion weights from the calibrated co-confidence.

    Parameters
    ----------
    confidence : Tensor, shape (B, M)
        Predicted probability of the true class, 0 to 1.
    probability : Tensor, shape (B, M, K)
        Prediction of each modality alone.
    available : Tensor, shape (B, M)

    Returns
    -------
    Tensor, shape (B, M)
        Sums to 1 over the available modalities; 0 elsewhere.
    """
    loss = -torch.log(confidence + EPSILON) * available
    total = loss.sum(-1, keepdim=True)
    holo = (total - loss) / (total + EPSILON)
    calibrated = (confidence + holo) * relative_calibration(probability, available)
    scores = torch.where(available > 0, calibrated, -torch.inf)
    has_input = available.amax(-1, keepdim=True) > 0
    return torch.where(has_input, scores, 0.0).softmax(-1) * available


def relative_calibration(probability: Tensor, available: Tensor) -> Tensor:
    """Compute the factor of each modality's confidence: 1, or less if the others are more certain.

    ``min(1, d_m / mean_{j != m} d_j)`` with ``d_m = mean_k |p_mk - 1 / K|``.

    Parameters
    ----------
    probability : Tensor, shape (B, M, K)
    available : Tensor, shape (B, M)

    Returns
    -------
    Tensor, shape (B, M)
        1 where no other modality is available.
    """
    distance = (probability - 1 / probability.shape[-1]).abs().mean(-1) * available
    count = available.sum(-1, keepdim=True) - available
    others = (distance.sum(-1, keepdim=True) - distance) / count.clamp(min=1)
    ratio = (distance / (others + EPSILON)).clamp(max=1)
    return torch.where(count > 0, ratio, 1.0)


method = Pdf
